"""Plans: the model's terms against closed forms, and plans against what they promise on other paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem.planning import (
    FINE_GRIDS,
    ErrorModel,
    Unreachable,
    allowed_steps,
    common_grid,
    divisor_near,
    measure,
    plan_euler,
    plan_multilevel,
    reference,
    reference_grid,
)

OU = mlem.problems.get("ornstein-uhlenbeck")
WELL = mlem.problems.get("double-well")


def offsets(sde: mlem.SDE, sizes: list[float], gamma: float = 2.0) -> mlem.Hierarchy:
    """f^k = f + a_k: drifts that are off by constants, for which everything has a closed form."""

    def off(size: float) -> mlem.sde.Drift:
        return lambda x, t: sde.drift(x, t) + size

    return mlem.Hierarchy([mlem.Level(off(a), 2.0 ** (gamma * k)) for k, a in enumerate(sizes, start=1)], sde=sde)


def run_euler(sde: mlem.SDE, level: mlem.Level, steps: int, paths: int = 2000) -> mlem.Estimate:
    """The RMSE on paths that no plan has seen."""
    fine = reference_grid(sde, steps)
    path = mlem.BrownianPath(paths, sde.shape, fine, sde.horizon, seed=77)
    initial = sde.initial(paths, 77)
    end = mlem.euler_maruyama(sde, level, steps=steps, path=path, initial=initial).final
    return mlem.strong_error(end, reference(sde, path, initial, [fine])[-1])


def run_multilevel(
    sde: mlem.SDE, levels: mlem.Hierarchy, p: tuple[float, ...], steps: int, firing: str, paths: int = 2000
) -> mlem.Estimate:
    fine = reference_grid(sde, steps)
    path = mlem.BrownianPath(paths, sde.shape, fine, sde.horizon, seed=77)
    initial = sde.initial(paths, 77)
    end = mlem.multilevel_euler_maruyama(
        sde, levels[: len(p)], p, steps=steps, path=path, initial=initial, firing=firing, draws="per-path", seed=77
    ).final
    return mlem.strong_error(end, reference(sde, path, initial, [fine])[-1])


@given(st.floats(0.3, 1e5), st.sampled_from(FINE_GRIDS))
def test_divisor_near_is_the_nearest_in_ratio(wanted: float, fine: int) -> None:
    found = divisor_near(wanted, fine)
    assert fine % found == 0
    best = min(abs(math.log(n / wanted)) for n in range(1, fine + 1) if fine % n == 0)
    assert abs(math.log(found / wanted)) == pytest.approx(best)


@given(st.integers(1, 2000), st.floats(1.0, 2000.0))
def test_both_methods_fit_on_their_grid(euler_steps: int, wanted: float) -> None:
    for sde in (OU, WELL):
        em = allowed_steps(sde, euler_steps)
        other = allowed_steps(sde, wanted, em)
        grid = common_grid(sde, em, other)
        assert grid % em == 0
        assert grid % other == 0
        if sde.exact is not None:
            assert grid <= 2 * max(em, other), "a coarse grid is what keeps a race quick"
            assert other == 1 or 0.3 <= other / wanted <= 3.0, "a prime has few divisors below it"


def test_a_reference_is_much_finer_than_what_it_judges() -> None:
    assert reference_grid(OU, 123) == 123
    for steps in (70, 140, 280, 504):
        assert reference_grid(WELL, steps) >= 20 * steps


def test_step_error_is_interpolated_and_goes_on_with_order_one() -> None:
    model = ErrorModel(np.zeros(1), 0.0, np.array([10.0, 40.0]), np.array([0.4, 0.05]), np.ones(1), 1)
    assert model.step(10) == pytest.approx(0.4)
    assert model.step(20) == pytest.approx(math.sqrt(0.4 * 0.05))
    assert model.step(80) == pytest.approx(0.025)


def test_measured_terms_are_those_of_the_closed_form() -> None:
    sizes = [0.5, 0.2, 0.05]
    model = measure(OU, offsets(OU, sizes), "bernoulli")
    steps = divisor_near(OU.resolution, FINE_GRIDS[0])
    h = 1.0 / steps
    decay = (1 - h) ** np.arange(steps)  # what is left at T of a kick, per step, for rate 1
    assert model.bias == pytest.approx(np.array(sizes) * h * decay.sum(), rel=1e-6)
    jumps = np.diff(sizes)
    expected = steps * h**2 * (decay**2).sum() * jumps**2  # Q_k: excess = Q_k (1/n − 1/N)
    assert model.kicks[1:] == pytest.approx(expected, rel=0.3)
    assert model.order == 1


@pytest.mark.parametrize("sde", [OU, WELL], ids=lambda sde: sde.name)
def test_the_euler_plan_is_at_the_target_and_the_cheapest(sde: mlem.SDE) -> None:
    levels, epsilon = mlem.synthetic_hierarchy(sde, gamma=2.0, levels=7), 0.03
    plan = plan_euler(sde, levels, measure(sde, levels, "bernoulli"), epsilon)
    assert run_euler(sde, levels[plan.level - 1], plan.steps).value == pytest.approx(epsilon, rel=0.12)
    price = plan.steps * levels.costs[plan.level - 1]
    for k, level in enumerate(levels):
        affordable = allowed_steps(sde, 0.8 * price / levels.costs[k])
        if affordable >= 8 and affordable < 1000:
            assert run_euler(sde, level, affordable).low > epsilon, f"level {k + 1} would be cheaper"


@pytest.mark.parametrize("firing", ["bernoulli", "systematic", "nested", "held"])
@pytest.mark.parametrize("sde", [OU, WELL], ids=lambda sde: sde.name)
def test_the_multilevel_plan_is_at_the_target(sde: mlem.SDE, firing: str) -> None:
    levels, epsilon = mlem.synthetic_hierarchy(sde, gamma=2.5, levels=7), 0.03
    model = measure(sde, levels, firing)
    plan = plan_multilevel(sde, levels, model, epsilon, firing=firing, beside=48)
    error = run_multilevel(sde, levels, plan.probabilities, plan.steps, firing).value
    if firing == "held" and max(plan.probabilities[1:]) * plan.steps < 1:
        assert error < epsilon, "corrections that are held from the start on are already good enough"
    else:
        assert error == pytest.approx(epsilon, rel=0.15)


def test_the_power_law_plan_has_the_papers_shape() -> None:
    gamma, levels = 2.5, mlem.synthetic_hierarchy(OU, gamma=2.5, levels=7)
    plan = plan_multilevel(OU, levels, measure(OU, levels, "bernoulli"), 0.03, firing="bernoulli", beside=48, gamma=gamma)
    p = np.array(plan.probabilities)
    free = p < 1
    assert free.sum() >= 2
    assert p[free][:-1] / p[free][1:] == pytest.approx(2 ** (1 + gamma / 2))
    assert (np.diff(p) <= 0).all()
    assert run_multilevel(OU, levels, plan.probabilities, plan.steps, "bernoulli").value == pytest.approx(0.03, rel=0.15)


def test_the_optimal_shape_is_no_dearer_than_the_power_law() -> None:
    levels = mlem.synthetic_hierarchy(OU, gamma=2.5, levels=7, residual="independent")
    model = measure(OU, levels, "bernoulli")
    costs = []
    for gamma in (None, 2.5):
        plan = plan_multilevel(OU, levels, model, 0.02, firing="bernoulli", beside=48, gamma=gamma)
        path = mlem.BrownianPath(512, OU.shape, plan.steps, OU.horizon, seed=3)
        costs.append(
            mlem.multilevel_euler_maruyama(
                OU, levels[: len(plan.probabilities)], plan.probabilities, steps=plan.steps, path=path,
                initial=OU.initial(512, 3), draws="per-path",
            ).cost
        )  # fmt: skip
    assert costs[0] <= 1.08 * costs[1]


def test_what_cannot_be_reached_says_what_can() -> None:
    levels = offsets(OU, [0.5, 0.2])
    model = measure(OU, levels, "bernoulli")
    for plan in (
        lambda epsilon: plan_euler(OU, levels, model, epsilon),
        lambda epsilon: plan_multilevel(OU, levels, model, epsilon, firing="bernoulli", beside=20),
    ):
        with pytest.raises(Unreachable, match=r"epsilon takes a number ≥ .* with these levels, got 0.01: add levels") as caught:
            plan(0.01)
        assert plan(caught.value.nearest) is not None


def test_plans_do_not_touch_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    levels = mlem.synthetic_hierarchy(OU, gamma=1.0, levels=4)
    plan_euler(OU, levels, measure(OU, levels, "systematic"), 0.1)
    assert torch.equal(before, torch.random.get_rng_state())
