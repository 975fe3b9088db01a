import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem.hierarchy import Hierarchy, Level
from mlem.images.diffusion import Schedule
from mlem.images.pilot import Effects, along_time, measure_effects, power_law_at
from mlem.ledger import Firing, expected_evaluations
from mlem.sde import SDE
from tests.images.gaussian import denoiser

COSTS = np.array([1.0, 5.0, 25.0])
TIMES = (np.arange(12) + 0.5) / 12


def flat(effect: list[float]) -> Effects:
    return Effects(TIMES, np.ones((12, 3)), np.tile(effect, (12, 1)))


def spent(p: torch.Tensor, steps: int, firing: str) -> float:
    table = p if p.ndim == 2 else p.expand(steps, -1)
    return float(expected_evaluations(Firing(firing, table.unsqueeze(-1), steps, steps, 1)) @ COSTS)


def test_calls_go_where_they_have_an_effect_by_the_stated_exponent() -> None:
    rising = Effects(TIMES, np.ones((12, 3)), np.exp(np.outer(TIMES, [0.0, 4.0, 8.0])) * 1e-9)
    p = along_time(rising, COSTS, steps=120, cost=50.0, firing="systematic").numpy()
    at = [5, 115]  # times of the pilot: nothing is interpolated there
    ratio = math.log(p[at[1], 2] / p[at[0], 2])
    assert ratio == pytest.approx(8.0 * (TIMES[-1] - TIMES[0]) / 4, rel=0.02)  # a fourth root
    assert abs(ratio - 8.0 * (TIMES[-1] - TIMES[0]) / 2) > 1  # and not the square root of coins


def test_coins_get_the_square_root() -> None:
    p = along_time(flat([1e-6, 4e-6, 16e-6]), COSTS, steps=100, cost=20.0, firing="bernoulli").numpy()
    assert p[0, 1] / p[0, 0] == pytest.approx(math.sqrt(4 / 6))  # a call of level 2 costs 1 + 5


@given(st.floats(min_value=110.0, max_value=2000.0))
def test_what_is_planned_is_not_exceeded(cost: float) -> None:
    p = along_time(flat([1.0, 0.1, 0.01]), COSTS, steps=100, cost=cost, firing="systematic")
    assert bool(((p > 0) & (p <= 1)).all())
    assert spent(p, 100, "systematic") <= cost * (1 + 1e-9)


@given(st.floats(min_value=5.0, max_value=2400.0), st.floats(min_value=0.5, max_value=5.0))
def test_the_papers_rule_costs_what_it_is_given(cost: float, gamma: float) -> None:
    p = power_law_at(COSTS, gamma, steps=100, cost=cost)
    certain = sum(COSTS[k] for k in (0, 1) if p[k + 1] == 1.0) * 100  # called by the formula, but not with a weight
    assert cost - certain - 1e-6 * cost <= spent(p, 100, "bernoulli") <= cost * (1 + 1e-6)


def test_the_papers_rule_is_its_formula_where_levels_double_their_accuracy() -> None:
    gamma = 2.5
    costs = 2.0 ** (gamma * np.arange(1, 5))
    p = power_law_at(costs, gamma, steps=50, cost=100.0).numpy()
    assert (p < 1).all()
    np.testing.assert_allclose(p[1:] / p[:-1], 2.0 ** -(1 + gamma / 2))


def test_a_cost_beyond_all_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="cost takes at most 2500"):
        power_law_at(COSTS, 2.5, steps=100, cost=3000.0)


def test_effects_are_variance_times_sensitivity_where_both_are_known() -> None:
    """A denoiser that is off by a constant, on a linear flow: the correction and what a kick becomes are known."""
    schedule, variance, off = Schedule(), 0.25, 0.03
    drifts = [schedule.drift(denoiser(variance, error), ode=True) for error in (off, 0.0)]
    sde = SDE("gaussian", "", (3, 4, 4), 1.0, drifts[-1], schedule.noise(ode=True), start=lambda z, u: z)
    found = measure_effects(Hierarchy([Level(drifts[0], 1.0), Level(drifts[1], 4.0)], sde=sde))
    for m in (4, 8, 11):
        sigma = schedule.sigma(found.times[m])
        score = 0.5 * schedule.rate(float(found.times[m])) * (1 + sigma**2) / sigma**2
        correction = score / math.sqrt(1 + sigma**2) * off
        assert found.variance[m, 1] == pytest.approx(correction**2, rel=1e-3)
        low = schedule.sigma_low
        moved = math.sqrt((variance + low**2) / (variance + sigma**2) * (1 + sigma**2) / (1 + low**2))
        assert found.effect[m, 1] == pytest.approx((correction * moved) ** 2, rel=0.1)  # 128 Euler steps
