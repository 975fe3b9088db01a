from __future__ import annotations

import dataclasses
import math
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem.errors import RESAMPLES, bootstrap_means, first_bad_path, rmse, rmses, squared_errors


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(dim=st.integers(1, 5), batch=st.integers(1, 20), scale=st.floats(1e-6, 1e6))
def test_the_error_is_the_root_of_the_mean_square(dim: int, batch: int, scale: float) -> None:
    a, b = normal(batch, dim), scale * normal(batch, dim, seed=1)
    error = mlem.strong_error(a, b)
    assert error.value == pytest.approx(float((a - b).square().mean().sqrt()), rel=1e-12)
    assert error.low <= error.high
    assert mlem.strong_error(a, a) == mlem.Estimate(0.0, 0.0, 0.0)


def test_errors_do_not_depend_on_the_number_of_coordinates() -> None:
    squared = squared_errors(torch.full((4, 3, 2), 2.0), torch.zeros(4, 3, 2))
    assert squared.tolist() == [4.0] * 4
    assert squared_errors(torch.full((4,), 2.0), torch.zeros(4)).tolist() == [4.0] * 4


def test_single_precision_is_compared_with_double() -> None:
    error = mlem.strong_error(torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.float64))
    assert error.value == 1.0


def test_the_interval_has_the_width_of_the_central_limit() -> None:
    """For normal errors the RMSE has the deviation 1/√(2n)."""
    n = 5000
    error = mlem.strong_error(normal(n, 1), torch.zeros(n, 1, dtype=torch.float64))
    assert error.low < 1.0 < error.high
    assert (error.high - error.low) / 2 == pytest.approx(1.96 / (2 * n) ** 0.5, rel=0.15)


def test_most_intervals_hold_the_truth() -> None:
    """95 % of 400: 380 ± 4.4; intervals of half the width would hold 67 %, a z of −25."""
    n, trials = 100, 400
    estimates = [rmse(normal(n, seed=seed).square().numpy()) for seed in range(trials)]

    def hits(factor: float) -> int:
        return sum(e.value - factor * (e.value - e.low) <= 1.0 <= e.value + factor * (e.high - e.value) for e in estimates)

    deviation = (trials * 0.95 * 0.05) ** 0.5
    assert abs(hits(1.0) - 0.95 * trials) < 5 * deviation
    assert abs(hits(0.5) - 0.95 * trials) > 10 * deviation  # named wrong implementation: intervals of half the width


def test_many_runs_at_once_are_those_one_by_one() -> None:
    squared = torch.stack([normal(40).square() * factor for factor in (1.0, 0.0, 1e-6)], dim=1).numpy()
    for together, alone in zip(rmses(squared), map(rmse, squared.T), strict=True):
        assert dataclasses.astuple(together) == pytest.approx(dataclasses.astuple(alone), rel=1e-12)


def test_groups_are_resampled_whole() -> None:
    """20 groups of 50 paths that share everything know as much as 20 paths."""
    squared = normal(20).square()
    copied = squared.repeat_interleave(50).numpy()
    assert rmse(copied, groups=20) == rmse(squared.numpy())
    assert rmse(copied, groups=1000) == rmse(copied)
    alone = rmse(copied)
    together = rmse(copied, groups=20)
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 5 * (alone.high - alone.low)
    x = normal(20).repeat_interleave(50)[:, None]
    assert mlem.strong_error(x, torch.zeros_like(x), groups=20) == together


@pytest.mark.parametrize("groups", [3, 7, 0, -1, 11, True])
def test_groups_divide_the_paths(groups: int) -> None:
    with pytest.raises(ValueError, match=r"groups takes (a divisor of the 10 paths|an integer from 1 to 10), got"):
        rmse(np.ones(10), groups=groups)


def test_columns_are_resampled_together() -> None:
    units = normal(50, 3).numpy()
    means = bootstrap_means(np.concatenate([units, 2 * units], axis=1))
    assert means.shape == (RESAMPLES, 6)
    np.testing.assert_allclose(means[:, 3:], 2 * means[:, :3], rtol=1e-12)
    np.testing.assert_array_equal(bootstrap_means(units), bootstrap_means(units))
    np.testing.assert_allclose(means[:, :3].mean(0), units.mean(0), atol=5 * (50 * RESAMPLES) ** -0.5 * 1.5)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("final and reference differ in shape: (4, 2) and (5, 2)")):
        squared_errors(torch.zeros(4, 2), torch.zeros(5, 2))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_bad_path_is_found(bad: float) -> None:
    x = torch.zeros(6, 2, 3)
    assert first_bad_path(x) is None
    x[4, 1, 2] = bad
    assert first_bad_path(x) == 4
    x[2, 0, 0] = bad
    assert first_bad_path(x) == 2
    assert first_bad_path(torch.tensor([0.0, bad])) == 1


@pytest.mark.parametrize(
    ("level", "weight", "words"),
    [
        (None, 1.0, "step 3 (t = 0.25) is not finite: the state overflowed on path 7; take more steps"),
        (2, 1.0, "step 3 (t = 0.25) is not finite: level 2 returned a non-finite drift on path 7; take more steps"),
        (None, -50.0, "take more steps, or larger probabilities: the largest weight there was -50, a rare and large kick"),
    ],
)
def test_a_step_that_is_not_finite_says_what_to_do(level: int | None, weight: float, words: str) -> None:
    error = mlem.NonFiniteStep(step=3, time=0.25, level=level, path=7, weight=weight)
    assert str(error).endswith(words)
    assert isinstance(error, ArithmeticError)
    assert (error.step, error.time, error.level, error.path, error.weight) == (3, 0.25, level, 7, weight)


def test_the_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(mlem.NonFiniteStep(step=3, time=0.25, level=2, path=7, weight=9.0)))
    assert (error.step, error.time, error.level, error.path, error.weight) == (3, 0.25, 2, 7, 9.0)
    assert "level 2" in str(error)
