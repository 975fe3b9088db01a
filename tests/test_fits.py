from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from mlem.fits import cost_exponent, exponent_with_floor

Squared = Float[np.ndarray, "paths points"]


def sheet(
    exponent: float, points: int = 5, paths: int = 60, *, noise: float = 0.0, seed: int = 0
) -> tuple[Squared, np.ndarray]:
    """Errors 2^−k with independent noise of this deviation in the logarithm of each square, and costs (1/error)^exponent."""
    k = np.arange(1.0, points + 1)
    spread = noise * np.random.default_rng(seed).standard_normal((paths, points))
    return np.exp(spread - noise**2 / 2) * 4.0**-k, 2.0 ** (exponent * k)


@given(exponent=st.floats(-3.0, 9.0), points=st.integers(2, 10), factor=st.floats(1e-6, 1e6), unit=st.floats(1e-6, 1e6))
def test_a_power_law_is_found_exactly(exponent: float, points: int, factor: float, unit: float) -> None:
    squared, costs = sheet(exponent, points)
    slope = cost_exponent(factor * squared, unit * costs)
    assert (slope.value, slope.low, slope.high) == pytest.approx((exponent,) * 3, abs=1e-9)


def test_it_is_the_least_squares_line() -> None:
    squared, costs = sheet(2.5, noise=1.0)
    x = np.log(1 / np.sqrt(squared.mean(0)))
    assert cost_exponent(squared, costs).value == pytest.approx(np.polyfit(x, np.log(costs), 1)[0], rel=1e-12)


@given(seed=st.integers(0, 1000), order=st.permutations(range(5)))
def test_the_order_of_the_points_does_not_matter(seed: int, order: list[int]) -> None:
    squared, costs = sheet(2.5, noise=1.0, seed=seed)
    here, there = cost_exponent(squared, costs), cost_exponent(squared[:, order], costs[order])
    assert (here.value, here.low, here.high) == pytest.approx((there.value, there.low, there.high), rel=1e-9)
    assert here.low <= here.value <= here.high


def test_points_that_share_paths_stay_coupled() -> None:
    """One factor for a path's errors at all points moves no slope. Points that were resampled apart would not know that."""
    squared, costs = sheet(2.5)
    shared = squared * np.exp(np.random.default_rng(1).standard_normal((len(squared), 1)))
    slope = cost_exponent(shared, costs)
    assert (slope.low, slope.high) == pytest.approx((2.5, 2.5), abs=1e-9)
    generator = np.random.default_rng(2)
    apart = np.stack([generator.permutation(column) for column in shared.T], axis=1)
    wrong = cost_exponent(apart, costs)
    assert wrong.high - wrong.low > 0.2


def test_most_intervals_hold_the_truth() -> None:
    """95 % of 400: 380 ± 4.4. Named wrong implementations: half the width, and the regression's own residuals, which say little
    where a path tilts the whole line."""
    trials, paths, points, exponent = 400, 200, 5, 2.5
    hits = np.zeros(3)
    for seed in range(trials):
        lean = np.linspace(-0.5, 0.5, points)
        tilt = np.exp(np.random.default_rng(seed).standard_normal((paths, 1)) * lean - lean**2 / 2)  # of mean 1
        squared, costs = sheet(exponent, points, paths)
        slope = cost_exponent(squared * tilt, costs)
        x, y = -0.5 * np.log((squared * tilt).mean(0)), np.log(costs)
        residuals = y - np.polyval(np.polyfit(x, y, 1), x)
        regression = 3.18 * math.sqrt(np.square(residuals).sum() / (points - 2) / np.square(x - x.mean()).sum())
        off = abs(slope.value - exponent)
        hits += [slope.low <= exponent <= slope.high, off <= (slope.high - slope.low) / 4, off <= regression]
    z = (hits - 0.95 * trials) / math.sqrt(trials * 0.95 * 0.05)
    assert abs(z[0]) < 5
    assert (z[1:] < -10).all()


def test_the_same_paths_give_the_same_interval() -> None:
    squared, costs = sheet(2.5, noise=1.0)
    assert cost_exponent(squared, costs) == cost_exponent(squared, costs)


def test_groups_that_share_coins_are_units() -> None:
    """Rows are what is resampled: many copies of a few rows know more than they should, their means do not."""
    squared, costs = sheet(2.5, paths=8, noise=1.0)
    alone, copied = cost_exponent(squared, costs), cost_exponent(np.repeat(squared, 50, axis=0), costs)
    assert copied.value == pytest.approx(alone.value)
    assert alone.high - alone.low > 5 * (copied.high - copied.low)


def test_a_resample_without_any_error_is_survived() -> None:
    squared, costs = sheet(2.5, paths=3)
    squared[1:, 0] = 0.0  # a resample of the other two paths has no error at the first point
    slope = cost_exponent(squared, costs)
    assert math.isfinite(slope.low)
    assert math.isfinite(slope.high)


@pytest.mark.parametrize(
    ("squared", "costs", "words"),
    [
        (np.ones((4, 1)), np.ones(1), "a slope takes at least two points, got 1"),
        (np.ones((4, 0)), np.ones(0), "a slope takes at least two points, got 0"),
        (np.ones((4, 2)), np.ones(3), "squared takes (paths, points) and costs (points,), got (4, 2) and (3,)"),
        (np.ones((4, 2)), np.array([1.0, 0.0]), "costs takes positive numbers, got 0"),
        (np.ones((4, 2)), np.array([1.0, -2.0]), "costs takes positive numbers, got -2"),
        (np.ones((4, 2)), np.array([1.0, math.inf]), "costs takes positive numbers, got inf"),
        (np.array([[1.0, -1.0]]), np.ones(2), "squared takes finite numbers ≥ 0, got -1"),
        (np.array([[1.0, math.nan]]), np.ones(2), "squared takes finite numbers ≥ 0, got nan"),
        (np.array([[1.0, 0.0], [1.0, 0.0]]), np.ones(2), "squared takes errors that are not all 0, got only 0 at point 2"),
        (np.ones((4, 2)), np.ones(2), "squared takes errors that differ from point to point, got the same at all"),
    ],
)
def test_what_has_no_slope_is_refused(squared: Squared, costs: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        cost_exponent(squared, costs)


@pytest.mark.parametrize("gamma", [1.0, 2.5, 4.0])
def test_exponent_above_a_floor_is_found_exactly_on_its_own_law(gamma: float) -> None:
    costs = 4.0 ** np.arange(6)
    losses = 0.3 + 0.5 * costs ** (-2 / gamma)
    found = exponent_with_floor(costs, losses, np.full(6, 1e-9))
    assert found is not None
    assert found.value == pytest.approx(gamma, rel=0.05)
    without = cost_exponent(np.tile(losses, (2, 1)), costs).value  # a wrong implementation: no floor at all
    assert without > 1.5 * gamma


def test_exponent_above_a_floor_has_an_interval_that_grows_with_the_noise() -> None:
    costs = 4.0 ** np.arange(5)
    losses = 0.3 + 0.5 * costs**-0.8
    narrow, wide = (exponent_with_floor(costs, losses, np.full(5, error)) for error in (1e-4, 1e-2))
    assert narrow is not None
    assert wide is not None
    assert narrow.low <= narrow.value <= narrow.high
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_no_law_gives_no_exponent() -> None:
    costs = 4.0 ** np.arange(5)
    assert exponent_with_floor(costs, np.linspace(1.0, 2.0, 5), np.full(5, 0.01)) is None


def test_three_levels_are_too_few_for_a_floor() -> None:
    with pytest.raises(ValueError, match="at least four levels, got 3"):
        exponent_with_floor(np.ones(3), np.ones(3), np.ones(3))
