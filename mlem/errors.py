"""Errors of what was simulated, with their uncertainty, and the errors that a simulation itself can end in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.checks import check_integer

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def squared_errors(final: Tensor, reference: Tensor) -> Float[np.ndarray, " batch"]:
    """Squared distance of each path to its reference, averaged over coordinates, so that dimensions compare."""
    if final.shape != reference.shape:
        raise ValueError(f"final and reference differ in shape: {tuple(final.shape)} and {tuple(reference.shape)}")
    difference = (final - reference.to(final.device)).double()
    return difference.square().reshape(len(difference), -1).mean(1).cpu().numpy()


def strong_error(
    final: Float[Tensor, "batch *shape"], reference: Float[Tensor, "batch *shape"], *, groups: int | None = None
) -> Estimate:
    """RMSE over paths and coordinates, with a 95 % bootstrap interval over paths.

    Paths that share their coins are not independent: give ``groups``, the number of equal, consecutive groups of paths that do,
    and whole groups are resampled. Raises ValueError for shapes that differ.
    """
    return rmse(squared_errors(final, reference), groups=groups)


def rmse(squared: Float[np.ndarray, " batch"], *, groups: int | None = None) -> Estimate:
    """Root mean of per-path squared errors, interval as in :func:`strong_error`."""
    if groups is not None and len(squared) % check_integer("groups", groups, high=len(squared)):
        raise ValueError(f"groups takes a divisor of the {len(squared)} paths, got {groups}")
    units = squared if groups is None else squared.reshape(groups, -1).mean(1)
    return rmses(units[:, None])[0]


def rmses(squared: Float[np.ndarray, "batch runs"]) -> list[Estimate]:
    """:func:`rmse` of each column, all at once."""
    resampled_means = bootstrap_means(squared).clip(min=0.0)  # shares of a squared distance may be negative
    values, means = np.sqrt(squared.mean(0)), np.sqrt(resampled_means)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return [Estimate(*map(float, each)) for each in zip(values, low, high, strict=True)]


def bootstrap_means(
    units: Float[np.ndarray, "units *rest"], seed: int = 0, *, resamples: int = RESAMPLES
) -> Float[np.ndarray, "resamples *rest"]:
    """Means over resampled units (axis 0), the same resample for every column: points that share paths stay coupled."""
    return np.tensordot(resampled(len(units), seed, resamples), units, axes=1) / len(units)


@lru_cache(maxsize=8)
def resampled(n: int, seed: int = 0, resamples: int = RESAMPLES) -> Float[np.ndarray, "resamples n"]:
    """How often each of ``n`` units is drawn in each resample."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(float)


class NonFiniteStep(ArithmeticError):
    """A step left the finite numbers. Carries ``step``, ``time``, ``level`` (1-based, None for the step itself), ``path`` and
    the largest ``weight`` in it."""

    def __init__(self, step: int, time: float, level: int | None, path: int, weight: float) -> None:
        super().__init__(step, time, level, path, weight)  # what pickle makes it of
        self.step, self.time, self.level, self.path, self.weight = step, time, level, path, weight

    def __str__(self) -> str:
        culprit = f"level {self.level} returned a non-finite drift" if self.level else "the state overflowed"
        advice = "take more steps"
        if abs(self.weight) > 2.0:
            advice += f", or larger probabilities: the largest weight there was {self.weight:.3g}, a rare and large kick"
        return f"step {self.step} (t = {self.time:.4g}) is not finite: {culprit} on path {self.path}; {advice}"


def first_bad_path(x: Tensor) -> int | None:
    """Index of the first path with a non-finite number, None if all are finite."""
    bad = ~torch.isfinite(x).reshape(len(x), -1).all(1)
    return int(bad.nonzero()[0]) if bool(bad.any()) else None
