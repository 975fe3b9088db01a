"""Race: both methods at the target, on the same noise, with honest ledgers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import mlem
from mlem.experiments.fields import FIRINGS
from mlem.experiments.plans import plans
from mlem.experiments.race import FRAMES, RaceParams, run
from mlem.experiments.result import to_json
from mlem.planning import Unreachable, common_grid

SMALL: dict[str, Any] = {"sde": "ornstein-uhlenbeck", "epsilon": 0.05, "paths": 64}


def exported(params: RaceParams) -> dict[str, Any]:
    """The JSON export without what differs from run to run."""
    content = json.loads(to_json("race", params, run(params)))
    for method in ("em", "mlem"):
        del content["result"][method]["seconds"]
    del content["result"]["speedup_in_seconds"]
    return content


@pytest.mark.parametrize(("firing", "ratio"), [("bernoulli", 3.0), ("systematic", 10.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_forced_ou_at_gamma_3(firing: str, ratio: float, seed: int) -> None:
    """The promise of the landing page: cheaper at equal RMSE, with both errors at the target."""
    result = run(RaceParams(gamma=3.0, epsilon=0.02, firing=firing, seed=seed, paths=512))
    assert result.speedup.low > ratio
    assert result.mlem.rmse.low * 0.97 < 0.02 < result.mlem.rmse.high * 1.03
    assert result.em.rmse.value == pytest.approx(0.02, rel=0.01)
    assert result.reference == "exact solution"


def test_a_coarse_target_at_small_gamma_is_where_it_loses() -> None:
    result = run(RaceParams(sde="double-well", gamma=0.5, epsilon=0.1))
    assert result.speedup.high < 1.0
    assert "dearer" in result.summary()


def test_same_params_give_the_same_numbers() -> None:
    params = RaceParams(**SMALL)
    assert exported(params) == exported(RaceParams(**SMALL))
    assert exported(params) != exported(RaceParams(**SMALL, seed=1))


@pytest.mark.parametrize("firing", FIRINGS)
@pytest.mark.parametrize("draws", ["per-path", "shared"])
def test_ledgers_are_what_was_expected(firing: str, draws: str) -> None:
    result = run(RaceParams(**SMALL, firing=firing, draws=draws))
    for runner in (result.em, result.mlem):
        assert max(abs(z) for z in runner.z) < 5
    levels = RaceParams(**SMALL).question().hierarchy()
    assert result.mlem.cost == pytest.approx(np.dot(result.mlem.evaluations, levels.costs[: len(result.mlem.levels)]))
    assert result.em.cost == result.em.steps * levels.costs[result.em.levels[0] - 1]
    assert result.speedup.value == pytest.approx(result.em.cost / result.mlem.cost)
    assert result.speedup.low <= result.speedup.value <= result.speedup.high


def test_both_methods_ran_on_the_same_noise() -> None:
    params = RaceParams(**SMALL)
    plan, sde = plans(params.question()), params.question().problem()
    path = mlem.BrownianPath(64, sde.shape, common_grid(sde, plan.em.steps, plan.mlem.steps), sde.horizon, params.seed)
    level = params.question().hierarchy()[plan.em.level - 1]
    again = mlem.euler_maruyama(sde, level, steps=plan.em.steps, path=path, initial=sde.initial(64, 0)).final
    shown = run(params).playback
    assert shown.paths["em"][-1] == pytest.approx(again.numpy(), abs=1e-6)
    assert sde.exact is not None
    assert shown.paths["reference"][-1] == pytest.approx(
        sde.exact(path, sde.initial(64, 0), [path.steps])[-1].numpy(), abs=1e-6
    )


@pytest.mark.parametrize("sde", ["ornstein-uhlenbeck", "mixture-flow"])
@pytest.mark.parametrize("firing", ["bernoulli", "held", "poisson"])
def test_the_picture_ends_where_the_ledger_does(sde: str, firing: str) -> None:
    if (sde, firing) == ("mixture-flow", "poisson"):
        firing = "nested"  # planning Poisson events on a drift without exact solution takes too long for a test
    result = run(RaceParams(sde=sde, epsilon=0.1, paths=32, firing=firing))
    shown = result.playback
    top = max(result.em.levels[0], result.mlem.levels[-1])
    assert {path.shape for path in shown.paths.values()} == {(FRAMES + 1, 32, len(shown.axes))}
    assert (shown.paths["em"][0] == shown.paths["reference"][0]).all()
    assert shown.raster["mlem"].shape[1] == shown.bills["mlem"].shape[1] == top
    assert shown.raster["em"].shape[1] == shown.bills["em"].shape[1] == top - result.em.levels[0] + 1
    unit = 2.0 ** (2.5 * 1)  # one evaluation of f¹ at γ = 2.5
    assert shown.bills["em"][-1].sum() == pytest.approx(result.em.cost / unit)
    assert shown.bills["mlem"][-1].sum() == pytest.approx(result.mlem.cost / unit)
    assert (np.diff(shown.bills["mlem"], axis=0) >= 0).all()


def test_the_raster_is_of_the_calls_that_were_made() -> None:
    params = RaceParams(**SMALL, firing="bernoulli")
    shown, plan = run(params).playback, plans(params.question())
    alone = mlem.BrownianPath(1, (1,), plan.mlem.steps, 1.0, params.seed)
    sde, levels = params.question().problem(), params.question().hierarchy()[: len(plan.mlem.probabilities)]
    first = mlem.multilevel_euler_maruyama(
        sde, levels, plan.mlem.probabilities, steps=plan.mlem.steps, path=alone, initial=torch.ones(1, 1, dtype=torch.float64),
        draws="per-path", seed=params.seed,
    )  # fmt: skip
    raster = shown.raster["mlem"][:, : len(levels)]
    assert raster.sum(0) * plan.mlem.steps / len(raster) == pytest.approx(first.evaluations)


def test_shared_coins_widen_the_interval() -> None:
    per_path = run(RaceParams(**SMALL)).mlem.rmse
    shared = run(RaceParams(**SMALL, draws="shared")).mlem.rmse
    assert shared.high - shared.low > 1.2 * (per_path.high - per_path.low)


def test_options_reach_the_problem() -> None:
    result = run(RaceParams(**SMALL, dim=3, noise=0.1))
    assert result.playback.paths["em"].shape == (FRAMES + 1, 64, 1)
    with pytest.raises(ValueError, match="dim is not an option of lorenz, which takes noise, horizon"):
        RaceParams(sde="lorenz", dim=3)
    with pytest.raises(ValueError, match="paths takes a multiple of 16 where coins are shared, got 100"):
        RaceParams(draws="shared", paths=100)


def test_what_the_levels_cannot_reach() -> None:
    with pytest.raises(Unreachable):
        run(RaceParams(**{**SMALL, "levels": 2, "epsilon": 0.01}))


def test_progress_is_told_and_can_cancel() -> None:
    told: list[float] = []
    run(RaceParams(**SMALL), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0

    def cancel(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(RaceParams(**SMALL), seed=9), cancel)


def test_spectral_levels_do_real_work() -> None:
    """On small ones: the same errors and counts as on their twins, and seconds that are measured."""
    params = RaceParams(sde="spectral", gamma=2.0, levels=5, epsilon=0.05, paths=64)
    result = run(params)
    assert result.em.rmse.value == pytest.approx(0.05, rel=0.4)
    assert result.mlem.rmse.low < 0.06
    assert result.speedup_in_seconds > 0
    with pytest.raises(ValueError, match="levels takes an integer from 1 to 6 for spectral levels with gamma 3, got 8"):
        RaceParams(sde="spectral", gamma=3.0)
    mended, notices = RaceParams.nearest({"sde": "spectral", "gamma": "3", "dim": "2"})
    assert (mended.levels, mended.dim) == (6, None)
    assert len(notices) == 2
