"""Is anything off with a hierarchy? Giles' diagnostics of multilevel Monte Carlo (*Multilevel Monte Carlo methods*, Acta
Numerica 2015, and its program mlmc_test), for the corrections d_k = f^k − f^{k−1} that ML-EM takes along paths; f^0 = 0.

Everything is measured at some times along Euler–Maruyama paths of the SDE's own drift, in three sets of paths that are
independent of each other: the corrections in one; in the others the odd levels, and the even ones, each level alone. So a
correction and the two levels that it should be the difference of never share a path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_integer
from mlem.errors import Estimate, NonFiniteStep, bootstrap_means, first_bad_path, resampled
from mlem.fits import slopes
from mlem.hierarchy import Hierarchy
from mlem.march import Report
from mlem.sde import SDE, Drift
from mlem.solvers import step
from mlem.streams import generator

HIGH_KURTOSIS = 100.0  # Giles' limit
HARDLY_DEARER = 1.2  # times the cost of the level below
WIDE = 2.0  # high over low of an interval

_PROBES = 8  # ways to make one number of a drift
_BLOCKS = 256  # of paths, at most: their products are kept
_ROUNDING = 1e-6  # of what is added up in single precision
_KNOWN = 0.1  # relative standard deviation of a mean square that is known well
_LEAST = 1e-300  # of a mean square that is divided by


@dataclass(frozen=True)
class LevelDiagnostics:
    """The correction d_k = f^k − f^{k−1} of ``level`` k (from 1), which of level 1 is f^1 itself.

    - ``mean``: the root mean square, over times and coordinates, of its mean over paths; 0 where none can be told from chance.
    - ``variance``: v_k, its mean square over paths, times and coordinates.
    - ``kurtosis``: its fourth central moment over its squared variance, both of each time and coordinate, averaged over these:
      3 for normal corrections, however their size changes along the path. NaN where all paths agree.
    - ``cost`` c_k of one evaluation of f^k.
    - ``consistency``: |a − b − c| over 3(σ_a + σ_b + σ_c)/√paths, for independent estimates a of E f^k, b of E f^{k−1} and c of
      E d_k with the standard deviations σ of one path; the largest of several linear functions of the drift. With 16 paths or
      more it is below 1 if f^k and f^{k−1} are the same functions in the correction and alone.
    """

    level: int
    mean: Estimate
    variance: Estimate
    kurtosis: float
    cost: float
    consistency: float

    @property
    def product(self) -> float:
        """v_k·c_k; a level's share of the cost of ML-EM grows like its root."""
        return self.variance.value * self.cost


@dataclass(frozen=True)
class Diagnostics:
    """All levels, and how they go with k: means of corrections like 2^(−αk), mean squares like 2^(−βk), costs like 2^(γk).

    α and β are fitted from level 2 on, with intervals from resampled paths, the same for all levels. γ is fitted from level 1
    on; costs are taken as known, and its interval tells how straight the line is. Each is None where there are fewer than two
    points to fit, α also where a mean is not told from chance. ``cautions``: what is off, and what to do, in sentences.
    """

    levels: tuple[LevelDiagnostics, ...]
    alpha: Estimate | None
    beta: Estimate | None
    gamma: Estimate | None
    paths: int
    cautions: tuple[str, ...]


@torch.no_grad()
def diagnose(
    levels: Hierarchy,
    *,
    paths: int = 256,
    steps: int | None = None,
    times: int = 12,
    batch: int | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    report: Report | None = None,
) -> Diagnostics:
    """Diagnoses ``levels`` at ``times`` times, on three sets of ``paths`` paths of ``steps`` steps (default: the SDE's rough
    resolution). ``batch`` limits how many paths a drift is given at once. ``dtype`` and ``device`` are those of the state.

    Raises ValueError for numbers that are not valid, NonFiniteStep where a path or a level leaves the finite numbers.
    """
    paths, batch = check_integer("paths", paths, low=2), check_integer("batch", paths if batch is None else batch)
    steps = check_integer("steps", levels.sde.resolution if steps is None else steps)
    at = _middles(check_integer("times", times, high=steps), steps)
    corrections = [_Moments(paths) for _ in levels]
    alone, together = np.zeros((2, len(levels), paths, _PROBES))
    for group in range(3):
        path = BrownianPath(
            paths, levels.sde.shape, steps, levels.sde.horizon, seed, first=group * paths, dtype=dtype, device=device
        )
        for m, (n, x) in enumerate(_states(levels.sde, path, at, batch)):
            t, probes = n * levels.sde.horizon / steps, _probes(seed, m, levels.sde.numel, device) / times
            below = torch.zeros_like(x)
            for k in range(len(levels)) if group == 0 else range(group - 1, len(levels), 2):
                f = _in_batches(levels[k].drift, x, t, batch)
                _check_finite(f, n, t, k + 1, path.first)
                if group:
                    alone[k] += (_flat(f) @ probes).cpu().numpy()
                    continue
                correction, below = _flat(f - below), f
                corrections[k].add(correction)
                together[k] += (correction @ probes).cpu().numpy()
            if report:
                report((group * times + m + 1) / (3 * times))
    return _judge(levels.costs, corrections, alone, together)


class _Moments:
    """What is kept of one correction: ``squares`` (paths,), its mean square on each path; ``products`` (blocks, blocks), inner
    products of its means over two blocks of paths, both averaged over times and coordinates; and its ``kurtosis``."""

    def __init__(self, paths: int) -> None:
        self._block = math.ceil(paths / _BLOCKS)
        self._times, self._second, self._fourth = 0, 0.0, 0.0
        self._squares, self._products = torch.zeros(paths, dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def add(self, correction: Float[Tensor, "paths numel"]) -> None:
        """Its values at one more time."""
        self._squares += correction.square().mean(1).cpu()
        blocks = (
            torch.stack([block.mean(0) for block in torch.split(correction, self._block)]) if self._block > 1 else correction
        )
        self._products = self._products + (blocks @ blocks.T / blocks.shape[1]).cpu()
        centred = correction - correction.mean(0)
        self._second += float(centred.square().mean(0).square().mean())
        self._fourth += float(centred.square().square().mean())
        self._times += 1

    @property
    def squares(self) -> Float[np.ndarray, " paths"]:
        return (self._squares / self._times).numpy()

    @property
    def products(self) -> Float[np.ndarray, "blocks blocks"]:
        return (self._products / self._times).numpy()

    @property
    def kurtosis(self) -> float:
        """3 for normal values, whatever the number of paths: n of them have the fourth moment 3(n−1)²/n² about their own mean,
        and the squared variance (n²−1)/n²."""
        n = len(self._squares)
        return self._fourth / self._second * (n + 1) / (n - 1) if self._second > 0 else math.nan


def _judge(
    costs: Float[np.ndarray, " levels"],
    corrections: Sequence[_Moments],
    alone: Float[np.ndarray, "levels paths probes"],
    together: Float[np.ndarray, "levels paths probes"],
) -> Diagnostics:
    paths = alone.shape[1]
    squared = np.stack([moments.squares for moments in corrections], axis=1)
    # The first row is the estimate, the others are resamples.
    squares = np.vstack([squared.mean(0), bootstrap_means(squared)])
    means = np.stack([_squared_means(moments.products) for moments in corrections], axis=1)
    consistency = _consistency(alone, together)
    found = tuple(
        LevelDiagnostics(
            k + 1,
            _estimate(np.sqrt(means[:, k].clip(min=0.0))),
            _estimate(squares[:, k]),
            corrections[k].kurtosis,
            float(costs[k]),
            float(consistency[k]),
        )
        for k in range(len(costs))
    )
    k = np.arange(1.0, len(costs) + 1)
    told = all(level.mean.low > 0 for level in found[1:])
    return Diagnostics(
        levels=found,
        alpha=_decay(k[1:], 0.5 * _log2(means[:, 1:])) if told else None,
        beta=_decay(k[1:], _log2(squares[:, 1:])),
        gamma=_growth(k, np.log2(costs)),
        paths=paths,
        cautions=tuple(_cautions(found, paths)),
    )


def _squared_means(products: Float[np.ndarray, "blocks blocks"]) -> Float[np.ndarray, " fits"]:
    """The mean square of the mean over paths, and of each resample: the mean product of two different blocks. The square of the
    measured mean would be too large, by the mean square over the number of paths."""
    draws = np.vstack([np.ones(len(products)), resampled(len(products))])
    itself = np.square(draws) @ np.diag(products)
    pairs = len(products) ** 2 - np.square(draws).sum(1)
    return np.divide(((draws @ products) * draws).sum(1) - itself, pairs, out=np.zeros(len(draws)), where=pairs > 0)


def _consistency(
    alone: Float[np.ndarray, "levels paths probes"], together: Float[np.ndarray, "levels paths probes"]
) -> Float[np.ndarray, " levels"]:
    """Giles' check of the telescope, of the worst probe."""
    below = np.concatenate([np.zeros_like(alone[:1]), alone[:-1]])
    parts = (alone, below, together)
    a, b, c = (part.mean(1) for part in parts)
    spread = sum(part.std(1, ddof=1) for part in parts)
    rounding = _ROUNDING * (np.abs(a) + np.abs(b) + np.abs(c)).max(1, keepdims=True)
    allowed = 3 * spread / math.sqrt(alone.shape[1]) + rounding
    off = np.abs(a - b - c)
    return np.divide(off, allowed, out=np.where(off > 0, np.inf, 0.0), where=allowed > 0).max(1)


def _cautions(levels: Sequence[LevelDiagnostics], paths: int) -> Iterator[str]:
    """What is off, and what to do."""
    for level in levels:
        if level.consistency > 1:
            yield (
                f"Level {level.level} is not what its correction takes it for: consistency {level.consistency:.3g}, where less "
                "than 1 is right. A level has to be the same function of x and t whoever calls it, and beside whatever else is "
                "called: look for state, a cache, or a network in training mode."
            )
    for below, level in pairwise(levels):
        if level.variance.value >= below.variance.value:
            yield (
                f"The correction of level {level.level} is no smaller than that of level {below.level}: its mean square is "
                f"{level.variance.value / max(below.variance.value, _LEAST):.3g} times as large. Rare calls of it would be "
                "large kicks: leave out one of the two levels; a network may want more training."
            )
        if level.cost < HARDLY_DEARER * below.cost:
            yield (
                f"Level {level.level} costs only {level.cost / below.cost:.3g} times as much as level {below.level}, which "
                f"then saves next to nothing: leave out level {below.level}."
            )
    for level in levels:
        known_to = level.variance.high / max(level.variance.low, _LEAST)
        if level.kurtosis > HIGH_KURTOSIS:
            yield (
                f"The correction of level {level.level} has the kurtosis {level.kurtosis:,.0f}: a few rare values make up its "
                "mean square, and intervals are not to be trusted. "
                f"Take {(level.kurtosis - 1) / _KNOWN**2:,.0f} paths, or find out where they meet these values."
            )
        elif known_to > WIDE:
            yield (
                f"{paths:,} paths are too few for level {level.level}, whose mean square is known to a factor of "
                f"{known_to:.2g} only: take ten times as many."
            )


def _decay(k: Float[np.ndarray, " points"], logs: Float[np.ndarray, "fits points"]) -> Estimate | None:
    """The exponent with which something falls, from log2 of the estimate and of its resamples."""
    if len(k) < 2 or not np.isfinite(logs[0]).all():
        return None
    return _estimate(-slopes(k, logs))


def _growth(k: Float[np.ndarray, " points"], logs: Float[np.ndarray, " points"]) -> Estimate | None:
    """The exponent with which costs grow, with the usual interval of a regression; two points lie on their line."""
    if len(k) < 2:
        return None
    slope, free = float(slopes(k, logs)[0]), len(k) - 2
    centred = k - k.mean()
    left = logs - logs.mean() - slope * centred
    error = math.sqrt(float((left**2).sum()) / free / float((centred**2).sum())) if free else 0.0
    off = float(stdtrit(free, 0.975)) * error if free else 0.0
    return Estimate(slope, slope - off, slope + off)


def _estimate(fits: Float[np.ndarray, " fits"]) -> Estimate:
    """The first value, with the interval of the others, which are resamples."""
    low, high = np.nanquantile(fits[1:], [0.025, 0.975])
    return Estimate(float(fits[0]), float(low), float(high))


def _log2(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """log2, NaN where there is none."""
    return np.log2(values, out=np.full_like(values, np.nan), where=values > 0)


def _middles(times: int, steps: int) -> list[int]:
    """``times`` steps in the middle of as many equal parts."""
    return [int((m + 0.5) * steps / times) for m in range(times)]


def _states(sde: SDE, path: BrownianPath, at: Sequence[int], batch: int) -> Iterator[tuple[int, Tensor]]:
    """(n, x) at the steps ``at``, along Euler–Maruyama with the SDE's own drift."""
    h = sde.horizon / path.steps
    x = sde.initial(path.batch, path.seed, first=path.first, dtype=path.dtype, device=path.device)
    for n, dW in enumerate(path.stream(path.steps)):
        if n in at:
            _check_finite(x, n, n * h, None, path.first)
            yield n, x
        x = step(x, _in_batches(sde.drift, x, n * h, batch), h, sde.noise(n * h), dW)


def _in_batches(drift: Drift, x: Tensor, t: float, batch: int) -> Tensor:
    return torch.cat([drift(part, t) for part in torch.split(x, batch)])


def _check_finite(values: Tensor, n: int, t: float, level: int | None, first: int) -> None:
    if (path := first_bad_path(values)) is not None:
        raise NonFiniteStep(step=n, time=t, level=level, path=first + path, weight=1.0)


def _probes(seed: int, m: int, numel: int, device: torch.device | str) -> Float[Tensor, "numel probes"]:
    """Weights of the coordinates at time number m: first all alike, then with signs at random, always of norm 1."""
    signs = torch.randint(0, 2, (numel, _PROBES), generator=generator(seed, "probes", m)).double().mul_(2).sub_(1)
    signs[:, 0] = 1.0
    return (signs / math.sqrt(numel)).to(device)


def _flat(values: Tensor) -> Float[Tensor, "paths numel"]:
    return values.flatten(1).double()
