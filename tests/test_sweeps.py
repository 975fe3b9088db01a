from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import mlem
from mlem import sweeps
from mlem.brownian import BrownianPath, RememberedPath
from mlem.distribution import SlicedLaw
from mlem.errors import NonFiniteStep, squared_errors
from mlem.ledger import Firing, deviation_of_evaluations, expected_evaluations
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama
from mlem.sweeps import FINE, FIRINGS, Piece, Run, Sweep

PATHS, SEED, LEVELS = 48, 5, 4
EM, ML = Piece("em", 4, 40), Piece("mlem", 4, 120)


@cache
def sweep(firing: str = "bernoulli", name: str = "forced-ou", together: bool = True) -> Sweep:
    sde = mlem.problems.get(name)
    levels = mlem.synthetic_hierarchy(sde, gamma=1.0, levels=LEVELS)
    return Sweep(sde, levels, firing=firing, paths=PATHS, seed=SEED, together=together)


def short() -> Sweep:
    """Another sweep of the same kind, to be changed."""
    return Sweep(sweep().sde, sweep().levels, firing="bernoulli", paths=PATHS, seed=SEED)


def direct_path(name: str = "forced-ou") -> BrownianPath:
    """The path of the sweep, as anybody would make it."""
    sde = mlem.problems.get(name)
    return BrownianPath(PATHS, sde.shape, FINE, sde.horizon, SEED)


def assert_same(runs: list[Run], others: list[Run], *, exactly: bool = True) -> None:
    """The same numbers; in another batch not exactly, as the ends of vectors are rounded differently."""
    assert [(run.piece, run.shape, run.probabilities) for run in runs] == [
        (run.piece, run.shape, run.probabilities) for run in others
    ]
    for run, other in zip(runs, others, strict=True):
        np.testing.assert_array_equal(run.evaluations, other.evaluations)
        for name in ("squared", "transport", "chance"):
            found, wanted = getattr(run, name), getattr(other, name)
            np.testing.assert_allclose(found, wanted, rtol=0 if exactly else 1e-6, atol=0 if exactly else 1e-12)


def test_pieces_do_not_depend_on_the_order() -> None:
    pieces = [piece for piece in sweep().pieces if piece.steps < 130]
    assert {piece.method for piece in pieces} == {"em", "mlem"}
    forward = {piece: sweep().run(piece) for piece in pieces}
    sweeps._grounds.clear()
    other = short()
    assert other.pieces == sweep().pieces
    for piece in reversed(pieces):
        assert_same(other.run(piece), forward[piece])


@pytest.mark.parametrize("firing", FIRINGS)
def test_probabilities_do_not_depend_on_their_batch(firing: str) -> None:
    assert_same(sweep(firing, together=False).run(ML), sweep(firing).run(ML), exactly=False)


def test_each_probability_has_coins_of_its_own() -> None:
    """Two configurations with the same p would make the same calls, were their coins the same."""
    same, runs = (0.9, 0.5, 0.3, 0.1), sweep()._batch(ML, [(1.0, (0.9, 0.5, 0.3, 0.1))] * 2, 0, None)
    assert runs[0].probabilities == runs[1].probabilities == same
    assert not np.array_equal(runs[0].evaluations, runs[1].evaluations)
    assert not np.array_equal(runs[0].squared, runs[1].squared)


def test_a_run_of_euler_is_a_direct_solve() -> None:
    sde, path = mlem.problems.get("forced-ou"), direct_path()
    initial = sde.initial(PATHS, SEED)
    (run,) = sweep().run(EM)
    done = euler_maruyama(sde, sweep().levels[EM.levels - 1], steps=EM.steps, path=path, initial=initial)
    assert sde.exact is not None
    end = sde.exact(path, initial, [FINE])[-1]
    law = SlicedLaw(end, SEED)
    np.testing.assert_allclose(run.squared, squared_errors(done.final, end), rtol=1e-6)
    np.testing.assert_allclose(run.transport, law.shares(done.final), rtol=1e-6, atol=1e-12)
    assert run.chance == pytest.approx(law.chance(done.final))
    assert sweep().part([run]).independent == pytest.approx(law.independent)
    np.testing.assert_array_equal(run.evaluations, [0, 0, 0, EM.steps])


@pytest.mark.parametrize("firing", FIRINGS)
def test_a_run_of_mlem_is_a_direct_solve(firing: str) -> None:
    sde, runs = mlem.problems.get("forced-ou"), sweep(firing).run(ML)
    remembered, initial = RememberedPath(direct_path()), sde.initial(PATHS, SEED)
    for c in (0, 1, len(runs) - 1):
        path = direct_path() if c == 0 else remembered.copies(1, first=c * PATHS)
        done = multilevel_euler_maruyama(
            sde,
            sweep(firing).levels[: ML.levels],
            runs[c].probabilities,
            steps=ML.steps,
            path=path,
            initial=initial,
            firing=firing,
            draws="per-path",
            seed=SEED,
        )
        np.testing.assert_allclose(runs[c].evaluations, done.evaluations, rtol=1e-12)
        np.testing.assert_allclose(runs[c].squared, squared_errors(done.final, sweep(firing).ground.end), rtol=1e-6)


@pytest.mark.parametrize("firing", FIRINGS)
def test_evaluations_are_those_expected(firing: str) -> None:
    runs = [run for piece in (ML, Piece("mlem", 3, 112)) for run in sweep(firing).run(piece)]
    assert len({run.shape for run in runs}) == len(sweeps.SHAPED_FOR)
    wrong = False
    for run in runs:
        p = torch.tensor(run.probabilities, dtype=torch.float64)[None, :, None]
        counted = Firing(firing, p, run.piece.steps, FINE, PATHS)
        expected, deviation = expected_evaluations(counted), deviation_of_evaluations(counted)
        used, beyond = run.evaluations[: len(expected)], run.evaluations[len(expected) :]
        assert (np.abs(used - expected) <= 5 * deviation + 1e-9).all(), (run, expected, deviation)
        assert not beyond.any()
        wrong |= bool((used - run.piece.steps * np.array(run.probabilities) > 5 * deviation + 1e-9).any())
    # named wrong implementation: a level counted where it fires alone; with one coin for all the two are the same
    assert wrong or firing == "nested"


def test_a_piece_reports_and_can_be_cancelled() -> None:
    class Cancelled(Exception):
        pass

    def cancel(done: float) -> None:
        raise Cancelled

    for piece in (EM, ML):
        told = list[float]()
        sweep().run(piece, told.append)
        assert told[-1] == 1.0
        with pytest.raises(Cancelled):
            sweep().run(piece, cancel)


def test_the_ground_is_made_once_with_reports() -> None:
    sde = mlem.problems.get("double-well")
    one = Sweep(sde, sweep(name="double-well").levels, firing="bernoulli", paths=PATHS, seed=SEED)
    sweeps._grounds.clear()
    told = list[float]()
    one.prepare(told.append)
    assert told == sorted(told)
    assert (len(told) > 100, told[-1]) == (True, 1.0)
    other = Sweep(sde, one.levels, firing="nested", paths=PATHS, seed=SEED)
    other.prepare(told.append)
    assert other.ground is one.ground
    assert one.preparation == FINE
    assert sweep().preparation == 0, "the exact solution is quick"


def test_an_end_that_is_known_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    end = sweep(name="double-well").ground.end
    sweeps._grounds.clear()
    monkeypatch.delattr(sweeps, "reference")
    given = Sweep(
        mlem.problems.get("double-well"), sweep(name="double-well").levels, firing="bernoulli", paths=PATHS, seed=SEED, end=end
    )
    assert given.ground.end is end
    assert given.preparation == 0


def test_few_grounds_are_kept() -> None:
    for seed in range(6):
        Sweep(sweep().sde, sweep().levels, firing="bernoulli", paths=4, seed=seed).prepare()
    assert [key[2] for key in sweeps._grounds] == [2, 3, 4, 5]


def test_a_piece_that_leaves_the_finite_numbers_has_no_runs() -> None:
    broken = short()
    wild = [mlem.Level(lambda x, t: x**9 * 1e6, float(k)) for k in range(1, LEVELS + 1)]
    broken.levels = mlem.Hierarchy(wild, sde=broken.sde)
    assert broken.run(EM) == []
    assert broken.run(ML) == []


def test_a_run_that_is_lost_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, part = sweep().run(ML), short()
    solve = multilevel_euler_maruyama

    def fails(sde: mlem.SDE, levels: mlem.Hierarchy, probabilities: torch.Tensor, **rest: object) -> mlem.Solution:
        if (probabilities[0, -1] == lost).any():
            raise NonFiniteStep(step=1, time=0.0, level=1, path=0, weight=1.0)
        return solve(sde, levels, probabilities, **rest)  # type: ignore[arg-type]

    lost = whole[7].probabilities[-1]
    monkeypatch.setattr(sweeps, "multilevel_euler_maruyama", fails)
    assert_same(part.run(ML), [run for run in whole if run.probabilities[-1] != lost], exactly=False)


def test_a_run_that_goes_astray_is_left_out() -> None:
    far = sweep().ground.end + 1e7
    assert sweep()._judged(EM, 0.0, (1.0,), np.zeros(LEVELS), 0.0, far) == []


def test_many_paths_are_kept_in_groups() -> None:
    sde = mlem.problems.get("forced-ou")
    many = Sweep(sde, sweep().levels, firing="bernoulli", paths=256, seed=SEED)
    final = many.ground.end + torch.arange(256.0).double()[:, None]
    (run,) = many._judged(EM, 0.0, (1.0,), np.zeros(LEVELS), 0.0, final)
    assert len(run.squared) == len(run.transport) == 128
    np.testing.assert_allclose(run.squared, squared_errors(final, many.ground.end).reshape(128, 2).mean(1))
    assert run.transport.mean() == pytest.approx(float(SlicedLaw(many.ground.end, SEED).shares(final).mean()))


@pytest.mark.parametrize("name", ["forced-ou", "double-well"])
def test_pieces_are_of_both_methods_and_can_be_judged(name: str) -> None:
    pieces, exact = sweep(name=name).pieces, mlem.problems.get(name).exact is not None
    assert len(set(pieces)) == len(pieces)
    for k in range(3, LEVELS + 1):
        assert {piece.method for piece in pieces if piece.levels == k} == {"em", "mlem"}
    assert all(FINE % piece.steps == 0 and (exact or piece.steps * 16 <= FINE) for piece in pieces)
    assert [piece.levels for piece in pieces] == sorted(piece.levels for piece in pieces)  # the cheap ones first
    assert [piece.method for piece in pieces[:2]] == ["em", "mlem"], "so that there is something to compare at once"


def test_work_is_in_steps_of_a_run() -> None:
    assert sweep().work(EM) == EM.steps
    assert sweep().work(ML) == ML.steps * len(sweep().run(ML))


def test_the_whole_is_every_piece_in_order() -> None:
    two = short()
    two.pieces = [EM, replace(EM, steps=56)]
    told: list[float] = []
    assert [run.piece for run in two.whole(told.append).runs] == two.pieces
    assert told == [0.5, 1.0]


@pytest.mark.parametrize("steps", [1, 7, 112, 20160])
def test_a_remembered_path_is_the_path(steps: int) -> None:
    path = BrownianPath(3, (2,), FINE, 1.5, seed=3)
    remembered = RememberedPath(path)
    pairs = zip(remembered.stream(steps), path.stream(steps), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-13 * (FINE / steps) ** 0.5 + 1e-14


def test_copies_of_a_remembered_path_stand_one_after_the_other() -> None:
    path = RememberedPath(BrownianPath(3, (2,), 40, 1.5, seed=3, first=7))
    twice = path.copies(2, first=9)
    assert (path.batch, path.first, twice.batch, twice.first) == (3, 7, 6, 9)
    assert twice._positions is path._positions
    for a, b in zip(twice.stream(8), path.stream(8), strict=True):
        assert torch.equal(a, torch.cat([b, b]))
    with pytest.raises(ValueError, match="steps must divide the 40 fine steps"):
        next(path.stream(7))
