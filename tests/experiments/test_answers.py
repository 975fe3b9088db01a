"""Results that ship with the package are what their parameters give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlem.experiments import answers, race
from mlem.experiments.experiment import get
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams, RaceResult
from mlem.experiments.result import differences, plain
from mlem.ui.presets import PRESETS, asked_first


def test_all_that_a_class_asks_first_is_stored() -> None:
    wanted = list(asked_first())
    assert len(wanted) > 50
    assert len({params for _, params in wanted}) == len(wanted)
    assert {params for _, params in wanted} >= {*PRESETS["race"].values(), *PRESETS["hierarchy"].values()}
    assert all(answers.load(experiment.name, params) is not None for experiment, params in wanted)


@pytest.mark.parametrize(
    ("name", "preset", "gamma"), [("race", "ML-EM loses", 2.0), ("race", "Even firing", 1.0), ("hierarchy", "Deep γ = 4", 3.0)]
)
def test_what_is_stored_is_what_is_computed(name: str, preset: str, gamma: float) -> None:
    params = replace(PRESETS[name][preset], gamma=gamma)  # type: ignore[call-arg]
    stored, computed = answers.load(name, params), get(name).run(params, None)
    assert type(stored) is type(computed)
    assert differences(plain(stored), plain(computed)) == []
    if isinstance(stored, RaceResult) and isinstance(computed, RaceResult):
        for part in ("raster", "bills"):
            one, other = getattr(stored.playback, part), getattr(computed.playback, part)
            assert all(np.array_equal(one[method], other[method]) for method in other)
        for method, positions in computed.playback.paths.items():
            width = np.ptp(positions)
            assert stored.playback.paths[method].dtype == positions.dtype
            np.testing.assert_allclose(stored.playback.paths[method], positions, rtol=0, atol=width / 2000)


@pytest.mark.parametrize("other", [RaceParams(seed=9), RaceParams(gamma=2.6), RaceParams(epsilon=0.02)])
def test_other_parameters_have_no_stored_result(other: Params) -> None:
    assert answers.load("race", other) is None


def test_rebuilding(tmp_path: Path) -> None:
    """Arrays that are in two results are kept once, and nothing else changes on the way."""
    file = tmp_path / "answers.npz"
    wanted = [replace(RaceParams(sde="double-well", epsilon=0.1, paths=16), gamma=gamma) for gamma in (2.0, 2.5)]
    assert list(answers.rebuild([(race.EXPERIMENT, params) for params in wanted], file)) == [0.5, 1.0]
    for params in wanted:
        stored = answers.load("race", params, file)
        assert isinstance(stored, RaceResult)
        assert differences(plain(stored), plain(race.run(params))) == []
    with np.load(file) as arrays:
        assert 1 < len(arrays.files) < 1 + 2 * 7
    assert answers.load("race", wanted[0], tmp_path / "none.npz") is None
