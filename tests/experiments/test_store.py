"""Stored sweeps are what the code gives, and a rebuild can be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mlem.__main__ import _REBUILDS, main
from mlem.experiments import store
from mlem.experiments.convergence import ConvergenceParams, judge
from mlem.experiments.store import FOLDER, STORED, load, rebuild, steps, swept
from mlem.sweeps import Part, Piece, Run, Sweep

SMALL = ConvergenceParams(levels=4, paths=32)
MIB = 2**20
whole_sweep = ConvergenceParams.sweep


@cache
def short(params: ConvergenceParams) -> Sweep:
    """A few quick pieces of a sweep, whose pilots are run once."""
    sweep = whole_sweep(params)
    sweep.pieces = sweep.pieces[:4]
    return sweep


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of one short sweep, not yet made."""
    monkeypatch.setattr(store, "STORED", {"small": SMALL})
    monkeypatch.setattr(ConvergenceParams, "sweep", short)
    yield tmp_path / "sweeps"
    store._load.cache_clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    """The pieces that have been run, in order."""
    pieces, run = list[Piece](), Sweep.run

    def watched(self: Sweep, piece: Piece, *rest: object) -> list[Run]:
        pieces.append(piece)
        return run(self, piece, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Sweep, "run", watched)
    return pieces


def build(folder: Path) -> Part:
    """The small sweep, made and loaded."""
    assert list(rebuild({"small": SMALL}, folder))[-1] == 1.0
    part = load(SMALL, folder)
    assert part is not None
    return part


def assert_same(stored: Run, run: Run) -> None:
    """Up to the rounding of float32, and of other processors in the search for p_k."""
    assert (stored.piece, stored.shape) == (run.piece, run.shape)
    assert stored.probabilities == pytest.approx(run.probabilities, rel=1e-6)
    np.testing.assert_allclose(stored.evaluations, run.evaluations, rtol=1e-6)
    np.testing.assert_allclose(stored.squared, run.squared, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(stored.transport, run.transport, rtol=1e-3, atol=1e-9)
    assert stored.chance == pytest.approx(run.chance, rel=1e-6)


def test_what_is_stored_is_what_the_code_gives(folder: Path) -> None:
    part, sweep = build(folder), SMALL.sweep()
    runs = [run for piece in sweep.pieces for run in sweep.run(piece)]
    assert len(part.runs) == len(runs)
    for stored, run in zip(part.runs, runs, strict=True):
        assert_same(stored, run)
        assert stored.squared.dtype == stored.transport.dtype == np.float64
    assert part.exact == sweep.exact
    assert part.independent == sweep.ground.law.independent
    for name, value in vars(sweep.model).items():
        np.testing.assert_array_equal(vars(part.model)[name], value)
    assert isinstance(part.model.correlation, float)


def test_bands_and_exponents_can_be_made_again(folder: Path) -> None:
    part, sweep = build(folder), SMALL.sweep()
    for params in (SMALL, replace(SMALL, gamma=4.0, unit="evaluations"), replace(SMALL, error="distribution")):
        again, direct = judge(params, part), judge(params, sweep.whole())
        np.testing.assert_allclose(again.mlem.frontier, direct.mlem.frontier, rtol=1e-5)
        np.testing.assert_allclose(again.em.band, direct.em.band, rtol=1e-5)
        assert again.summary() == direct.summary()
        assert again.reference == direct.reference


def test_a_sweep_is_known_by_what_is_simulated(folder: Path) -> None:
    part = build(folder)
    assert load(replace(SMALL, gamma=4.0), folder) is part
    assert load(replace(SMALL, unit="evaluations", error="distribution"), folder) is part
    for other in ({"seed": 1}, {"firing": "nested"}, {"paths": 64}, {"levels": 5}, {"residual": "independent"}):
        assert load(replace(SMALL, **other), folder) is None  # type: ignore[arg-type]
    spectral = ConvergenceParams(kind="spectral", levels=4, gamma=2.0)
    assert swept(replace(spectral, unit="seconds")) == swept(spectral)
    assert swept(replace(spectral, gamma=1.0)) != swept(spectral)  # its levels are others


def test_a_file_of_other_parameters_is_not_taken_for_these(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder)
    changed = replace(SMALL, paths=64)
    monkeypatch.setattr(store, "STORED", {"small": changed})
    assert load(changed, folder) is None


def test_a_store_that_was_never_made_is_empty(folder: Path) -> None:
    assert load(SMALL, folder) is None


def test_an_interrupted_rebuild_goes_on_where_it_stood(folder: Path, made: list[Piece]) -> None:
    whole = SMALL.sweep().pieces
    going = rebuild({"small": SMALL}, folder)
    while len(made) < 3:
        next(going)
    assert isinstance(going, Iterator)
    going.close()  # type: ignore[attr-defined]
    assert load(SMALL, folder) is None  # not before it is whole
    store._load.cache_clear()
    before = len(made)
    part = build(folder)
    assert made[before:] == whole[before - 1 :] or made[before:] == whole[before:]
    assert [run.piece for run in part.runs if run.piece.method == "em"] == [piece for piece in whole if piece.method == "em"]
    assert [file.name for file in folder.iterdir()] == ["small.npz"]


def test_only_other_code_makes_it_again(folder: Path, made: list[Piece], monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder)
    count = len(made)
    build(folder)
    assert len(made) == count
    monkeypatch.setattr(store, "_code", lambda: "other")
    build(folder)
    assert len(made) == 2 * count


def test_pieces_of_other_code_are_not_gone_on_with(folder: Path, made: list[Piece], monkeypatch: pytest.MonkeyPatch) -> None:
    going = rebuild({"small": SMALL}, folder)
    while len(made) < 3:
        next(going)
    going.close()  # type: ignore[attr-defined]
    before = len(made)
    monkeypatch.setattr(store, "_code", lambda: "other")
    build(folder)
    assert made[before:] == SMALL.sweep().pieces


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(_REBUILDS, "store", (lambda: rebuild({"small": SMALL}, folder), lambda: iter([1.0])))
    assert main(["store"]) == 0
    assert (folder / "small.npz").exists()
    assert capsys.readouterr().out == ""


def test_a_sweep_is_a_job(folder: Path, made: list[Piece]) -> None:
    given = list(steps(SMALL))
    parts = [part for _, part in given if part is not None]
    assert len(parts) == len(made) == len(SMALL.sweep().pieces)
    fractions = [done for done, _ in given]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    later = [part for _, part in steps(SMALL, start=len(parts) - 2) if part is not None]
    for again, part in zip(later, parts[-2:], strict=True):
        for a, b in zip(again.runs, part.runs, strict=True):
            assert np.array_equal(a.squared, b.squared)
            assert a.probabilities == b.probabilities


def test_what_is_measured_for_a_sweep_of_spectral_levels_is_told_and_can_be_cut() -> None:
    """Else a page's job would hold up all others for seconds."""
    told = list[float]()
    params = ConvergenceParams(kind="spectral", gamma=1.0, levels=4, paths=32)
    sweep = store._made(params, told.append)
    assert len(told) > 100
    whole = whole_sweep(params)
    assert np.array_equal(sweep.model.kicks, whole.model.kicks)
    assert sweep.pieces == whole.pieces
    went_on = len(told)
    sweep.run(sweep.pieces[0])
    assert len(told) == went_on, "nobody listens any more"

    def cut(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store._made(params, cut)


@pytest.mark.parametrize("name", STORED)
def test_the_shipped_store_is_what_the_code_gives(name: str) -> None:
    """A sample of pieces. ``python -m mlem store`` rebuilds the store."""
    file, params = FOLDER / f"{name}.npz", STORED[name]
    assert file.stat().st_size < MIB
    part, sweep = load(params), params.sweep()
    assert part is not None
    assert len({run.piece for run in part.runs}) == len(sweep.pieces)
    multilevel = [piece for piece in sweep.pieces if piece.method == "mlem"]
    for piece in (*sweep.pieces[:3], multilevel[0], multilevel[2]):
        for stored, run in zip([run for run in part.runs if run.piece == piece], sweep.run(piece), strict=True):
            assert_same(stored, run)


def test_the_shipped_store_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.npz")) < 5 * MIB
    assert {file.stem for file in FOLDER.glob("*")} <= set(STORED)
