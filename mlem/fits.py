"""Exponents of measured curves: least squares in log–log, with intervals that know of shared paths (method, section 6)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from mlem.errors import Estimate, bootstrap_means

_GAMMAS = np.geomspace(0.2, 50.0, 1000)  # that are tried, where a floor is fitted too
_LEAST = np.finfo(float).tiny  # of a resampled mean square, whose logarithm is taken


def cost_exponent(squared: Float[np.ndarray, "units points"], costs: Float[np.ndarray, ...]) -> Estimate:
    """The slope of log cost against log(1/error): γ of a hierarchy's levels, γ + 1 of Euler–Maruyama's curve.

    ``squared`` holds the squared error of each path (of each group of paths, where these share coins) at each point, and a
    point's error is the root of its mean; ``costs`` are positive, in any unit. The 95 % interval comes from resampling paths,
    the same for all points: points that share paths go up and down together, so that residuals of the regression say little.
    Raises ValueError for fewer than two points, errors that are negative, not finite, all 0 or all equal, or costs that are
    not positive.
    """
    squared, costs = np.asarray(squared, dtype=float), np.asarray(costs, dtype=float)
    _check(squared, costs)
    means = np.vstack([squared.mean(0), np.maximum(bootstrap_means(squared), _LEAST)])
    value, *resampled = slopes(-0.5 * np.log(means), np.log(costs))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def exponent_with_floor(
    costs: Float[np.ndarray, " levels"],
    losses: Float[np.ndarray, " levels"],
    standard_errors: Float[np.ndarray, " levels"],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Estimate | None:
    """γ from losses that fall to a floor: L_k = L_∞ + a c_k^(−2/γ), since L_k − L_∞ = e_k² (method, section 6).

    The 95 % interval comes from losses drawn anew with their standard errors, as if levels were independent: pictures that are
    shared make it too wide rather than too narrow. None where the losses show no such law. Raises ValueError for fewer than
    four levels.
    """
    if len(costs) < 4:
        raise ValueError(f"a power law with a floor takes at least four levels, got {len(costs)}")
    random = np.random.default_rng(seed)
    drawn = losses + standard_errors * random.standard_normal((resamples, len(losses)))
    found = [_gamma_above_floor(costs, row) for row in (losses, *drawn)]
    if found[0] is None:
        return None
    low, high = np.quantile([value for value in found if value is not None], [0.025, 0.975])
    return Estimate(found[0], float(low), float(high))


def _gamma_above_floor(costs: Float[np.ndarray, " levels"], losses: Float[np.ndarray, " levels"]) -> float | None:
    """For each γ the law is linear in its floor and its scale: the γ that fits best, if it lies inside the range."""
    powers = (costs / costs[0]) ** (-2.0 / _GAMMAS[:, None])
    centred, target = powers - powers.mean(1, keepdims=True), losses - losses.mean()
    scale = (centred @ target) / np.square(centred).sum(1)
    best = int(np.argmin(np.square(target - scale[:, None] * centred).sum(1)))
    return float(_GAMMAS[best]) if scale[best] > 0 and 0 < best < len(_GAMMAS) - 1 else None


def slopes(x: Float[np.ndarray, "*rows points"], y: Float[np.ndarray, "*others points"]) -> Float[np.ndarray, " fits"]:
    """The least-squares slope of each row of ``y`` over ``x``, one of which may be a single row. Points that are not finite are
    left out; a row with fewer than two points has the slope NaN."""
    x, y = np.broadcast_arrays(np.atleast_2d(x), np.atleast_2d(y))
    there = np.isfinite(x) & np.isfinite(y)
    x, y = _centred(x, there), _centred(y, there)
    return _ratio((x * y).sum(1), np.square(x).sum(1))


def _centred(
    values: Float[np.ndarray, "fits points"], there: Bool[np.ndarray, "fits points"]
) -> Float[np.ndarray, "fits points"]:
    mean = _ratio(np.where(there, values, 0.0).sum(1), there.sum(1).astype(float))
    return np.where(there, values - mean[:, None], 0.0)


def _ratio(above: Float[np.ndarray, " fits"], below: Float[np.ndarray, " fits"]) -> Float[np.ndarray, " fits"]:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def _check(squared: Float[np.ndarray, ...], costs: Float[np.ndarray, ...]) -> None:
    if squared.ndim != 2 or costs.shape != squared.shape[1:]:
        raise ValueError(f"squared takes (paths, points) and costs (points,), got {squared.shape} and {costs.shape}")
    if len(costs) < 2:
        raise ValueError(f"a slope takes at least two points, got {len(costs)}")
    if not (good := np.isfinite(costs) & (costs > 0)).all():
        raise ValueError(f"costs takes positive numbers, got {costs[~good][0]:g}")
    if not (good := np.isfinite(squared) & (squared >= 0)).all():
        raise ValueError(f"squared takes finite numbers ≥ 0, got {squared[~good][0]:g}")
    means = squared.mean(0)
    if not means.all():
        raise ValueError(f"squared takes errors that are not all 0, got only 0 at point {int(np.argmin(means)) + 1}")
    if np.ptp(means) == 0:
        raise ValueError("squared takes errors that differ from point to point, got the same at all")
