"""The distance of laws: closed forms, what sampling adds, and what chance alone gives."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem.distribution import SlicedLaw, _frames, is_told_from_chance
from mlem.errors import squared_errors
from mlem.streams import generator
from tests.conftest import ZScore


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score(shares: np.ndarray, value: float) -> float:
    """z of ``value``, by the shares of paths."""
    return float((value - shares.mean()) / (shares.std() / len(shares) ** 0.5))


@pytest.mark.parametrize("dim", [1, 3])
def test_two_gaussians_have_a_closed_form(dim: int) -> None:
    """W₂² of N(a, s²) and N(0, 1) on a line is a² + (s − 1)², whatever their noise has in common; along θ, a is θ·m and s is
    |θσ|."""
    x, own = normal(4000, dim), normal(4000, dim, seed=1)
    mean, scale = torch.linspace(0.2, 0.5, dim).double(), torch.linspace(1.5, 0.7, dim).double()
    y = mean + scale * (0.8 * x + 0.6 * own)
    law = SlicedLaw(x)
    along = torch.from_numpy(law._directions)
    exact = float(((along @ mean) ** 2 + (((along * scale) ** 2).sum(1).sqrt() - 1) ** 2).mean())
    shares = law.shares(y)
    assert abs(score(shares, exact)) < 5
    assert abs(score(shares, float(squared_errors(y, x).mean()))) > 10  # named wrong implementation: ends not sorted
    found = mlem.distribution_error(y, x)
    assert found.value == pytest.approx(shares.mean() ** 0.5)
    assert found.low < exact**0.5 < found.high
    assert abs(score(shares, found.value)) > 10  # named wrong implementation: no square root


@given(dim=st.integers(1, 20), batch=st.integers(2, 40), noise=st.floats(1e-6, 1e3), seed=st.integers(0, 99))
def test_it_is_at_most_the_strong_error_and_at_least_that_of_the_means(dim: int, batch: int, noise: float, seed: int) -> None:
    x = normal(batch, dim, seed=seed)
    y = x + noise * normal(batch, dim, seed=seed + 1)
    found = mlem.distribution_error(y, x, seed=seed).value
    assert found <= mlem.strong_error(y, x).value * (1 + 1e-9)
    assert found >= float((y.mean(0) - x.mean(0)).square().mean().sqrt()) * (1 - 1e-9)


def test_on_a_line_it_is_that_of_the_sorted_ends() -> None:
    x, y = normal(200, 1), normal(200, 1, seed=1).exp()
    sorted_ends = float((x.sort(0).values - y.sort(0).values).square().mean().sqrt())
    assert mlem.distribution_error(y, x).value == pytest.approx(sorted_ends)
    assert mlem.distribution_error(y[:, 0], x[:, 0]).value == pytest.approx(sorted_ends)


@pytest.mark.parametrize("dim", [1, 2])
def test_which_path_is_where_plays_no_part(dim: int) -> None:
    x = normal(100, dim)
    y = x[torch.randperm(100, generator=torch.Generator().manual_seed(3))]
    assert mlem.distribution_error(y, x).value < 1e-7
    assert mlem.strong_error(y, x).value > 1


@pytest.mark.parametrize("dim", [1, 2])
def test_shares_are_the_derivative_by_the_weights_of_paths(dim: int) -> None:
    """Central differences: every path is there nine times, and one of them once more or once less."""
    x, y = normal(400, dim), 0.3 + 1.2 * normal(400, dim, seed=1)
    shares = SlicedLaw(x).shares(y)

    def distance(path: int, times: int) -> float:
        count = torch.full((400,), 9)
        count[path] = times
        paths = torch.arange(400).repeat_interleave(count)
        return float(len(paths) * (SlicedLaw(x[paths]).shares(y[paths]).mean() - shares.mean()))

    moved = [(distance(path, 10) - distance(path, 8)) / 2 for path in range(0, 400, 10)]
    np.testing.assert_allclose(moved, shares[::10] - shares.mean(), atol=1e-9)


def test_intervals_are_as_wide_as_other_noise_moves_the_distance() -> None:
    """The standard deviation over 200 samples is that which one sample's interval claims; half the width is refuted."""
    found = []
    for seed in range(200):
        x = normal(128, 1, seed=seed)
        found.append(mlem.distribution_error(0.4 + 0.9 * x + 0.3 * normal(128, 1, seed=1000 + seed), x))
    widths = torch.tensor([one.high - one.low for one in found]) / (2 * 1.96)
    deviation = float(torch.tensor([one.value for one in found]).std())
    error = deviation / math.sqrt(2 * 200)
    assert abs(float(widths.mean()) - deviation) < 5 * error
    assert abs(float(widths.mean()) / 2 - deviation) > 10 * error


@pytest.mark.parametrize("dim", [1, 2])
def test_chance_is_what_equal_laws_differ_by(z_score: ZScore, dim: int) -> None:
    """Two ends of a path that can be exchanged: the mean square distance is the mean square of chance. Named wrong
    implementation: the distance of independent samples, as if the paths shared nothing."""
    excess, wrong = [], []
    for seed in range(200):
        shared = normal(64, dim, seed=seed)
        x, y = (shared + 0.1 * normal(64, dim, seed=1000 + 2 * seed + i) for i in range(2))
        law = SlicedLaw(x, seed)
        squared = float(law.shares(y).mean())
        excess.append(squared - law.chance(y) ** 2)
        wrong.append(squared - law.independent**2)
    assert abs(z_score(torch.tensor(excess), 0.0)) < 5
    assert abs(z_score(torch.tensor(wrong), 0.0)) > 10


def test_independent_samples_differ_by_what_is_said(z_score: ZScore) -> None:
    """Resampling one sample twice against samples of their own. Named wrong implementation: resampled once, so that only one of
    the two is random."""
    said, differ, once = [], [], []
    for seed in range(300):
        law = SlicedLaw(normal(128, 1, seed=seed), seed)
        said.append(law.independent**2)
        differ.append(law.shares(normal(128, 1, seed=10_000 + seed)).mean())
        again = torch.randint(128, (32, 128), generator=torch.Generator().manual_seed(seed)).numpy()
        once.append(float(np.square(np.sort(law._slices[0][again]) - np.sort(law._slices[0])).mean()))
    assert abs(z_score(torch.tensor(said) - torch.tensor(differ), 0.0)) < 5
    assert abs(z_score(torch.tensor(once) - torch.tensor(said), 0.0)) > 10


def test_paths_that_change_places_are_of_the_same_law() -> None:
    """Half of the paths end in the other of two wells: by path this is all there is, by law it is chance."""
    well = torch.where(normal(512, 1) > 0, 1.0, -1.0).double()
    x = well + 0.1 * normal(512, 1, seed=1)
    other = torch.where(normal(512, 1, seed=2) > 0, 1.0, -1.0).double()
    y = other + 0.1 * normal(512, 1, seed=3)
    law = SlicedLaw(x)
    assert mlem.strong_error(y, x).value > 1.3
    assert not is_told_from_chance(float(law.shares(y).mean()) ** 0.5, law.chance(y))
    all_in_one = y.abs()
    assert is_told_from_chance(float(law.shares(all_in_one).mean()) ** 0.5, law.chance(all_in_one))


@pytest.mark.parametrize("numel", [2, 3, 16, 50])
def test_directions_are_orthonormal_frames(numel: int) -> None:
    frames = _frames(numel, generator(1, "slices")).reshape(-1, numel, numel)
    assert frames.shape[0] * numel >= 16
    for frame in frames:
        np.testing.assert_allclose(frame @ frame.T, np.eye(numel), atol=1e-12)


def test_the_seed_draws_the_directions() -> None:
    x, y = normal(50, 2), normal(50, 2, seed=1) * torch.tensor([1.0, 3.0])
    assert mlem.distribution_error(y, x, seed=1) == mlem.distribution_error(y, x, seed=1)
    assert mlem.distribution_error(y, x, seed=1) != mlem.distribution_error(y, x, seed=2)


def test_single_precision_is_compared_with_double() -> None:
    assert mlem.distribution_error(torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.float64)).value == 1.0


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("final and reference differ in shape: (4, 2) and (5, 2)")):
        SlicedLaw(torch.zeros(5, 2)).shares(torch.zeros(4, 2))
