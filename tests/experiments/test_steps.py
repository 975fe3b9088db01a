"""Steps: EM pays for every step, ML-EM above the kink does not."""

from __future__ import annotations

import numpy as np
import pytest

from mlem.experiments.steps import GAMMAS, StepsParams, StepsResult, run


@pytest.fixture(scope="module")
def result() -> StepsResult:
    """Over a 64-fold range of h."""
    return run(StepsParams(sde="ornstein-uhlenbeck", doublings=6, paths=128))


def test_em_pays_for_every_step(result: StepsResult) -> None:
    for gamma in GAMMAS:
        costs = [p.em_cost for p in result.points if p.gamma == gamma]
        assert costs[-1] / costs[0] == 64
    assert all(error.high < result.epsilon for _, error in result.em_rmse), "its error is at the target and better"


def test_above_the_kink_the_step_is_free(result: StepsResult) -> None:
    deep, easy = result.slopes["4"], result.slopes["1"]
    assert 64**deep.value == pytest.approx(1.0, abs=0.25)
    assert deep.low < 0.03 < 0.2 < easy.low


def test_the_poisson_solver_is_the_limit(result: StepsResult) -> None:
    finest = max(p.steps for p in result.points)
    for gamma in GAMMAS:
        last = next(p for p in result.points if p.gamma == gamma and p.steps == finest)
        limit = next(p for p in result.limit if p.gamma == gamma)
        assert limit.steps == finest
        assert limit.cost.low < 1.2 * last.cost.high, "with so few steps coins and events still differ a little"
        assert last.cost.low < 1.2 * limit.cost.high


def test_calls_per_unit_time_settle(result: StepsResult) -> None:
    """λ_k = p_k/h is what stays."""
    top = [p.calls[-1] for p in result.points if p.gamma == 4.0]
    assert max(top[-3:]) / min(top[-3:]) < 1.5


def test_rows_and_words(result: StepsResult) -> None:
    rows = result.rows()
    assert len(rows) == len(GAMMAS) * 8
    assert np.isfinite([float(row["ML-EM"]) for row in rows]).all()
    assert "EM's cost grows with 1/h by exponent 1" in result.summary()


def test_progress() -> None:
    told: list[float] = []
    run(StepsParams(sde="ornstein-uhlenbeck", doublings=2, paths=32, epsilon=0.1), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
