import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem.hierarchy import Hierarchy, Level
from mlem.images.diffusion import Schedule
from mlem.images.pilot import Effects, Plan, along_time, measure_effects, plan, power_law_at
from mlem.ledger import Firing, expected_evaluations
from mlem.problems import ornstein_uhlenbeck
from mlem.sde import SDE
from tests.images.gaussian import denoiser

COSTS = np.array([1.0, 5.0, 25.0])
TIMES = (np.arange(12) + 0.5) / 12


ALL = (1, 2, 3)


def unrelated(effect: np.ndarray) -> Effects:
    """Of corrections that have nothing to do with each other; effect: (12, levels)."""
    return Effects(TIMES, effect[:, :, None] * np.eye(effect.shape[1]))


def flat(effect: list[float]) -> Effects:
    return unrelated(np.tile(effect, (12, 1)))


def made_plan(effects: Effects, cost: float, *, levels: tuple[int, ...] = ALL, firing: str = "systematic") -> np.ndarray:
    """p of ``levels`` at 120 steps."""
    return along_time(effects, COSTS, levels, steps=120, cost=cost, firing=firing)[0].probabilities.numpy()


def spent(p: torch.Tensor, steps: int, firing: str) -> float:
    table = p if p.ndim == 2 else p.expand(steps, -1)
    return float(expected_evaluations(Firing(firing, table.unsqueeze(-1), steps, steps, 1)) @ COSTS)


def test_calls_go_where_they_have_an_effect_by_the_stated_exponent() -> None:
    p = made_plan(unrelated(np.exp(np.outer(TIMES, [0.0, 4.0, 8.0])) * 1e-9), 50.0)
    at = [5, 115]  # times of the pilot: nothing is interpolated there
    ratio = math.log(p[at[1], 2] / p[at[0], 2])
    assert ratio == pytest.approx(8.0 * (TIMES[-1] - TIMES[0]) / 3, rel=0.02)  # a cube root
    assert abs(ratio - 8.0 * (TIMES[-1] - TIMES[0]) / 2) > 1  # and not the square root of coins


def test_coins_get_the_square_root() -> None:
    p = made_plan(flat([1e-6, 4e-6, 16e-6]), 20.0, firing="bernoulli")
    assert p[0, 1] / p[0, 0] == pytest.approx(math.sqrt(4 / 6))  # a call of level 2 costs 1 + 5


@given(st.floats(min_value=110.0, max_value=2000.0))
def test_what_is_planned_is_not_exceeded(cost: float) -> None:
    p, _ = along_time(flat([1.0, 0.1, 0.01]), COSTS, ALL, steps=100, cost=cost, firing="systematic")
    assert bool(((p.probabilities > 0) & (p.probabilities <= 1)).all())
    assert spent(p.probabilities, 100, "systematic") <= cost * (1 + 1e-9)


def test_effects_between_any_levels_follow_from_those_of_neighbours() -> None:
    """Corrections as vectors: f³ − f¹ is the sum of two."""
    kicks = np.random.default_rng(0).standard_normal((12, 3, 50))
    effects = Effects(TIMES, kicks @ kicks.transpose(0, 2, 1))
    found = effects.between((1, 3))
    np.testing.assert_allclose(found[:, 0], np.square(kicks[:, 0]).sum(1))
    np.testing.assert_allclose(found[:, 1], np.square(kicks[:, 1] + kicks[:, 2]).sum(1))
    unrelated_ones = np.square(kicks[:, 1]).sum(1) + np.square(kicks[:, 2]).sum(1)  # what a wrong one would add up
    assert np.abs(found[:, 1] / unrelated_ones - 1).max() > 0.1


def test_a_level_that_is_no_better_than_the_one_below_is_left_out() -> None:
    """f² errs as much as f¹, and otherwise: f¹ = e, f² = e', f³ = 0 in directions of their own, besides what all know."""
    known, e, other = np.eye(3)
    kicks = np.stack([10 * known + e, other - e, -other])
    idle = Effects(TIMES, np.tile(kicks @ kicks.T, (12, 1, 1)))
    assert plan(idle, COSTS, steps=120, cost=200.0, firing="systematic").levels == (1, 3)
    ladder = flat([100.0, 1.0, 0.01])  # each correction a tenth of the one before, at five times the price
    assert plan(ladder, COSTS, steps=120, cost=200.0, firing="systematic").levels == ALL


@given(st.lists(st.floats(min_value=-12.0, max_value=2.0), min_size=3, max_size=3), st.floats(min_value=30.0, max_value=2000.0))
def test_no_choice_of_levels_promises_less_error_than_the_one_that_is_made(powers: list[float], cost: float) -> None:
    effects = flat([10.0**power for power in powers])
    made = plan(effects, COSTS, steps=40, cost=cost, firing="systematic")
    promised = along_time(effects, COSTS, made.levels, steps=40, cost=cost, firing="systematic")[1]
    for levels in ((3,), (1, 3), (2, 3), ALL):
        assert promised <= along_time(effects, COSTS, levels, steps=40, cost=cost, firing="systematic")[1]


def test_a_plan_knows_the_places_of_its_levels() -> None:
    found = Plan((1, 3), torch.ones(4, 2))
    np.testing.assert_array_equal(found.spread(np.array([[5.0, 7.0]]), 4), [[5.0, 0.0, 7.0, 0.0]])
    sde = ornstein_uhlenbeck()
    levels = Hierarchy([Level(sde.drift, float(cost)) for cost in COSTS], sde=sde)
    assert found.chosen(levels).costs.tolist() == [1.0, 25.0]


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
        low = schedule.sigma_low
        moved = math.sqrt((variance + low**2) / (variance + sigma**2) * (1 + sigma**2) / (1 + low**2))
        assert found.products[m, 1, 1] == pytest.approx((correction * moved) ** 2, rel=0.1)  # 128 Euler steps
