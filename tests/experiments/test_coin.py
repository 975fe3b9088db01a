"""Coin: the mean is f^K for any p_k, the variance is what the formulas say, and every rule pays the same."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

import mlem
from mlem.experiments.coin import (
    FIRINGS,
    RULES,
    CoinParams,
    CoinResult,
    corrections,
    outcomes,
    probabilities,
    run,
)
from mlem.experiments.result import to_csv, to_json

EVERY = list(product(RULES, FIRINGS))
Numbers = Float[np.ndarray, " levels"]


def costs_of(params: CoinParams) -> Numbers:
    return 2.0 ** (params.gamma * np.arange(1, params.levels + 1))


def expected_cost(firing: str, p: Numbers, costs: Numbers) -> float:
    """By summing over all outcomes: f^k is evaluated where its weight is not 0."""
    fired, chance = outcomes(firing, p)
    terms = np.hstack([fired / p, np.zeros((len(fired), 1))])
    return float(chance @ (terms[:, :-1] != terms[:, 1:]) @ costs / costs[-1])


def typical(p: Numbers, v: Numbers) -> float:
    return float((v * (1 / p - 1)).sum())


probability = st.floats(1e-3, 1.0)


# ── the estimator


@given(p=st.lists(probability, min_size=1, max_size=6).map(np.array), firing=st.sampled_from(list(FIRINGS)))
def test_outcomes_are_a_law_with_the_marginals_p(p: Numbers, firing: str) -> None:
    fired, chance = outcomes(firing, p)
    assert chance.sum() == pytest.approx(1.0, rel=1e-12)
    assert (chance >= 0).all()
    np.testing.assert_allclose(chance @ fired, p, rtol=1e-12)


@given(p=st.lists(probability, min_size=1, max_size=6).map(np.array), seed=st.integers(0, 1000))
def test_moments_over_the_outcomes_are_the_formulas(p: Numbers, seed: int) -> None:
    """Independent coins: Σ_k d_k²(1/p_k − 1). Nested: Σ_kl d_k d_l (1/max(p_k, p_l) − 1). The mean is Σ d_k in both."""
    d = np.random.default_rng(seed).standard_normal(len(p))
    for firing, covariance in (
        ("bernoulli", np.diag(1 / p - 1)),
        ("nested", 1 / np.maximum(p, p[:, None]) - 1),
    ):
        fired, chance = outcomes(firing, p)
        estimate = fired / p @ d
        assert chance @ estimate == pytest.approx(d.sum(), rel=1e-9, abs=1e-9)
        assert chance @ np.square(estimate - d.sum()) == pytest.approx(d @ covariance @ d, rel=1e-9, abs=1e-9)


@given(levels=st.integers(1, 6), numel=st.integers(1, 3), seed=st.integers(0, 1000))
def test_corrections_telescope(levels: int, numel: int, seed: int) -> None:
    drifts = np.random.default_rng(seed).standard_normal((levels, numel))
    np.testing.assert_allclose(corrections(drifts).cumsum(0), drifts, atol=1e-12)


@pytest.mark.parametrize(("rule", "firing"), EVERY)
def test_what_is_measured_is_what_is_exact(rule: str, firing: str) -> None:
    for sde in ("double-well", "gaussian-diffusion"):
        result = run(CoinParams(sde=sde, rule=rule, firing=firing, draws=10_000, seed=1))
        assert abs(result.mean.z or 0.0) < 5
        assert all(abs(level.z) < 5 for level in result.levels)
        assert (result.variance.z is None) == (firing == "systematic")
        assert abs(result.variance.z or 0.0) < 5


@pytest.mark.parametrize(("rule", "firing"), EVERY)
def test_wrong_estimators_are_found_out(rule: str, firing: str) -> None:
    """Named wrong implementations: 1/p_k left out of the sum, and f^k called where B_k fires alone, without the f^k that the
    next level's correction needs."""
    result = run(CoinParams(rule=rule, firing=firing, draws=10_000))
    glass = result.glass
    without = glass.fired @ glass.corrections
    assert abs(without.mean() - result.mean.exact) > 10 * without.std() / len(without) ** 0.5
    if firing != "nested":
        alone = (glass.fired & (np.pad(glass.weights[:, 1:], ((0, 0), (0, 1))) == 0)).sum(0)
        assert max(abs(alone - [c.expected for c in result.levels])) > 10 * len(without) ** 0.5 / 2


def test_nested_coins_do_not_have_the_variance_of_independent_ones() -> None:
    """Nested residuals make all corrections push the same way, and one coin for all lets them add up."""
    result = run(CoinParams(firing="nested", rule="too-flat", draws=10_000))
    p, d = np.array([level.p for level in result.levels]), result.glass.corrections
    independent = float((np.square(d) * (1 / p - 1)).sum())
    assert result.variance.z is not None
    deviation = (result.variance.measured - result.variance.exact) / result.variance.z
    assert abs(result.variance.z) < 5
    assert abs(result.variance.measured - independent) > 10 * abs(deviation)


def test_weights_and_estimates_are_those_of_the_draws() -> None:
    result = run(CoinParams(sde="lorenz", draws=50))
    glass, p = result.glass, np.array([level.p for level in result.levels])
    terms = glass.fired / p
    np.testing.assert_allclose(glass.weights, terms - np.pad(terms[:, 1:], ((0, 0), (0, 1))), rtol=1e-12)
    np.testing.assert_allclose(glass.estimates, terms @ glass.corrections, rtol=1e-9)
    np.testing.assert_allclose(glass.running, [glass.estimates[: n + 1].mean() for n in range(50)], rtol=1e-9)
    assert glass.running[-1] == pytest.approx(result.mean.measured, rel=1e-12)
    assert glass.drifts[-1] == result.mean.exact
    assert [level.evaluations for level in result.levels] == (glass.weights != 0).sum(0).tolist()


def test_the_state_is_one_path_at_mid_horizon() -> None:
    sde = mlem.problems.get("lorenz")
    path = mlem.BrownianPath(1, sde.shape, sde.resolution, sde.horizon, 3)
    states = mlem.euler_maruyama(sde, sde.drift, steps=path.steps, path=path, initial=sde.initial(1, 3), save="all").states
    assert states is not None
    glass = run(CoinParams(sde="lorenz", seed=3)).glass
    middle = states[path.steps // 2]
    assert glass.coordinate == 0
    assert glass.t == pytest.approx(sde.horizon / 2)
    assert glass.x == float(middle[0, 0])
    levels = mlem.synthetic_hierarchy(sde, gamma=2.5, levels=5)
    assert glass.drifts.tolist() == [float(level.drift(middle, glass.t)[0, 0]) for level in levels]


@pytest.mark.parametrize("firing", FIRINGS)
def test_more_draws_go_on_where_fewer_ended(firing: str) -> None:
    few, many = (run(CoinParams(firing=firing, draws=draws)).glass for draws in (40, 1000))
    assert np.array_equal(few.weights, many.weights[:40])
    assert np.array_equal(few.running, many.running[:40])


# ── the running mean and its band


@pytest.mark.parametrize("firing", FIRINGS)
def test_the_band_is_as_wide_as_the_mean_scatters(firing: str) -> None:
    """Over 40 seeds the squared distance to f^K, in deviations, averages 1, and so does the measured variance over the exact
    one. For even firing, the band of independent coins would be far too wide: a named wrong implementation."""
    squared, variance, wide = [], [], []
    for seed in range(40):
        result = run(CoinParams(firing=firing, draws=100, seed=seed, rule="power-law", levels=3, budget=0.3))
        assert result.mean.z is not None
        glass, p, off = result.glass, np.array([level.p for level in result.levels]), result.mean.measured - result.mean.exact
        assert glass.band[-1] == pytest.approx(1.96 * abs(off / result.mean.z), rel=1e-6)
        squared.append(result.mean.z**2)
        variance.append(result.variance.measured / result.variance.exact)
        wide.append(off**2 * 100 / (np.square(glass.corrections) * (1 / p - 1)).sum())

    def z(values: list[float]) -> float:
        return float((np.mean(values) - 1) / (np.std(values) / len(values) ** 0.5))

    assert abs(z(squared)) < 5
    assert abs(z(variance)) < 5
    if firing == "systematic":
        assert z(wide) < -10


# ── the budget


@st.composite
def markets(draw: st.DrawFn, firing: str | None = None) -> tuple[CoinParams, Numbers]:
    """Parameters, and mean squares of the corrections, which fall about like 4^−k."""
    params = CoinParams(
        gamma=draw(st.floats(0.25, 8.0)),
        levels=draw(st.integers(1, 6)),
        budget=draw(st.floats(0.001, 1.0)),
        firing=firing or draw(st.sampled_from(list(FIRINGS))),
    )
    scatter = draw(st.lists(st.floats(0.2, 5.0), min_size=params.levels, max_size=params.levels))
    return params, np.array(scatter) * 4.0 ** -np.arange(params.levels)


@given(market=markets())
def test_every_rule_costs_the_budget(market: tuple[CoinParams, Numbers]) -> None:
    params, v = market
    costs = costs_of(params)
    for rule in RULES:
        p = probabilities(rule, v, costs, params)
        assert ((p > 0) & (p <= 1)).all()
        assert expected_cost(params.firing, p, costs) == pytest.approx(params.budget, rel=1e-5)


@given(market=markets(firing="bernoulli"))
def test_no_rule_does_better_than_the_optimal_one(market: tuple[CoinParams, Numbers]) -> None:
    """With independent coins. 2 %: the price of a call does not know that two corrections may share an evaluation."""
    params, v = market
    best, *others = (typical(probabilities(rule, v, costs_of(params), params), v) for rule in RULES)
    assert best <= 1.02 * min(others)


@given(market=markets(firing="bernoulli"), more=st.floats(1.01, 3.0))
def test_a_larger_budget_buys_less_variance(market: tuple[CoinParams, Numbers], more: float) -> None:
    params, v = market
    rich = replace(params, budget=min(1.0, more * params.budget))
    here, there = (typical(probabilities("optimal", v, costs_of(given), given), v) for given in (params, rich))
    assert there <= here * (1 + 1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gamma", [0.25, 1.0, 2.5, 8.0])
def test_the_price_of_f_k_itself_buys_f_k_itself(rule: str, gamma: float) -> None:
    result = run(CoinParams(rule=rule, gamma=gamma, budget=1.0, draws=100))
    assert [level.p for level in result.levels] == [1.0] * 5
    assert [level.evaluations for level in result.levels] == [0, 0, 0, 0, 100]
    assert result.variance.exact == result.typical == result.optimal == 0.0
    assert result.mean.measured == pytest.approx(result.mean.exact, rel=1e-12)
    assert (result.mean.z, result.spent) == (0.0, 1.0)
    assert "nothing is left to chance" in result.summary()


def test_the_rules_have_their_shapes() -> None:
    params = CoinParams(gamma=1.0, levels=6, budget=0.05)  # so tight that nothing is clamped
    v, costs = np.array([level.v for level in run(params).levels]), costs_of(params)
    falls = {rule: np.diff(np.log2(probabilities(rule, v, costs, params))) for rule in RULES}
    np.testing.assert_allclose(falls["power-law"], -1.5, atol=1e-9)
    np.testing.assert_allclose(falls["too-flat"], 0.0, atol=1e-9)
    assert falls["too-steep"][1:] == pytest.approx([-3.0] * 4, abs=1e-9)
    prices = costs + np.append(0.0, costs[:-1])
    np.testing.assert_allclose(falls["optimal"][1:], 0.5 * np.diff(np.log2(v / prices))[1:], atol=1e-9)


@pytest.mark.parametrize("gamma", [2.0, 2.5, 4.0])
def test_at_the_right_p_every_level_has_its_fair_share(gamma: float) -> None:
    """v_k/p_k ∝ c_k p_k where p_k < 1: what is spent on a level is what it would bring. Too steep and too flat are not so."""

    def spread(rule: str) -> float:
        levels = [c for c in run(CoinParams(gamma=gamma, levels=6, budget=0.02, rule=rule)).levels if c.p < 1]
        prices = [c.p * 2 ** (gamma * c.level) for c in levels]
        shares = np.array([c.v / c.p / price for c, price in zip(levels, prices, strict=True)])
        return float(shares.max() / shares.min())

    assert spread("optimal") < 1.5
    assert spread("too-steep") > 10
    assert spread("too-flat") > 10


def test_f_1_is_free_where_it_is_worth_its_price() -> None:
    assert run(CoinParams()).levels[0].p == 1.0
    assert run(CoinParams(gamma=0.5)).levels[0].p < 1.0  # one f^1 costs a quarter of f^5, more than the budget


# ── the result


def exported(params: CoinParams) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(to_json("coin", params, run(params)))
    return content


@pytest.mark.parametrize("firing", FIRINGS)
def test_same_params_give_the_same_numbers(firing: str) -> None:
    params = CoinParams(firing=firing)
    content = exported(params)
    assert content == exported(CoinParams(**content["params"]))
    assert content["result"] != exported(replace(params, seed=1))["result"]
    here, there = run(params).glass, run(params).glass
    assert all(np.array_equal(getattr(here, name), getattr(there, name)) for name in ("fired", "weights", "running", "band"))


def test_the_export_holds_the_contract() -> None:
    result = exported(CoinParams(firing="systematic"))["result"]
    assert list(result) == ["levels", "mean", "variance", "typical", "optimal", "cost", "spent"]
    assert {"p", "variance", "variance_share", "cost", "cost_share"} <= set(result["levels"][0])
    assert set(result["mean"]) == {"exact", "measured", "z"}
    assert result["variance"]["z"] is None


@given(market=markets(), levels=st.sampled_from([1, 3, 5]))
def test_ledger_and_shares_add_up(market: tuple[CoinParams, Numbers], levels: int) -> None:
    params = replace(market[0], draws=37, levels=levels)
    result = run(params)
    assert [c.level for c in result.levels] == list(range(1, levels + 1))
    assert sum(c.cost for c in result.levels) == pytest.approx(result.cost) == pytest.approx(params.budget, rel=1e-5)
    assert sum(c.cost_share for c in result.levels) == pytest.approx(1.0)
    assert sum(c.variance for c in result.levels) == pytest.approx(result.typical)
    assert sum(c.variance_share for c in result.levels) == pytest.approx(1.0 if result.typical else 0.0)
    counts, costs = [c.evaluations for c in result.levels], costs_of(params)
    assert result.spent == pytest.approx(np.dot(counts, costs) / costs[-1] / 37)
    assert all(math.isfinite(c.z) for c in result.levels)
    assert len(to_csv(result.rows()).splitlines()) == levels + 1


def test_the_summary_says_what_was_found() -> None:
    def told(**given: Any) -> tuple[CoinResult, str]:
        result = run(CoinParams(**given))
        return result, result.summary()

    result, words = told()
    assert words.startswith(f"982 draws average {result.mean.measured:.4g}; level 5 says {result.mean.exact:.4g}")
    assert "the variance is 1 × that of the optimal rule at the same price" in words
    assert "successive draws depend on each other" in told(firing="systematic")[1]
    result, words = told(rule="too-flat")
    assert f"{result.typical / result.optimal:.3g} × that of the optimal rule" in words
    assert result.typical > 5 * result.optimal


def test_it_reports_and_can_be_cancelled() -> None:
    told: list[float] = []
    run(CoinParams(), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0

    def cancel(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(CoinParams(), cancel)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"budget": 0.0}, "budget takes a number ≥ 0.001 and ≤ 1, got 0"),
        ({"budget": 1.5}, "budget takes a number ≥ 0.001 and ≤ 1, got 1.5"),
        ({"draws": 0}, "draws takes an integer from 1 to 10000, got 0"),
        ({"levels": 11}, "levels takes an integer from 1 to 10, got 11"),
        ({"rule": "naive"}, "rule takes one of optimal, power-law, too-flat, too-steep, got 'naive'"),
        ({"firing": "poisson"}, "firing takes one of bernoulli, nested, systematic, got 'poisson'"),
    ],
)
def test_what_is_not_a_coin_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        CoinParams(**given)
