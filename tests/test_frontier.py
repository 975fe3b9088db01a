from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlem.errors import Estimate
from mlem.frontier import (
    RESAMPLES,
    Envelope,
    Runs,
    breakeven,
    breakeven_gamma,
    cautions,
    envelope,
    exponent,
    frontier,
    known,
    level_prices,
    prices,
    shares,
    speedup,
)

PATHS = 64


def power_law(exponent: float, *, factor: float = 1.0, points: int = 9, noise: float = 0.0, seed: int = 0) -> Runs:
    """One family with errors 2^−1, 2^−2, … and costs (as evaluations of f¹) factor · error^−exponent; each run has noise of its
    own of this deviation in the logarithm of each square."""
    error = 2.0 ** -np.arange(1.0, points + 1)
    spread = noise * np.random.default_rng(seed).standard_normal((PATHS, points))
    squared = error**2 * np.exp(spread - noise**2 / 2)
    return Runs(np.zeros(points, dtype=int), factor * error[:, None] ** -exponent, np.ones(points), squared)


def evaluations(runs: Runs) -> np.ndarray:
    return prices(runs, "evaluations", 1.0)


def make_curve(runs: Runs, targets: np.ndarray | None = None) -> Envelope:
    return envelope(runs, evaluations(runs), np.geomspace(2.0**-8, 0.4, 16) if targets is None else targets)


def width(found: Estimate) -> float:
    return found.high - found.low


@st.composite
def clouds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors, costs and families of some runs, in no order."""
    n = draw(st.integers(1, 12))
    number = st.floats(1e-3, 1e3)
    errors, costs = (np.array(draw(st.lists(number, min_size=n, max_size=n))) for _ in range(2))
    return errors, costs, np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))


TARGETS = np.geomspace(1e-4, 1e4, 40)


@given(cloud=clouds())
def test_no_run_lies_below_the_frontier(cloud: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    errors, costs, family = cloud
    assert (frontier(errors, costs, family, errors) <= costs * (1 + 1e-12)).all()
    found, reached = frontier(errors, costs, family, TARGETS), errors.min() <= TARGETS
    assert (np.diff(found[reached]) <= 1e-9 * costs.max()).all()
    assert np.isinf(found[~reached]).all()
    assert found[-1] == pytest.approx(costs.min())


@given(cloud=clouds())
def test_it_is_what_a_plain_search_finds(cloud: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    errors, costs, family = cloud
    runs = list(zip(errors, costs, family, strict=True))
    for target, found in zip(TARGETS, frontier(errors, costs, family, TARGETS), strict=True):
        offers = [c for e, c, _ in runs if e <= target] + [math.inf]
        for one in set(family):
            members = [(e, c) for e, c, f in runs if f == one]
            for (e0, c0), (e1, c1) in pairwise(members):
                if min(e0, e1) <= target <= max(e0, e1) and abs(math.log(e1 / e0)) > 1e-6:
                    offers.append(c0 * (c1 / c0) ** (math.log(target / e0) / math.log(e1 / e0)))
        assert found == pytest.approx(min(offers), rel=1e-6)


@given(cloud=clouds(), order=st.permutations(range(3)), unit=st.floats(1e-6, 1e6))
def test_families_may_come_in_any_order_and_costs_in_any_unit(
    cloud: tuple[np.ndarray, np.ndarray, np.ndarray], order: list[int], unit: float
) -> None:
    errors, costs, family = cloud
    sorted_by = np.argsort(np.array(order)[family], kind="stable")  # families apart, each in its own order
    there = frontier(errors[sorted_by], unit * costs[sorted_by], family[sorted_by], TARGETS)
    np.testing.assert_allclose(there, unit * frontier(errors, costs, family, TARGETS), rtol=1e-9)


def test_between_neighbours_it_is_straight_in_log_log() -> None:
    errors, costs = np.array([0.4, 0.1]), np.array([10.0, 1000.0])
    assert frontier(errors, costs, np.zeros(2, dtype=int), np.array([0.2]))[0] == pytest.approx(100.0)
    strangers = frontier(errors, costs, np.arange(2), np.array([0.2]))[0]
    assert strangers == pytest.approx(1000.0), "runs of two families are not interpolated between"


def test_resamples_are_frontiers_of_their_own() -> None:
    runs = power_law(2.0, noise=1.0)
    both = frontier(runs.resampled, evaluations(runs), runs.family, TARGETS)
    assert both.shape == (RESAMPLES, len(TARGETS))
    np.testing.assert_array_equal(both[7], frontier(runs.resampled[7], evaluations(runs), runs.family, TARGETS))


def test_prices_of_three_runs() -> None:
    counts = np.array([[4.0, 0, 0], [0, 2, 0], [8, 2, 1]])
    runs = Runs(np.arange(3), counts, np.array([0.1, 0.2, 0.3]), np.ones((4, 3)))
    assert prices(runs, "cost", 2.0).tolist() == [4.0, 8.0, 32.0]
    assert prices(runs, "evaluations", 2.0).tolist() == [4.0, 2.0, 11.0]
    assert prices(runs, "seconds", 2.0).tolist() == [0.1, 0.2, 0.3]
    assert prices(replace(runs, flops=np.array([41.0, 161.0, 641.0])), "flops", 2.0).tolist() == [164.0, 322.0, 1291.0]
    with pytest.raises(ValueError, match="unit takes flops for levels that do real work"):
        prices(runs, "flops", 2.0)
    assert level_prices(3, "cost", 0.5).tolist() == [1.0, 2**0.5, 2.0]


@given(slope=st.floats(0.5, 6.0), factor=st.floats(1e-3, 1e6))
def test_the_exponent_of_a_power_law_is_exact(slope: float, factor: float) -> None:
    found = exponent(make_curve(power_law(slope, factor=factor)))
    assert (found.value, found.low, found.high) == pytest.approx((slope,) * 3, abs=1e-7)


def test_paths_are_resampled_jointly() -> None:
    """A path that is bad in all runs moves the curve, not its slope, nor a ratio of two curves at equal exponents. Named wrong
    implementation: each run resampled apart."""
    bad = np.exp(np.random.default_rng(1).standard_normal((PATHS, 1)))
    runs = power_law(2.5)
    together = Runs(runs.family, runs.evaluations, runs.seconds, runs.squared * bad)
    deal = np.random.default_rng(2)
    apart = Runs(runs.family, runs.evaluations, runs.seconds, np.stack([deal.permutation(c) for c in together.squared.T], 1))
    right, wrong = (make_curve(one) for one in (together, apart))
    assert width(exponent(wrong)) > 10 * width(exponent(right))
    assert right.band()[1][8] / right.band()[0][8] > 1.5
    costly = Envelope(right.targets, 3 * right.costs, 3 * right.resampled)
    ratio, loose = speedup(costly, right, 0.05), speedup(costly, wrong, 0.05)
    assert ratio is not None
    assert loose is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0,) * 3)
    assert loose.high / loose.low > 1.5


def test_most_intervals_hold_the_truth() -> None:
    """95 % of 200: 190 ± 3.1. A frontier is a least over noisy runs, so that a few are lost; half the width loses many."""
    trials, hits = 200, np.zeros(2)
    for seed in range(trials):
        found = exponent(make_curve(power_law(2.5, noise=1.2, seed=seed), np.geomspace(2.0**-7, 0.25, 10)))
        off = abs(found.value - 2.5)
        hits += [found.low <= 2.5 <= found.high, off <= (found.high - found.low) / 4]
    assert 0.88 * trials <= hits[0] <= 0.99 * trials
    assert hits[1] < 0.8 * trials


def test_breakeven_of_two_power_laws() -> None:
    """error^−3.5 and 8 · error^−2.5 meet at 1/8."""
    em, mlem = make_curve(power_law(3.5)), make_curve(power_law(2.5, factor=8.0))
    found = breakeven(em, mlem)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.125,) * 3, rel=1e-6)
    assert breakeven(mlem, em) is None, "dearer at the smallest error"
    assert breakeven(em, make_curve(power_law(2.5, factor=0.1))) is None, "cheaper everywhere"
    ratio = speedup(em, mlem, 0.125 / 4)
    assert ratio is not None
    assert ratio.value == pytest.approx(4.0, rel=1e-6)


def test_breakeven_has_an_interval_that_ends_with_the_targets() -> None:
    em, mlem = make_curve(power_law(3.0, noise=2.0)), make_curve(power_law(2.5, factor=3.0, noise=2.0, seed=1))
    found = breakeven(em, mlem)
    assert found is not None
    assert em.targets[0] <= found.low < found.value <= found.high <= em.targets[-1] * (1 + 1e-12)


def ladder_of_ratios(*, noise: float = 0.0, factor: float = 4.0) -> tuple[list[tuple[Envelope, Envelope]], list[float]]:
    """EM costs error^−(γ+1), ML-EM ``factor`` · error^−1 at each γ: at an error ε they meet at γ = log factor / log(1/ε)."""
    gammas = [0.25 * k for k in range(1, 13)]
    mlem = make_curve(power_law(1.0, factor=factor, noise=noise, seed=1))
    return [(make_curve(power_law(gamma + 1.0, noise=noise)), mlem) for gamma in gammas], gammas


def test_breakeven_in_gamma_of_power_laws() -> None:
    curves, gammas = ladder_of_ratios()
    found = breakeven_gamma(curves, gammas, 2.0**-4)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5,) * 3, rel=1e-6)
    assert breakeven_gamma(curves, gammas, 2.0**-20) is None, "no target there"
    for factor, why in ((0.1, "cheaper at every γ"), (1e9, "dearer at every γ")):
        assert breakeven_gamma(ladder_of_ratios(factor=factor)[0], gammas, 2.0**-4) is None, why


def test_breakeven_in_gamma_has_an_interval() -> None:
    curves, gammas = ladder_of_ratios(noise=1.0)
    found = breakeven_gamma(curves, gammas, 2.0**-4)
    assert found is not None
    assert gammas[0] <= found.low < found.value < found.high <= gammas[-1]


def test_what_is_not_reached_has_no_ratio() -> None:
    em, mlem = make_curve(power_law(3.5, points=4)), make_curve(power_law(2.5))
    assert np.isinf(em.costs[0])
    assert em.finite.min() >= 2.0**-4
    assert speedup(em, mlem, 2.0**-7) is None
    assert speedup(em, mlem, 0.9) is None, "no target there"
    assert speedup(em, mlem, 2.0**-3) is not None


def test_a_curve_ends_where_a_doubtful_run_would_be_cheaper() -> None:
    curve = make_curve(power_law(2.0))
    middle = curve.targets[7]
    cheap, dear = np.array([curve.costs[7] / 2]), np.array([curve.costs[0] * 2])
    cut = known(curve, np.array([middle * 0.99]), cheap)
    assert cut.finite.min() > middle, "it might be the cheapest at this target, and at coarser ones as long as it is cheaper"
    assert (cut.costs[np.isfinite(cut.costs)] <= cheap).all()
    assert np.isinf(cut.resampled[:, np.isinf(cut.costs)]).all()
    np.testing.assert_array_equal(cut.costs[np.isfinite(cut.costs)], curve.costs[np.isfinite(cut.costs)])
    for harmless in (known(curve, np.array([middle]), dear), known(curve, np.empty(0), np.empty(0))):
        np.testing.assert_array_equal(harmless.costs, curve.costs)
    assert not len(known(curve, np.array([1e-9]), np.array([1e-9])).finite)


def test_shares_follow_the_run_and_lie_between_neighbours() -> None:
    counts = np.array([[8.0, 0, 0], [8, 2, 1]])
    squared = np.tile(np.array([0.04, 0.0025]), (4, 1))
    runs = Runs(np.zeros(2, dtype=int), counts, np.ones(2), squared)
    found = shares(runs, 2.0, np.array([0.04, 0.05, 0.1, 0.2, 0.5]))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [8 / 32, 8 / 32, 16 / 32])
    np.testing.assert_allclose(found[2], [(1 + 8 / 32) / 2, 4 / 32, 8 / 32])
    np.testing.assert_allclose(found[3:], [[1, 0, 0]] * 2)
    np.testing.assert_allclose(shares(runs, 2.0, np.array([0.05]), "evaluations"), [[8 / 11, 2 / 11, 1 / 11]])


def test_a_good_curve_has_no_cautions() -> None:
    assert cautions(make_curve(power_law(2.5, noise=0.5))) == ()


def test_cautions_in_words() -> None:
    assert cautions(make_curve(power_law(2.5, points=4))) == ("The errors span 0.8 decades; a slope wants at least 1.5.",)
    few = cautions(make_curve(power_law(2.5), np.geomspace(2.0**-8, 0.4, 4)))
    assert few == ("Only 4 target errors are reached; a slope wants at least 5.",)
    straight = power_law(2.5, noise=0.5)
    bent = Runs(straight.family, straight.evaluations * np.arange(1, 10)[:, None] ** 2, straight.seconds, straight.squared)
    (said,) = cautions(make_curve(bent))
    assert said.startswith("The curve is bent: its slope is")
    assert cautions(make_curve(power_law(2.5, points=1), np.array([0.1, 0.2])))[0].startswith("Only 0 target errors")


def test_a_resample_without_any_error_is_survived() -> None:
    squared = power_law(2.5).squared
    squared[1:, 0] = 0.0
    runs = Runs(np.zeros(9, dtype=int), power_law(2.5).evaluations, np.ones(9), squared)
    found = exponent(make_curve(runs))
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


GOOD: dict[str, Any] = {
    "family": np.zeros(2, dtype=int),
    "evaluations": np.ones((2, 3)),
    "seconds": np.ones(2),
    "squared": np.ones((4, 2)),
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluations": np.full((2, 3), -1.0)}, "evaluations takes finite numbers ≥ 0"),
        ({"squared": -np.ones((4, 2))}, "squared takes finite numbers ≥ 0"),
        ({"squared": np.full((4, 2), math.inf)}, "squared takes finite numbers ≥ 0; leave out runs that left"),
        ({"seconds": np.array([1.0, math.nan])}, "seconds takes finite numbers ≥ 0"),
    ],
)
def test_runs_that_are_not_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Runs(**(GOOD | changes))


def test_what_has_no_frontier_is_refused() -> None:
    runs = power_law(2.5)
    with pytest.raises(ValueError, match="costs takes positive numbers, got 0"):
        envelope(runs, np.zeros(9), TARGETS)
    with pytest.raises(ValueError, match="targets takes ascending errors"):
        make_curve(runs, TARGETS[::-1])
    with pytest.raises(ValueError, match="at least two targets that are reached, got 1"):
        exponent(make_curve(runs, np.array([0.1])))
    with pytest.raises(ValueError, match="envelopes at the same targets"):
        speedup(make_curve(runs), make_curve(runs, TARGETS), 0.1)
    with pytest.raises(ValueError, match="unit takes one of cost, evaluations, flops, seconds, got 'euro'"):
        prices(runs, "euro", 1.0)
    with pytest.raises(ValueError, match="unit takes one of cost, evaluations, got 'seconds'"):
        shares(runs, 1.0, TARGETS, "seconds")
