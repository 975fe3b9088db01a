"""Frontiers: what the cheapest run costs at each error, from many runs of one method on shared paths.

A run's error does not depend on γ, its price does. So runs are simulated once and priced as often as γ or the unit of cost
change. All intervals are of 95 % and come from resampling paths, the same for all runs of both methods, as all share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int

from mlem.checks import check_choice
from mlem.errors import Estimate, bootstrap_means
from mlem.fits import slopes

RESAMPLES = 200
UNITS = {
    "cost": "model cost, in f¹ evaluations",
    "evaluations": "evaluations of any level",
    "flops": "FLOPs, counted",
    "seconds": "seconds, measured",
}

_LEAST = np.sqrt(np.finfo(float).tiny)  # of an error, whose logarithm is taken
_SAME = 1e-9  # errors whose logarithms differ by less are not interpolated between
_FEWEST, _DECADES, _BEND = 5, 1.5, 0.3  # points, range and change of slope beyond which a fit is not to be trusted


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of one method on shared paths. ``evaluations`` (distinct ones, by level) and ``seconds`` (wall time) are per path.

    Runs of one ``family`` differ in one parameter (the number of steps for EM, the constant C for ML-EM), in order of it.
    ``squared`` are squared errors of paths, their means over groups of paths that share coins, or paths' shares in a squared
    distance of laws. ``flops`` are those of one evaluation of each level, where levels do real work. Raises ValueError for
    lengths that differ, and for numbers that are not finite or, means in the case of ``squared``, negative.
    """

    family: Int[np.ndarray, " runs"]
    evaluations: Float[np.ndarray, "runs levels"]
    seconds: Float[np.ndarray, " runs"]
    squared: Float[np.ndarray, "paths runs"]
    flops: Float[np.ndarray, " levels"] | None = None

    def __post_init__(self) -> None:
        lengths = {"family": len(self.family), "evaluations": len(self.evaluations), "seconds": len(self.seconds)}
        lengths["squared"] = self.squared.shape[1]
        if len(set(lengths.values())) > 1:
            raise ValueError(f"runs take one length for all, got {lengths}")
        for name, values in {"evaluations": self.evaluations, "seconds": self.seconds, "squared": self.squared.mean(0)}.items():
            if not (values >= 0).all() or not np.isfinite(values).all():
                raise ValueError(f"{name} takes finite numbers ≥ 0; leave out runs that left the finite numbers")

    @cached_property
    def errors(self) -> Float[np.ndarray, " runs"]:
        """RMSE of each run."""
        return np.sqrt(self.squared.mean(0))

    @cached_property
    def resampled(self) -> Float[np.ndarray, "resamples runs"]:
        """RMSE of each run over resampled paths."""
        return np.sqrt(bootstrap_means(self.squared, resamples=RESAMPLES).clip(min=0.0))


def level_prices(levels: int, unit: str, gamma: float) -> Float[np.ndarray, " levels"]:
    """The price of one evaluation of each level: 2^(γ(k−1)) as "cost", 1 as "evaluations"."""
    check_choice("unit", unit, ("cost", "evaluations"))
    return 2.0 ** (gamma * np.arange(levels)) if unit == "cost" else np.ones(levels)


def prices(runs: Runs, unit: str, gamma: float) -> Float[np.ndarray, " runs"]:
    """What each run costs per path, in a unit of ``UNITS``. Raises ValueError for FLOPs where the levels have none."""
    if check_choice("unit", unit, UNITS) == "seconds":
        return runs.seconds
    if unit == "flops":
        if runs.flops is None:
            raise ValueError("unit takes flops for levels that do real work; the price of these is declared")
        return runs.evaluations @ runs.flops
    return runs.evaluations @ level_prices(runs.evaluations.shape[1], unit, gamma)


def frontier(
    errors: Float[np.ndarray, "*resamples runs"],
    costs: Float[np.ndarray, " runs"],
    family: Int[np.ndarray, " runs"],
    targets: Float[np.ndarray, " targets"],
) -> Float[np.ndarray, "*resamples targets"]:
    """The least cost at each target error: of runs with at most that error, and of points between two neighbours of a family
    whose errors bracket it, by interpolation in log–log. Where nothing reaches a target it is inf. It never rises with the
    target. Raises ValueError for costs that are not positive."""
    return np.exp(_lowest(_Lines(errors, family), costs, targets))


def shares(
    runs: Runs, gamma: float, targets: Float[np.ndarray, " targets"], unit: str = "cost"
) -> Float[np.ndarray, "targets levels"]:
    """Each level's share of the cost at each target, of the run or between the two neighbours that make the frontier there; NaN
    where nothing reaches the target."""
    costs = prices(runs, unit, gamma)
    lines, at, y = _Lines(runs.errors, runs.family), np.log(targets), _log_costs(costs)
    best = [int(np.argmin(lines.at(t, y))) for t in at]
    first, second = lines.first[best], lines.second[best]
    apart = np.log(np.maximum(runs.errors, _LEAST))
    gap = apart[second] - apart[first]
    weight = np.divide(at - apart[first], gap, out=np.zeros(len(at)), where=gap != 0)[:, None]
    paid = runs.evaluations * level_prices(runs.evaluations.shape[1], unit, gamma) / costs[:, None]
    found = (1 - weight) * paid[first] + weight * paid[second]
    return np.where(np.isfinite(_lowest(lines, costs, targets))[:, None], found, np.nan)


@dataclass(frozen=True)
class Envelope:
    """A frontier with its resamples: costs at ``targets``, inf where nothing reaches them."""

    targets: Float[np.ndarray, " targets"]
    costs: Float[np.ndarray, " targets"]
    resampled: Float[np.ndarray, "resamples targets"]

    @property
    def finite(self) -> Float[np.ndarray, " reached"]:
        """The targets that are reached."""
        return self.targets[np.isfinite(self.costs)]

    def band(self) -> tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]:
        """Low and high cost at each target; a resample that does not reach a target counts as inf."""
        low, high = np.quantile(self.resampled, [0.025, 0.975], axis=0, method="nearest")
        return low, high


def envelope(runs: Runs, costs: Float[np.ndarray, " runs"], targets: Float[np.ndarray, " targets"]) -> Envelope:
    """The frontier of ``runs`` at the prices ``costs`` over ascending ``targets``; what follows reads everything from it."""
    if not (np.diff(targets) > 0).all():
        raise ValueError("targets takes ascending errors")
    found = np.exp(_lowest(_lines(runs), costs, targets))
    return Envelope(np.asarray(targets, dtype=float), found[0], found[1:])


def known(curve: Envelope, errors: Float[np.ndarray, " runs"], costs: Float[np.ndarray, " runs"]) -> Envelope:
    """``curve`` down to where cheaper runs might do as well: ``errors`` and ``costs`` are of runs that are not told from
    chance. From the coarsest target on at which one of them seems to be cheaper, it is not known, and counts as not reached."""
    doubtful = np.any((errors[:, None] <= curve.targets) & (costs[:, None] < curve.costs), axis=0)
    unknown = np.arange(len(curve.targets)) <= np.flatnonzero(doubtful).max(initial=-1)
    return Envelope(curve.targets, np.where(unknown, np.inf, curve.costs), np.where(unknown, np.inf, curve.resampled))


def exponent(curve: Envelope) -> Estimate:
    """The least-squares slope of log cost against log(1/error) over the targets that are reached: positive, EM's is γ + 1.

    Raises ValueError where fewer than two targets are reached.
    """
    if len(curve.finite) < 2:
        raise ValueError(f"a slope takes at least two targets that are reached, got {len(curve.finite)}")
    x = -np.log(curve.targets)
    value = slopes(x, np.log(curve.costs))
    return _interval(float(value[0]), slopes(x, np.log(curve.resampled)))


def speedup(em: Envelope, mlem: Envelope, target: float) -> Estimate | None:
    """EM's cost over ML-EM's at equal error, None where one of the two does not reach it. Costs between two targets of the
    envelopes are interpolated in log–log; resamples in which one method does not reach the target are left out."""
    at = np.exp(_log_ratio_at(em, mlem, target))
    return _interval(float(at[0]), at[1:]) if np.isfinite(at[0]) else None


def breakeven(em: Envelope, mlem: Envelope) -> Estimate | None:
    """The error below which ML-EM is the cheaper one, down to the smallest target that both reach. None where it is not cheaper
    there, or is so at all targets. Its interval ends where the range of targets does."""
    ratio, logs = _log_ratio(em, mlem), np.log(em.targets)
    both = np.isfinite(ratio[0])
    ratio, logs = ratio[:, both], logs[both]
    crossings = np.array([_crossing(row, logs) for row in ratio])
    if not len(logs) or crossings[0] in (logs[0], logs[-1]):
        return None
    return _interval(float(np.exp(crossings[0])), np.exp(crossings[1:]))


def breakeven_gamma(curves: Sequence[tuple[Envelope, Envelope]], gammas: Sequence[float], target: float) -> Estimate | None:
    """The γ above which ML-EM is the cheaper one at one error, up to the largest of ascending ``gammas``, each with its curves:
    EM's and ML-EM's. None where it is not cheaper there, or is so at all of them, or where one of the two does not reach the
    error. Its interval ends where ``gammas`` do."""
    down = np.array(gammas)[::-1]
    ratio = np.stack([_log_ratio_at(em, mlem, target) for em, mlem in curves], axis=-1)[:, ::-1]
    crossings = np.array([_crossing(row, down) for row in ratio])
    if not np.isfinite(ratio[0]).all() or crossings[0] in (down[0], down[-1]):
        return None
    return _interval(float(crossings[0]), crossings[1:])


def cautions(curve: Envelope) -> tuple[str, ...]:
    """Why the exponent of ``curve`` should not be trusted, in sentences; empty where nothing speaks against it."""
    reached, said = curve.finite, []
    decades = float(np.log10(reached.max() / reached.min())) if len(reached) else 0.0
    if len(reached) < _FEWEST:
        said.append(f"Only {len(reached)} target errors are reached; a slope wants at least {_FEWEST}.")
    if decades < _DECADES:
        said.append(f"The errors span {decades:.2g} decades; a slope wants at least {_DECADES:g}.")
    if (bend := _bend(curve)) is not None:
        coarse, fine = bend
        said.append(f"The curve is bent: its slope is {coarse:.2f} at the coarse end and {fine:.2f} at the fine end.")
    return tuple(said)


def _bend(curve: Envelope) -> tuple[float, float] | None:
    """Slopes at the coarse and at the fine end of a parabola, if its curvature is significant and large enough to matter."""
    keep = np.isfinite(curve.costs) & (np.isfinite(curve.resampled).mean(0) > 0.95)
    if keep.sum() < _FEWEST:
        return None
    x = -np.log(curve.targets[keep])
    everything = np.log(np.vstack([curve.costs, curve.resampled])[:, keep])
    whole = everything[np.isfinite(everything).all(1)]
    square, line, _ = np.polyfit(x, whole.T, 2)  # the estimate comes first
    low, high = np.quantile(square, [0.025, 0.975])
    coarse, fine = (float(line[0] + 2 * square[0] * end) for end in (x.min(), x.max()))
    return (coarse, fine) if low * high > 0 and abs(fine - coarse) > _BEND else None


class _Lines:
    """Straight pieces of log cost over log error x, each valid in [low, high]: a run is a level piece from its error up, and
    between two neighbours of a family there is a slanted one. All of it but costs, for runs that are priced many times."""

    def __init__(self, errors: Float[np.ndarray, "*resamples runs"], family: Int[np.ndarray, " runs"]) -> None:
        order = np.argsort(family, kind="stable")
        together = family[order][1:] == family[order][:-1]
        first, second = order[:-1][together], order[1:][together]
        runs = np.arange(len(family))
        self.first, self.second = np.concatenate([runs, first]), np.concatenate([runs, second])
        x = np.log(np.maximum(errors, _LEAST)).T.copy()  # lines lie in rows, of which few are looked at
        level, x0, x1 = np.full_like(x, np.inf), x[first], x[second]
        apart = np.abs(x1 - x0) > _SAME
        self._low = np.concatenate([x, np.where(apart, np.minimum(x0, x1), np.inf)])
        self._high = np.concatenate([level, np.maximum(x0, x1)])
        self._x0, self._gap = x[self.first], np.concatenate([level, np.where(apart, x1 - x0, np.inf)])
        resamples = tuple(range(1, x.ndim))
        self._begin, self._end = self._low.min(resamples), self._high.max(resamples)
        self._surely = x.max(resamples)  # where each run is valid in every resample

    def at(
        self, x: float, y: Float[np.ndarray, " runs"], lines: Int[np.ndarray, " some"] | slice = slice(None)
    ) -> Float[np.ndarray, "some *resamples"]:
        """The log costs at x of ``lines``, for runs with the log costs y; inf where a piece is not valid."""
        low, high, x0, gap = (values[lines] for values in (self._low, self._high, self._x0, self._gap))
        first, second = y[self.first[lines]], y[self.second[lines]]
        y0, rise = (values.reshape(-1, *(1 for _ in low.shape[1:])) for values in (first, second - first))
        slope = rise / gap
        return np.where((low <= x) & (x <= high), y0 - slope * x0 + slope * x, np.inf)

    def lowest(self, x: float, y: Float[np.ndarray, " runs"]) -> Float[np.ndarray, "*resamples"]:
        """The least of them. What is dearer than a run that reaches x in every resample is not looked at."""
        enough = y[self._surely <= x].min(initial=np.inf) + _SAME
        cheap = np.minimum(y[self.first], y[self.second]) <= enough
        near = np.flatnonzero(cheap & (self._begin <= x) & (x <= self._end))
        return np.asarray(self.at(x, y, near).min(0, initial=np.inf))


@lru_cache(maxsize=8)
def _lines(runs: Runs) -> _Lines:
    """Of the runs first, then of each resample. Those that are priced now have them; all that are kept would take too much
    memory, megabytes each."""
    return _Lines(np.vstack([runs.errors, runs.resampled]), runs.family)


def _log_costs(costs: Float[np.ndarray, " runs"]) -> Float[np.ndarray, " runs"]:
    if not (costs > 0).all():
        raise ValueError(f"costs takes positive numbers, got {costs.min():g}")
    return np.log(costs)


def _lowest(
    lines: _Lines, costs: Float[np.ndarray, " runs"], targets: Float[np.ndarray, " targets"]
) -> Float[np.ndarray, "*resamples targets"]:
    """Log cost, target by target, so that the arrays stay small."""
    y = _log_costs(costs)
    return np.stack([lines.lowest(x, y) for x in np.log(targets)], axis=-1)


def _log_ratio(em: Envelope, mlem: Envelope) -> Float[np.ndarray, "fits targets"]:
    """Log of EM's cost over ML-EM's, the estimate first, then the resamples; NaN where one does not reach the target."""
    if not np.array_equal(em.targets, mlem.targets):
        raise ValueError("em and mlem take envelopes at the same targets")
    above, below = (np.log(np.vstack([curve.costs, curve.resampled])) for curve in (em, mlem))
    return np.subtract(above, below, out=np.full_like(above, np.nan), where=np.isfinite(above) & np.isfinite(below))


def _log_ratio_at(em: Envelope, mlem: Envelope, target: float) -> Float[np.ndarray, " fits"]:
    """The log ratio at an error; between two targets it is interpolated. NaN where there is none."""
    ratio = _log_ratio(em, mlem)
    place = np.interp(np.log(target), np.log(em.targets), np.arange(len(em.targets)), left=np.nan, right=np.nan)
    if np.isnan(place):
        return np.full(len(ratio), np.nan)
    low, high = int(np.floor(place)), int(np.ceil(place))
    return ratio[:, low] if low == high else (high - place) * ratio[:, low] + (place - low) * ratio[:, high]


def _crossing(ratio: Float[np.ndarray, " places"], places: Float[np.ndarray, " places"]) -> float:
    """Going along from the first of ordered ``places``, where a log ratio first falls to 0; an end of the range if it does not,
    or begins there."""
    finite = np.isfinite(ratio)
    ratio, x = ratio[finite], places[finite]
    losing = np.flatnonzero(ratio <= 0)
    if not len(ratio):
        return np.nan
    if not len(losing):
        return float(places[-1])
    if (i := int(losing[0])) == 0:
        return float(places[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * ratio[i - 1] / (ratio[i - 1] - ratio[i]))


def _interval(value: float, resampled: Float[np.ndarray, " resamples"]) -> Estimate:
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
