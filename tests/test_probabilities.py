from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

import mlem
from mlem.firing import as_probabilities
from mlem.ledger import Firing, expected_evaluations
from mlem.probabilities import call_prices, error_order, pilot, power_law_within, water_filling

KINDS = ("bernoulli", "systematic", "nested", "held", "poisson")
RATE, HORIZON = 1.5, 1.5
GAPS = (0.5, 0.2, 0.08, 0.03)  # f^k − f^{k−1} for k ≥ 2 below: a drift's error does not depend on the state
COSTS = (1.0, 5.0, 20.0, 90.0, 400.0)

Numbers = Float[np.ndarray, " n"]
Drift = Callable[[Tensor, float], Tensor]
ZScore = Callable[[Tensor, float], float]


def shifted(sde: mlem.SDE, by: float) -> Drift:
    return lambda x, t: sde.drift(x, t) + by


def constant_residuals(sde: mlem.SDE) -> mlem.Hierarchy:
    """f^k = f + a constant; the corrections of the levels from 2 on are ``GAPS``."""
    offsets = -np.cumsum((0.0, *GAPS)[::-1])[::-1]
    drifts = [shifted(sde, float(by)) for by in np.append(offsets[1:], 0.0)]
    return mlem.Hierarchy([mlem.Level(f, c) for f, c in zip(drifts, COSTS, strict=True)], sde=sde)


OU = mlem.problems.ornstein_uhlenbeck(dim=1, rate=RATE, noise=0.5, horizon=HORIZON)
LEVELS = constant_residuals(OU)


# ── the paper's power law


@given(gamma=st.floats(0.1, 8.0), constant=st.floats(0.01, 100.0), levels=st.integers(1, 5), steps=st.integers(1, 9))
def test_the_power_law_is_the_papers(gamma: float, constant: float, levels: int, steps: int) -> None:
    p = mlem.power_law(gamma, constant)(LEVELS[:levels], steps).tolist()
    assert p == pytest.approx([min(1.0, constant * 2 ** (-(1 + gamma / 2) * k)) for k in range(1, levels + 1)], rel=1e-12)


@pytest.mark.parametrize(
    ("gamma", "constant", "words"),
    [
        (0.0, 1.0, "gamma takes a number > 0, got 0"),
        (-1.0, 1.0, "gamma takes a number > 0, got -1"),
        (float("nan"), 1.0, "gamma takes a number > 0, got nan"),
        (2.5, 0.0, "constant takes a number > 0, got 0"),
        (2.5, float("inf"), "constant takes a number > 0, got inf"),
    ],
)
def test_the_power_law_takes_positive_numbers(gamma: float, constant: float, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        mlem.power_law(gamma, constant)


def test_a_rule_is_what_a_solver_takes() -> None:
    path = mlem.BrownianPath(4, OU.shape, 16, OU.horizon, seed=1)
    for rule in (mlem.power_law(2.5, 4.0), mlem.optimal(LEVELS, OU, cost=200.0, along_time=True)):
        solve = {"steps": 16, "path": path, "initial": OU.initial(4, 1)}
        by_rule, by_hand = (
            mlem.multilevel_euler_maruyama(OU, LEVELS, p, **solve)  # type: ignore[arg-type]
            for p in (rule, rule(LEVELS, 16))
        )
        assert torch.equal(by_rule.final, by_hand.final)


# ── water-filling


def excess(p: Numbers, effect: Numbers, order: int) -> float:
    return float((effect * (p**-order - 1)).sum())


@st.composite
def markets(draw: st.DrawFn) -> tuple[Numbers, Numbers, int]:
    n = draw(st.integers(1, 6))
    entry = st.floats(1e-6, 1e6)
    effect, price = (np.array(draw(st.lists(entry, min_size=n, max_size=n))) for _ in range(2))
    return effect, price, draw(st.sampled_from([1, 2]))


Market = tuple[Numbers, Numbers, int]


@given(market=markets(), share=st.floats(1e-4, 2.0))
def test_a_cost_is_spent_to_the_last(market: Market, share: float) -> None:
    effect, price, order = market
    p = water_filling(effect, price, cost=share * price.sum(), order=order)
    assert bool(((p > 0) & (p <= 1)).all())
    if share >= 1 + 1e-12:
        assert p.tolist() == [1.0] * len(p)
    else:
        assert float((price * p).sum()) == pytest.approx(share * price.sum(), rel=1e-9)


@given(market=markets(), log_error=st.floats(-6.0, 6.0))
def test_an_error_is_used_up(market: Market, log_error: float) -> None:
    effect, price, order = market
    error = 10**log_error * effect.sum()
    p = water_filling(effect, price, error=error, order=order)
    assert bool(((p > 0) & (p <= 1)).all())
    assert excess(p, effect, order) == pytest.approx(error, rel=1e-9)  # something is always free: p = 1 has no error at all


@given(market=markets(), share=st.floats(1e-3, 0.999))
def test_water_filling_meets_its_kkt_conditions(market: Market, share: float) -> None:
    """Entries that are free trade error for cost at one rate, −∂error/∂cost = r·effect/(price·p^(r+1)); those that are clamped
    would still win by more. The problem is convex, so that these suffice."""
    effect, price, order = market
    p = water_filling(effect, price, cost=share * price.sum(), order=order)
    rate, free = effect / (price * p ** (order + 1)), p < 1
    assert free.any()
    np.testing.assert_allclose(rate[free], rate[free][0], rtol=1e-9)
    assert bool((rate[~free] >= rate[free][0] * (1 - 1e-9)).all())


@given(market=markets(), share=st.floats(1e-3, 0.999))
def test_error_and_cost_are_two_ways_to_say_the_same(market: Market, share: float) -> None:
    effect, price, order = market
    p = water_filling(effect, price, cost=share * price.sum(), order=order)
    same = water_filling(effect, price, error=excess(p, effect, order), order=order)
    np.testing.assert_allclose(same, p, rtol=1e-6)


@given(market=markets(), share=st.floats(1e-3, 0.9), more=st.floats(1.0, 10.0))
def test_every_entry_grows_with_the_budget(market: Market, share: float, more: float) -> None:
    effect, price, order = market
    cost, error = share * price.sum(), share * effect.sum()
    poor, rich = (water_filling(effect, price, cost=c, order=order) for c in (cost, more * cost))
    assert bool((rich >= poor * (1 - 1e-9)).all())
    strict, lax = (water_filling(effect, price, error=e, order=order) for e in (error, more * error))
    assert bool((lax <= strict * (1 + 1e-9)).all())


@given(market=markets(), share=st.floats(1e-3, 0.999), seed=st.integers(0, 2**31))
def test_nothing_that_is_affordable_does_better(market: Market, share: float, seed: int) -> None:
    effect, price, order = market
    cost = share * price.sum()
    p = water_filling(effect, price, cost=cost, order=order)
    source = np.random.default_rng(seed)
    near = np.minimum(1.0, p * np.exp(0.1 * source.standard_normal((200, len(p)))))
    far = source.uniform(1e-3, 1.0, (200, len(p)))
    for q in np.concatenate([near, far]):
        q *= min(1.0, cost / (price @ q))
        assert excess(q, effect, order) >= excess(p, effect, order) * (1 - 1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", ["error", "cost"])
def test_water_filling_is_what_a_general_optimiser_finds(mode: str, order: int) -> None:
    """By SLSQP in u = log p, in which cost and error are both convex."""
    source = np.random.default_rng(7)
    clamped = 0
    for _ in range(6):
        effect, price = 4.0 ** -np.arange(5) * source.uniform(0.5, 2.0, 5), 3.0 ** np.arange(5) * source.uniform(0.5, 2.0, 5)

        def spent(u: Numbers, price: Numbers = price) -> float:
            return float(price @ np.exp(u) / price.sum())

        def wrong(u: Numbers, effect: Numbers = effect) -> float:
            return excess(np.exp(u), effect, order) / effect.sum()

        goal, limit, most = (spent, wrong, 0.5) if mode == "error" else (wrong, spent, 0.3)
        p = water_filling(effect, price, order=order, **{mode: most * (effect if mode == "error" else price).sum()})
        found = minimize(
            goal,
            np.full(5, -1.0),
            bounds=[(-12.0, 0.0)] * 5,
            constraints={"type": "ineq", "fun": lambda u, limit=limit, most=most: most - limit(u)},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert found.success
        np.testing.assert_allclose(p, np.exp(found.x), rtol=2e-3)
        assert goal(np.log(p)) <= goal(found.x) * (1 + 1e-6)
        naive = np.sqrt(effect * price)  # named wrong implementation: the reciprocal price
        naive *= most * price.sum() / (naive @ price) if mode == "cost" else 1.0
        assert mode == "error" or wrong(np.log(np.minimum(naive, 1.0))) > 1.05 * wrong(found.x)
        clamped += int((p == 1.0).sum())
    assert clamped > 0


def test_what_is_clamped_leaves_its_money_to_the_rest() -> None:
    """By hand: shapes 1, 1/2 and 1/4 and a budget of 2 of 3; the first is clamped, and the rest share what is left 2 : 1."""
    effect, price = np.array([1.0, 1 / 4, 1 / 16]), np.ones(3)
    assert water_filling(effect, price, cost=2.0).tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])
    cubes = np.array([1.0, 1 / 8, 1 / 64])
    assert water_filling(cubes, price, cost=2.0, order=2).tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])
    assert water_filling(effect, price, cost=1.4).tolist() == pytest.approx([0.8, 0.4, 0.2])
    assert water_filling(np.array([1.0, 4.0]), np.array([4.0, 1.0]), cost=2.0).tolist() == pytest.approx([1 / 4, 1.0])


def test_an_entry_without_effect_still_has_a_probability() -> None:
    """The first takes the whole budget."""
    p = water_filling(np.array([1.0, 1e-300]), np.ones(2), cost=1.0)
    assert p[0] == 1.0
    assert p[1] > 0
    assert math.isfinite(1 / p[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give either error or cost, got neither"),
        ({"error": 0.1, "cost": 2.0}, "give either error or cost, got both: error=0.1, cost=2.0"),
        ({"error": 0.0}, "error takes a number > 0, got 0"),
        ({"error": float("nan")}, "error takes a number > 0, got nan"),
        ({"cost": -1.0}, "cost takes a number > 0, got -1"),
        ({"cost": float("inf")}, "cost takes a number > 0, got inf"),
        ({"cost": 1.0, "order": 0}, "order takes an integer ≥ 1, got 0"),
        ({"cost": 1.0, "effect": np.array([1.0, 0.0])}, "effect takes positive numbers, got 0"),
        ({"cost": 1.0, "effect": np.array([np.nan, 1.0])}, "effect takes positive numbers, got nan"),
        ({"cost": 1.0, "price": np.array([1.0, -2.0])}, "price takes positive numbers, got -2"),
        ({"cost": 1.0, "price": np.array([1.0, np.inf])}, "price takes positive numbers, got inf"),
    ],
)
def test_water_filling_takes_one_budget_and_positive_numbers(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        water_filling(**{"effect": np.ones(2), "price": np.ones(2), **options})  # type: ignore[arg-type]


# ── the power law within a budget


@given(market=markets(), decay=st.floats(0.5, 5.0), share=st.floats(1e-3, 10.0))
def test_the_power_law_within_an_error_uses_it_up(market: Market, decay: float, share: float) -> None:
    effect, _, order = market
    error = share * float(effect.sum())
    raw = power_law_within(effect, decay, error, order)
    np.testing.assert_allclose(raw[1:] / raw[:-1], 2**-decay, rtol=1e-9)
    assert excess(np.minimum(1.0, raw), effect, order) == pytest.approx(error, rel=1e-3)


def test_the_power_law_within_an_error_is_the_papers() -> None:
    effect, gamma = np.array([3.0, 0.5, 0.1, 0.02]), 2.5
    raw = power_law_within(effect, 1 + gamma / 2, 0.3, 1)
    constant = float(raw[0]) * 2 ** (1 + gamma / 2)
    p = mlem.power_law(gamma, constant)(LEVELS[:4], 1).numpy()
    assert p.tolist() == pytest.approx(np.minimum(1.0, raw).tolist())
    assert excess(p, effect, 1) == pytest.approx(0.3, rel=1e-4)


# ── the pilot


def decay(steps: int, rate: float = RATE) -> Numbers:
    """What is left at T, by Euler–Maruyama, of a kick before each step: (1 − λh)^(N−n)."""
    return (1 - rate * HORIZON / steps) ** np.arange(steps, 0, -1.0)


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_sensitivity_of_ou_is_its_decay(noise: float, dim: int) -> None:
    sde = mlem.problems.ornstein_uhlenbeck(dim=dim, rate=RATE, noise=noise, horizon=HORIZON)
    measured = pilot(constant_residuals(sde), sde, steps=480)
    assert measured.times.tolist() == pytest.approx([HORIZON * (m + 0.5) / 12 for m in range(12)])
    n = (measured.times / HORIZON * 480).round().astype(int)
    np.testing.assert_allclose(measured.sensitivity, decay(480)[n] ** 2, rtol=1e-6)
    np.testing.assert_allclose(measured.sensitivity, np.exp(-2 * RATE * (HORIZON - measured.times)), rtol=0.015)
    backwards = np.exp(-2 * RATE * measured.times)  # named wrong implementation: the time that has passed
    assert np.abs(measured.sensitivity / backwards - 1).min() > 0.15


def test_the_sensitivity_of_an_unstable_drift_grows() -> None:
    sde = mlem.SDE("up", "Up", (2,), 1.0, lambda x, t: 1.5 * x, lambda t: 0.2, lambda z, u: z)
    levels = mlem.Hierarchy([mlem.Level(sde.drift, 1.0)], sde=sde)
    measured = pilot(levels, sde, steps=600)
    np.testing.assert_allclose(measured.sensitivity, np.exp(3.0 * (1 - measured.times)), rtol=0.01)


def test_the_sensitivity_is_a_mean_over_coordinates() -> None:
    """Two coordinates that decay at the rates 0 and 3; kicks have random directions, hence the tolerance."""
    rates = torch.tensor([0.0, 3.0], dtype=torch.float64)
    sde = mlem.SDE("two", "Two", (2,), 1.0, lambda x, t: -rates * x, lambda t: 0.2, lambda z, u: z)
    measured = pilot(mlem.Hierarchy([mlem.Level(sde.drift, 1.0)], sde=sde), sde, steps=600)
    np.testing.assert_allclose(measured.sensitivity, (1 + np.exp(-6 * (1 - measured.times))) / 2, rtol=0.15)


def test_kicks_are_the_mean_squares_of_the_corrections() -> None:
    """Without noise, so that the path is known: X_{n+1} = X_n − λhX_n from 1."""
    sde = mlem.problems.ornstein_uhlenbeck(dim=2, rate=RATE, noise=0.0, horizon=HORIZON)
    measured = pilot(constant_residuals(sde), sde, steps=60)
    np.testing.assert_allclose(measured.kicks[:, 1:], np.broadcast_to(np.square(GAPS), (12, 4)), rtol=1e-9)
    x = (1 - RATE * HORIZON / 60) ** (measured.times / HORIZON * 60)
    np.testing.assert_allclose(measured.kicks[:, 0], (RATE * x + sum(GAPS)) ** 2, rtol=1e-9)


def test_kicks_are_measured_along_the_paths_of_the_finest_level() -> None:
    """E‖f^1‖² = (λm + Σ gaps)² + λ²v with Euler–Maruyama's own mean m and variance v; what is squared is Gaussian."""
    measured = pilot(LEVELS, OU, steps=60)
    h = HORIZON / 60
    n, keep = (measured.times / h).round(), 1 - RATE * h
    m, v = keep**n, 0.25 * h * (1 - keep ** (2 * n)) / (1 - keep**2)

    def z(mean: Numbers, variance: Numbers) -> Numbers:
        spread = np.sqrt((4 * mean**2 * variance + 2 * variance**2) / 1024)
        return np.abs(measured.kicks[:, 0] - mean**2 - variance) / spread

    assert z(RATE * m + sum(GAPS), RATE**2 * v).max() < 5
    assert z(RATE * m, RATE**2 * v).max() > 10  # named wrong implementation: the finest level's drift
    coarse = m - sum(GAPS) / RATE * (1 - m)
    assert z(RATE * coarse + sum(GAPS), RATE**2 * v).max() > 10  # named wrong implementation: the coarsest level's paths


@pytest.mark.parametrize("steps", [1, 5, 12, 13])
def test_a_pilot_of_few_steps_measures_each_once(steps: int) -> None:
    measured = pilot(LEVELS, OU, steps=steps)
    assert len(set(measured.times.tolist())) == len(measured.times) == min(steps, 12)
    assert measured.kicks.shape == (len(measured.times), 5)
    assert measured.sensitivity.shape == (len(measured.times),)


def test_a_pilot_is_a_function_of_its_seed() -> None:
    one, same, other = (pilot(LEVELS, OU, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.kicks, same.kicks)
    assert np.array_equal(one.sensitivity, same.sensitivity)
    assert not np.array_equal(one.kicks, other.kicks)
    assert len(one.times) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [({"steps": 0}, "steps takes an integer ≥ 1, got 0"), ({"seed": -1}, "seed takes an integer ≥ 0, got -1")],
)
def test_pilots_refuse_bad_numbers(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        pilot(LEVELS, OU, **options)


# ── the optimal allocation


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_priced_at_what_it_makes_be_evaluated(kind: str) -> None:
    assert error_order(kind) == (2 if kind in ("systematic", "held") else 1)
    prices = call_prices(np.array([1.0, 4.0, 16.0]), kind)
    assert prices.tolist() == ([1.0, 4.0, 16.0] if kind == "nested" else [1.0, 5.0, 20.0])


def optimal_p(steps: int = 60, **options: object) -> Numbers:
    """(K,) or (steps, K)."""
    rule = mlem.optimal(LEVELS, OU, **options)  # type: ignore[arg-type]
    return np.asarray(rule(LEVELS, steps).numpy())


@pytest.mark.parametrize("budget", [{"error": 0.01}, {"cost": 4000.0}])
@pytest.mark.parametrize("kind", KINDS)
def test_the_optimal_shape_is_the_root_of_effect_over_price(kind: str, budget: dict[str, float]) -> None:
    """Corrections and sensitivity are known, those of level 1 apart: p_k ∝ (v_k/c_k)^(1/(r+1))."""
    p = optimal_p(firing=kind, **budget)
    assert p.shape == (5,)
    assert bool(((p > 0) & (p <= 1)).all())
    price = call_prices(np.array(COSTS), kind)
    shape = (np.square(GAPS) / price[1:]) ** (1 / (error_order(kind) + 1))
    free = p[1:] < 1
    assert free.sum() >= 2
    ratio = (p[1:] / shape)[free]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


@pytest.mark.parametrize("budget", [{"error": 0.01}, {"cost": 4000.0}])
@pytest.mark.parametrize("kind", KINDS)
def test_along_time_the_optimal_shape_follows_the_sensitivity(kind: str, budget: dict[str, float]) -> None:
    p = optimal_p(firing=kind, along_time=True, **budget)
    assert p.shape == (60, 5)
    assert bool(((p > 0) & (p <= 1)).all())
    at = (pilot(LEVELS, OU).times / HORIZON * 60).round().astype(int)  # between these, G² is interpolated
    root = 1 / (error_order(kind) + 1)
    price = call_prices(np.array(COSTS), kind)[1:]
    shape = (decay(60)[at, None] ** 2 * np.square(GAPS) / price) ** root
    free = p[at, 1:] < 1
    assert free.sum() >= 12
    ratio = (p[at, 1:] / shape)[free]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert p[-1, 4] > 1.5 * p[0, 4]


@pytest.mark.parametrize("steps", [7, 60, 500])
@pytest.mark.parametrize("along_time", [False, True])
@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested"])
def test_the_expected_cost_lands_on_the_budget(kind: str, along_time: bool, steps: int) -> None:
    """Where two neighbours fire at once, the lower one is paid for once: independent calls cost c_k p_k p_{k+1} less. With
    nested coins p_k is all that level k costs. Where two neighbours are certain, the lower one is not called at all."""
    budget = 40.0 * steps
    p = optimal_p(steps, firing=kind, along_time=along_time, cost=budget)
    p = np.broadcast_to(p, (steps, 5))
    assert float((p @ call_prices(np.array(COSTS), kind)).sum()) == pytest.approx(budget, rel=1e-9)
    grid = as_probabilities(torch.from_numpy(p.copy()), 5, steps, 1)
    expected = float(expected_evaluations(Firing(kind, grid, steps, steps, 1)) @ COSTS)
    both, certain = p[:, :-1] * p[:, 1:], (p[:, :-1] == 1) & (p[:, 1:] == 1)
    saved = float(((0.0 if kind == "nested" else both) + certain) @ COSTS[:-1] @ np.ones(steps))
    assert expected == pytest.approx(budget - saved, rel=1e-9)


def closed_excess(p: Numbers, steps: int = 60) -> float:
    """E‖ML-EM − EM‖² at T where p_1 = 1: h² Σ_n G²_{n+1} Σ_k gap_k² (1/p_k − 1), since the drift is linear."""
    p = np.broadcast_to(p, (steps, 5))
    assert bool((p[:, 0] == 1).all())
    after = np.append(decay(steps)[1:], 1.0)
    return float((after**2 @ (np.square(GAPS) * (1 / p[:, 1:] - 1)).sum(1)) * (HORIZON / steps) ** 2)


@pytest.mark.parametrize("along_time", [False, True])
@pytest.mark.parametrize("steps", [60, 240])
def test_the_excess_error_lands_on_the_budget(steps: int, along_time: bool) -> None:
    """The pilot takes the SDE's 60 rough steps, on which G is known to λh = 0.04."""
    p = optimal_p(steps, along_time=along_time, error=0.02)
    assert closed_excess(p, steps) ** 0.5 == pytest.approx(0.02, rel=0.05)
    assert closed_excess(optimal_p(steps, along_time=along_time, error=0.01), steps) ** 0.5 == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("along_time", [False, True])
def test_paths_have_the_excess_error_that_was_asked_for(along_time: bool, z_score: ZScore) -> None:
    p, n = optimal_p(along_time=along_time, error=0.02), 8192
    path, initial = mlem.BrownianPath(n, OU.shape, 60, OU.horizon, seed=5), OU.initial(n, 5)
    finest = mlem.euler_maruyama(OU, LEVELS[-1], steps=60, path=path, initial=initial).final

    def squares(q: Numbers, kind: str = "bernoulli") -> Tensor:
        solution = mlem.multilevel_euler_maruyama(
            OU, LEVELS, torch.from_numpy(q), steps=60, path=path, initial=initial, firing=kind, draws="per-path", seed=6
        )
        return (solution.final - finest).square()

    exact = closed_excess(p)
    assert abs(z_score(squares(p), exact)) < 5
    if along_time:  # named wrong implementation: the sensitivity run backwards, at the same cost
        assert z_score(squares(p[::-1].copy()), exact) > 10
    else:  # named wrong implementation: p_k ∝ v_k/c_k, at the same cost
        prices = call_prices(np.array(COSTS), "bernoulli")
        naive = water_filling(np.square(GAPS) ** 2 / prices[1:], prices[1:], cost=float(p[1:] @ prices[1:]))
        assert z_score(squares(np.append(1.0, naive)), exact) > 10
    even = optimal_p(along_time=along_time, error=0.02, firing="systematic")
    assert z_score(squares(even, "systematic"), exact) < -10  # evenly spread calls stay below the budget


def test_along_time_is_better_at_the_same_cost() -> None:
    flat, along = (optimal_p(cost=4000.0, along_time=along) for along in (False, True))
    assert closed_excess(along) < 0.95 * closed_excess(flat)


@given(budget=st.floats(10.0, 1e5), along_time=st.booleans(), kind=st.sampled_from(KINDS), steps=st.integers(1, 90))
def test_optimal_probabilities_can_be_thrown(budget: float, along_time: bool, kind: str, steps: int) -> None:
    p = optimal_p(steps, firing=kind, along_time=along_time, cost=budget)
    assert p.shape == ((steps, 5) if along_time else (5,))
    as_probabilities(p, 5, steps, 1)


def test_a_level_that_corrects_nothing_is_hardly_called() -> None:
    levels = mlem.Hierarchy([mlem.Level(OU.drift, 1.0), mlem.Level(OU.drift, 4.0)], sde=OU)
    for along_time in (False, True):
        p = mlem.optimal(levels, OU, cost=30.0, along_time=along_time)(levels, 60)
        as_probabilities(p, 2, 60, 1)
        assert float(p[..., 1].max()) < 1e-100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give either error or cost, got neither"),
        ({"error": 0.1, "cost": 2.0}, "give either error or cost, got both: error=0.1, cost=2.0"),
        ({"error": -0.1}, "error takes a number > 0, got -0.1"),
        ({"cost": 0.0}, "cost takes a number > 0, got 0"),
        ({"cost": 1.0, "firing": "often"}, "firing takes one of bernoulli, systematic, nested, held, poisson, got 'often'"),
        ({"cost": 1.0, "seed": -1}, "seed takes an integer ≥ 0, got -1"),
    ],
)
def test_optimal_refuses_before_any_work(options: dict[str, object], words: str) -> None:
    called: list[float] = []

    def drift(x: Tensor, t: float) -> Tensor:
        called.append(t)
        return -x

    levels = mlem.Hierarchy([mlem.Level(drift, 1.0)], sde=OU)
    called.clear()
    with pytest.raises(ValueError, match=re.escape(words)):
        mlem.optimal(levels, OU, **options)  # type: ignore[arg-type]
    assert called == []
