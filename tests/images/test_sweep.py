import numpy as np
import pytest

from mlem.images import sweep as sweeps
from mlem.images.pilot import Effects
from mlem.images.process import levels_of
from mlem.images.samplers import SAMPLERS
from mlem.images.sweep import Group, pieces, seconds_of, sweep
from tests.images.tiny import ladder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "FINE", 24)
    monkeypatch.setattr(sweeps, "ODE_REFERENCE", 30)
    monkeypatch.setattr(sweeps, "_EM_STEPS", (4, 12))
    monkeypatch.setattr(sweeps, "_MLEM_STEPS", (12,))
    monkeypatch.setattr(sweeps, "_BUDGETS", (3.0, 6.0))
    monkeypatch.setattr(sweeps, "_EVALUATIONS", {"ddim": (10,), "heun": (10,), "dpm++": (10,)})


def swept(process: str, first: int = 0) -> Group:
    times = np.array([0.1, 0.5, 0.9])
    effect = np.array([[9.0, 1.0, 0.1], [3.0, 0.5, 0.1], [1.0, 0.5, 0.2]])
    effects = Effects(times, effect[:, :, None] * np.eye(3))
    return sweep(ladder(), process, effects, first=first, seed=0, precision="float32", pictures=2)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("process", ["sde", "ode"])
def test_every_piece_is_run_and_counted(process: str) -> None:
    group = swept(process)
    costs = levels_of(ladder(), process).costs
    assert [run.piece for run in group.runs] == pieces(costs, process)
    for run in group.runs:
        assert (run.squared > 0).all()
        if run.piece.method in ("em", *SAMPLERS):
            assert run.evaluations[run.piece.levels - 1] == run.piece.steps == run.evaluations.sum()
        if run.piece.method == "mlem":  # even calls cost what they are planned to, but for one call more or less of each level
            assert run.evaluations @ costs < run.piece.cost + 2 * costs.sum()
    assert group.bias.shape == (2, 3)
    assert (group.bias[:, -1] == 0).all()
    assert (group.bias[:, :-1] > 0).all()


@pytest.mark.usefixtures("short")
def test_groups_are_of_different_pictures_and_the_same_again() -> None:
    first, again, second = swept("sde"), swept("sde"), swept("sde", first=2)
    assert all(np.array_equal(a.squared, b.squared) for a, b in zip(first.runs, again.runs, strict=True))
    assert not np.array_equal(first.runs[0].squared, second.runs[0].squared)


def test_pieces_are_those_that_make_sense() -> None:
    costs = np.array([0.006, 0.03, 0.14, 0.6, 2.5])
    found = pieces(costs, "sde")
    assert len(set(found)) == len(found)
    assert all(piece.cost < piece.steps * costs[piece.levels - 1] for piece in found if piece.cost)
    assert {piece.method for piece in found} == {"em", "paper", "mlem"}
    assert {piece.method for piece in pieces(costs, "ode")} == {"em", "paper", "mlem", *SAMPLERS}


def test_seconds_grow_with_the_network() -> None:
    assert (seconds_of(ladder(), pictures=2) > 0).all()
