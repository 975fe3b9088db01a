"""What is measured once is what the code measures, and is there for all that sweeps offer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import mlem
from mlem import planning, synthetic
from mlem.experiments import measured
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.measured import PATHS, SEED, stored_end, terms, unpriced
from mlem.planning import ErrorModel, measure
from mlem.sde import SDE
from mlem.sweeps import FIRINGS, reference_end
from mlem.synthetic import RESIDUALS, calibrate, is_stock

NAMES = mlem.problems.names()
OU = mlem.problems.get("ornstein-uhlenbeck")


def assert_same(found: ErrorModel, wanted: ErrorModel) -> None:
    """Up to the rounding of other processors."""
    for name, value in vars(wanted).items():
        np.testing.assert_allclose(vars(found)[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("name", "levels", "residual", "firing"),
    [
        ("ornstein-uhlenbeck", 5, "nested", "systematic"),
        ("double-well", 4, "independent", "bernoulli"),
        ("mixture-flow", 4, "nested", "nested"),
    ],
)
def test_terms_are_what_is_measured(name: str, levels: int, residual: str, firing: str) -> None:
    sde = mlem.problems.get(name)
    assert_same(terms(sde, levels, residual, firing), measure(sde, unpriced(sde, levels, residual), firing))


@pytest.mark.parametrize(("levels", "residual"), [(3, "nested"), (2, "independent")])
def test_amplitudes_are_what_calibration_gives(levels: int, residual: str) -> None:
    stored = synthetic._stored(OU, levels, residual)
    assert stored is not None
    assert stored == pytest.approx(calibrate(OU, levels, residual, synthetic.STORED_SEED), rel=1e-6)


def test_tails_are_what_calibration_gives() -> None:
    gamma, levels = 4.0, 2
    stored = synthetic._stored_tails(gamma, levels)
    assert stored is not None
    counts = synthetic._mode_counts(gamma)[:levels]
    assert stored == pytest.approx(synthetic._corrected_tails(counts, gamma, synthetic.STORED_SEED), rel=1e-6)
    assert synthetic._stored_tails(1.7, levels) is None


def test_ends_are_those_of_the_reference() -> None:
    sde = mlem.problems.get("double-well")
    stored = stored_end(sde, PATHS, SEED)
    assert stored is not None
    torch.testing.assert_close(stored, reference_end(sde, PATHS, SEED), rtol=1e-9, atol=1e-9)
    assert {name for name in NAMES if stored_end(mlem.problems.get(name), PATHS, SEED) is not None} == {
        name for name in NAMES if mlem.problems.get(name).exact is None
    }


def test_sweeps_that_are_offered_begin_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something is measured")

    for module, name in ((measured, "measure"), (planning, "measure"), (synthetic, "calibrate")):
        monkeypatch.setattr(module, name, refuse)
    synthetic._calibrated_drifts.cache_clear()
    unpriced.cache_clear()
    specs = ConvergenceParams.specs()
    counts = range(int(specs["levels"].low), int(specs["levels"].high) + 1)
    for name, residual, firing, levels in product(NAMES, RESIDUALS, FIRINGS, counts):
        sweep = ConvergenceParams(sde=name, residual=residual, firing=firing, levels=levels).sweep()
        assert len(sweep.model.bias) == len(sweep.model.kicks) == levels
        assert sweep.preparation == 0


@pytest.mark.parametrize(
    "sde", [mlem.problems.get("ornstein-uhlenbeck", rate=2.0), mlem.problems.ornstein_uhlenbeck(), mlem.problems.lorenz(0.0)]
)
def test_other_problems_are_not_taken_for_these(sde: SDE) -> None:
    assert is_stock(OU)
    assert not is_stock(sde)
    assert synthetic._stored(sde, 4, "nested") is None
    assert stored_end(sde, PATHS, SEED) is None


def test_other_paths_have_no_end_yet() -> None:
    sde = mlem.problems.get("double-well")
    assert stored_end(sde, PATHS, SEED + 1) is None
    assert stored_end(sde, 2 * PATHS, SEED) is None


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stores that are not yet made, of one problem and four levels."""
    monkeypatch.setattr(measured, "_STORE", tmp_path / "measured.json")
    monkeypatch.setattr(synthetic, "_STORE", tmp_path / "amplitudes.json")
    monkeypatch.setattr(mlem.problems, "names", lambda: ["ornstein-uhlenbeck"])
    monkeypatch.setattr(synthetic, "STORED_GAMMAS", (1.0,))
    for module in (measured, synthetic):
        monkeypatch.setattr(module, "MAX_LEVELS", 4)
    caches = (measured._stored, synthetic._stored_amplitudes, synthetic._calibrated_drifts, unpriced)
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def test_what_was_never_measured_is_measured_now(empty: Path) -> None:
    assert_same(terms(OU, 4, "nested", "bernoulli"), measure(OU, unpriced(OU, 4, "nested"), "bernoulli"))


def test_rebuilding(empty: Path) -> None:
    before = terms(OU, 4, "nested", "systematic")
    told = list(measured.rebuild())
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert sorted(file.name for file in empty.iterdir()) == ["amplitudes.json", "measured.json"]
    assert measured._stored()["terms"].keys() == {"ornstein-uhlenbeck nested 4", "ornstein-uhlenbeck independent 4"}
    assert_same(terms(OU, 4, "nested", "systematic"), before)


def test_the_shipped_files_are_small() -> None:
    assert sum(file.stat().st_size for file in (measured._STORE, synthetic._STORE)) < 2**19
