"""Hierarchies made for a known drift f, with any cost exponent γ.

*Synthetic*: f^k = f + a_k g_k with smooth residuals g_k of the state's own spatial scale, and the cost 2^(γk) is declared.
*Spectral*: f is a long sum of modes, f^k its first terms, and level k really does work ∝ 2^(γk).

A residual that oscillates along a path averages out, so an error of the drift says little about the error of the path. The
amplitudes a_k are therefore calibrated: the RMSE at T caused by replacing f with f^k is 2^−k (method, section 4).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem import problems
from mlem.brownian import BrownianPath
from mlem.checks import check_choice, check_integer, check_number
from mlem.errors import NonFiniteStep
from mlem.hierarchy import Hierarchy, Level
from mlem.sde import SDE, Drift, constant
from mlem.solvers import euler_maruyama
from mlem.streams import generator

RESIDUALS = ("nested", "independent")
GAMMA_LOW, GAMMA_HIGH = 0.25, 8.0
MAX_LEVELS = 10

STORED_SEED = 0
"""The seed of the hierarchies whose amplitudes ship with the package."""

STORED_GAMMAS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Of the spectral hierarchies among them."""

_STORE = Path(__file__).with_name("amplitudes.json")
_WAVES = 4  # plane waves in a residual
_CALIBRATION_NUMBERS = 4096  # paths × coordinates of the pilot
_CALIBRATION_PATHS = 1024  # several times those of a measurement, where four times the numbers suffice for that
_CALIBRATION_PASSES = 16
_CALIBRATION_TOLERANCE = 2e-4  # less than the intervals of a measurement on a few hundred paths
_FINER = 4  # times the rough resolution: where the step's error is nearly gone


def synthetic_hierarchy(sde: SDE, *, gamma: float, levels: int = 6, residual: str = "nested", seed: int = 0) -> Hierarchy:
    """``levels`` drifts f^k = f + a_k g_k with path error 2^−k and cost 2^(γk), k = 1..levels.

    ``residual``: "nested" has one residual for all levels, so that f^k − f^{k−1} is as small as can be; "independent" a new one
    for each. Raises ValueError for γ outside [0.25, 8], levels outside 1..10, or an unknown residual.
    """
    gamma = check_number("gamma", gamma, low=GAMMA_LOW, high=GAMMA_HIGH)
    check_integer("seed", seed, low=0)
    drifts = _calibrated_drifts(
        sde, check_integer("levels", levels, high=MAX_LEVELS), check_choice("residual", residual, RESIDUALS), seed
    )
    return Hierarchy([Level(drift, 2.0 ** (gamma * k)) for k, drift in enumerate(drifts, start=1)], sde=sde)


class Residual:
    """A smooth vector field g(x) = b + √(2/J) A cos(Wx + φ): J plane waves as long as the state is large, and a mean."""

    def __init__(self, sde: SDE, seed: int, index: int) -> None:
        source = generator(seed, "residual", index)
        d = sde.numel
        direction = torch.randn(_WAVES, d, generator=source, dtype=torch.float64)
        length = 0.7 + 0.6 * torch.rand(_WAVES, 1, generator=source, dtype=torch.float64)
        self._waves = (length * direction / direction.norm(dim=1, keepdim=True)).T
        self._phases = 2 * math.pi * torch.rand(_WAVES, generator=source, dtype=torch.float64)
        self._out = torch.randn(_WAVES, d, generator=source, dtype=torch.float64) * math.sqrt(0.5 / _WAVES)
        self._mean = torch.where(torch.rand(d, generator=source, dtype=torch.float64) < 0.5, -1.0, 1.0)
        self._like = cache(self._numbers)  # which a step would otherwise ask for again and again

    def __call__(self, x: Tensor, t: float) -> Tensor:
        waves, phases, out, mean = self._like(x.dtype, x.device)
        cosines = torch.addmm(phases, x.flatten(1), waves).cos_()
        return torch.addmm(mean, cosines, out).view_as(x)

    def _numbers(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        return tuple(part.to(device, dtype) for part in (self._waves, self._phases, self._out, self._mean))


@lru_cache(maxsize=64)
def _calibrated_drifts(sde: SDE, levels: int, residual: str, seed: int) -> tuple[Drift, ...]:
    """f + a_k g_k for k = 1..levels."""
    amplitudes = _stored(sde, levels, residual) if seed == STORED_SEED else None
    amplitudes = amplitudes or calibrate(sde, levels, residual, seed)
    residuals = [Residual(sde, seed, _index(k, residual)) for k in range(1, levels + 1)]
    return tuple(_perturbed(sde.drift, g, a) for g, a in zip(residuals, amplitudes, strict=True))


def calibrate(sde: SDE, levels: int, residual: str, seed: int) -> tuple[float, ...]:
    """The amplitudes a_k, k = 1..levels. The nested residual is calibrated level by level too: on a curved drift the path error
    is not quite proportional to a_k. It is from the finest to the coarsest, so that a drift on which the error saturates stays
    on the branch that begins at 0. The sign of a_k, one for each residual, is such that the errors of the drift and of the step
    do not cancel: at some number of steps a coarse level would be right by accident."""
    pilot = _Pilot(sde, seed)
    amplitude, amplitudes = 2.0**-levels / 2, list[float]()
    for k in range(levels, 0, -1):
        g = Residual(sde, seed, _index(k, residual))
        if residual == "independent" or k == levels:
            amplitude = pilot.sign(g, abs(amplitude)) * abs(amplitude)
        amplitude = pilot.calibrate(g, 2 * amplitude, target=2.0**-k)
        amplitudes.insert(0, amplitude)
    return tuple(amplitudes)


def _index(level: int, residual: str) -> int:
    """The number of a level's residual."""
    return level if residual == "independent" else 0


def is_stock(sde: SDE) -> bool:
    """Whether ``sde`` is a problem as its name alone gives it."""
    return sde.name in problems.names() and sde is problems.get(sde.name)


def store_amplitudes() -> Iterator[float]:
    """Calibrates and writes the amplitudes that ship with the package, and the tails of spectral hierarchies, telling the
    fraction done."""
    found, kinds = dict[str, list[tuple[float, ...]]](), list(product(problems.names(), RESIDUALS))
    for n, (name, residual) in enumerate(kinds):
        counts = range(1, MAX_LEVELS + 1)
        found[f"{name} {residual}"] = [calibrate(problems.get(name), k, residual, STORED_SEED) for k in counts]
        yield 0.9 * (n + 1) / len(kinds)
    for n, gamma in enumerate(STORED_GAMMAS):
        modes = _mode_counts(gamma)
        levels = range(1, most_spectral_levels(gamma) + 1)
        found[_spectral_key(gamma)] = [_corrected_tails(modes[:k], gamma, STORED_SEED) for k in levels]
        yield 0.9 + 0.1 * (n + 1) / len(STORED_GAMMAS)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(amplitudes)}" for key, amplitudes in found.items())
    _STORE.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    for cached in (_stored_amplitudes, _calibrated_drifts):
        cached.cache_clear()


def _stored(sde: SDE, levels: int, residual: str) -> tuple[float, ...] | None:
    """Amplitudes that ship with the package, None where it has none."""
    by_levels = _stored_amplitudes().get(f"{sde.name} {residual}") if is_stock(sde) else None
    return tuple(by_levels[levels - 1]) if by_levels else None


def _stored_tails(gamma: float, levels: int) -> tuple[float, ...] | None:
    """Tails that ship with the package, None where it has none."""
    by_levels = _stored_amplitudes().get(_spectral_key(gamma))
    return tuple(by_levels[levels - 1]) if by_levels else None


def _spectral_key(gamma: float) -> str:
    return f"spectral {gamma:g}"


@cache
def _stored_amplitudes() -> dict[str, list[list[float]]]:
    return json.loads(_STORE.read_text(encoding="utf-8")) if _STORE.exists() else {}


class _Pilot:
    """Paths on which the error at T that a perturbation of the drift causes is measured, at the SDE's rough resolution."""

    def __init__(self, sde: SDE, seed: int) -> None:
        numbers = _CALIBRATION_NUMBERS
        batch = max(64, numbers // sde.numel, min(_CALIBRATION_PATHS, 4 * numbers // sde.numel))
        self._sde = sde
        self._path = BrownianPath(batch, sde.shape, _FINER * sde.resolution, sde.horizon, seed)
        self._initial = sde.initial(batch, seed)
        self._exact = self._end(sde.drift)
        self._step_error = self._exact - self._end(sde.drift, _FINER * sde.resolution)

    def _end(self, drift: Drift, steps: int | None = None) -> Tensor:
        steps = steps or self._sde.resolution
        return euler_maruyama(self._sde, drift, steps=steps, path=self._path, initial=self._initial).final

    def sign(self, g: Drift, amplitude: float) -> float:
        """The sign of a with which the error that f + a·g causes and that of the step add up, over paths and coordinates."""
        caused = self._end(_perturbed(self._sde.drift, g, amplitude)) - self._exact
        return 1.0 if float((caused * self._step_error).sum()) >= 0 else -1.0

    def calibrate(self, g: Drift, amplitude: float, target: float) -> float:
        """The a with which f + a·g has the path error ``target``, or the best of those tried: steps on the ratio from the guess
        ``amplitude`` until a is enclosed, then regula falsi in logarithms, since an error may rise steeply."""
        sign, x = math.copysign(1.0, amplitude), math.log(abs(amplitude))
        tried: list[tuple[float, float]] = []  # (|misfit|, log a)
        ends: dict[bool, tuple[float, float]] = {}  # the last (log a, misfit) above the target, and below
        for _ in range(_CALIBRATION_PASSES):
            misfit = self._misfit(g, sign * math.exp(x), target)
            tried.append((abs(misfit), x))
            if abs(misfit) < _CALIBRATION_TOLERANCE:
                break
            above = misfit > 0
            ends[above] = (x, misfit)
            if len(ends) < 2:
                x -= misfit
            else:
                other_x, other = ends[not above]
                x = (other_x * misfit - x * other) / (misfit - other)
        return sign * math.exp(min(tried)[1])

    def _misfit(self, g: Drift, amplitude: float, target: float) -> float:
        """log(error/target), within ±log 4."""
        try:
            end = self._end(_perturbed(self._sde.drift, g, amplitude))
        except NonFiniteStep:
            return math.log(4.0)
        ratio = float((end - self._exact).square().mean().sqrt()) / target
        return math.log(min(4.0, max(0.25, ratio)))


def _perturbed(f: Drift, g: Drift, amplitude: float) -> Drift:
    return lambda x, t: torch.add(f(x, t), g(x, t), alpha=amplitude)


MAX_MODES = 2**20
_FIRST_MODES = 8
_NUMBERS_AT_ONCE = 2**18  # of modes × paths: what stays in the cache
_SURROGATE_MODES = 16
_SPECTRAL_SIZE = 2.5  # Σ a_j
_CORRECTIONS = 3
_CORRECTION_PATHS = 512  # for ratios of errors on the same paths
_WIDE, _NODES = 8.0, 64  # paths stay within 13 of their standard deviations


def spectral_hierarchy(*, gamma: float, levels: int = 6, seed: int = 0) -> Hierarchy:
    """f(x) = −x + Σ_j a_j cos(w_j x + φ_j) on the line, all w_j near 1; level k sums the first M_k = M_1·2^(γ(k−1)) modes.

    a_j ~ j^(−1/γ − 1) beyond the first M_1, which are alike, and the phases lie within ±π/3, so that modes add up rather than
    cancel: what the first M leave out decays like M^(−1/γ), which makes the error 2^−k. f itself ends a quarter of a band above
    level K. Costs are the numbers of modes, in units in which level 1 costs 2^γ. The SDE is ``levels.sde``.
    Raises ValueError where level ``levels`` would take more than 2^20 modes.
    """
    gamma = check_number("gamma", gamma, low=GAMMA_LOW, high=GAMMA_HIGH)
    check_integer("levels", levels, high=MAX_LEVELS)
    check_integer("seed", seed, low=0)
    counts, most = _mode_counts(gamma)[:levels], most_spectral_levels(gamma)
    if levels > most:
        raise ValueError(
            f"levels takes an integer from 1 to {most} with gamma {gamma:g}, got {levels}: "
            f"a spectral hierarchy has at most {MAX_MODES:,} modes"
        )
    tails = (_stored_tails(gamma, levels) if seed == STORED_SEED else None) or _corrected_tails(counts, gamma, seed)
    unit = 2.0**gamma / counts[0]
    f, drifts = _spectral_drifts(counts, tails, gamma, seed)
    return Hierarchy([Level(d, count * unit) for d, count in zip(drifts, counts, strict=True)], sde=_spectral_sde(f))


def spectral_twins(levels: Hierarchy) -> Hierarchy:
    """A spectral hierarchy whose drifts, and that of its SDE, are the same functions without the work: for references, pilots
    and plans. Nothing that is timed may run on it."""
    sde = _spectral_sde(as_series(levels.sde.drift))
    return Hierarchy([Level(as_series(level.drift), level.cost) for level in levels], sde=sde)


def most_spectral_levels(gamma: float) -> int:
    """How many levels a spectral hierarchy can have."""
    return sum(count <= MAX_MODES for count in _mode_counts(gamma))


def spectral_flops(gamma: float, levels: int) -> Float[np.ndarray, " levels"]:
    """Floating-point operations of one evaluation of each spectral level for one path: a multiplication and an addition for the
    phase of each mode, its cosine, counted as one operation, and a multiplication and an addition for the sum; then −x."""
    return 5.0 * np.array(_mode_counts(gamma)[:levels]) + 1.0


def _mode_counts(gamma: float) -> list[int]:
    """M_1, M_2, … of as many levels as there may be."""
    first = max(_FIRST_MODES, math.ceil(32 / math.expm1(gamma * math.log(2))))  # small γ: enough modes to tell levels apart
    return [round(first * 2.0 ** (gamma * k)) for k in range(MAX_LEVELS)]


def _spectral_drifts(counts: list[int], tails: tuple[float, ...], gamma: float, seed: int) -> tuple[Drift, list[Drift]]:
    """f and f^1, …, f^K."""
    amplitudes = _band_amplitudes([*counts, counts[-1] + max(counts[-1] // 4, counts[0])], tails, gamma)
    return _pulled_back(_modes(amplitudes, seed)), [_pulled_back(_modes(amplitudes, seed, count)) for count in counts]


def _pulled_back(field: Callable[[Tensor], Tensor]) -> Drift:
    return lambda x, t: field(x) - x


def _spectral_sde(drift: Drift) -> SDE:
    return SDE(
        name="spectral",
        title="Sum of many modes",
        shape=(1,),
        horizon=1.0,
        drift=drift,
        noise=constant(0.5),
        start=lambda z, u: 0.5 * z,
        resolution=60,
    )


@lru_cache(maxsize=64)
def _spectral_tails(levels: int, seed: int) -> tuple[float, ...]:
    """r_0, …, r_K: the share of Σ a_j that level k leaves out, such that its path error is 2^−k; r_0 is all of it. Every band
    of modes is nearly the same function of x, so that a few modes stand for all."""
    field = _few_modes(seed)
    pilot = _Pilot(_spectral_sde(lambda x, t: _SPECTRAL_SIZE * field(x) - x), seed)
    tails, share = [_SPECTRAL_SIZE], -(2.0**-levels)
    for k in range(levels, 0, -1):
        share = pilot.calibrate(lambda x, t: field(x), 2 * share, target=2.0**-k)
        tails.insert(1, -share)
    return tuple(tails)


def _few_modes(seed: int) -> Callable[[Tensor], Tensor]:
    """Σ a_j cos(w_j x + φ_j) of a few modes that are alike, with Σ a_j = 1."""
    return _modes(torch.full((_SURROGATE_MODES,), 1.0 / _SURROGATE_MODES, dtype=torch.float64), seed)


def _corrected_tails(counts: list[int], gamma: float, seed: int) -> tuple[float, ...]:
    """The tails for the bands as they are: these differ a little from the few modes, so that leaving them out has another path
    error. Each tail is divided by the ratio of the two on the same paths."""
    tails, field = _spectral_tails(len(counts), seed), _few_modes(seed)
    few = [_pulled_back(_times(_SPECTRAL_SIZE - tail, field)) for tail in (0.0, *tails[1:])]
    wanted = _path_errors(few, seed)
    for _ in range(_CORRECTIONS):
        f, drifts = _spectral_drifts(counts, tails, gamma, seed)
        errors = _path_errors([f, *drifts], seed)
        tails = (tails[0], *(r * w / e for r, w, e in zip(tails[1:], wanted, errors, strict=True)))
    return tails


def _times(factor: float, field: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: factor * field(x)


def _path_errors(drifts: list[Drift], seed: int) -> list[float]:
    """RMSE at T of each drift but the first against the first."""
    sde = _spectral_sde(drifts[0])
    path = BrownianPath(_CORRECTION_PATHS, sde.shape, sde.resolution, sde.horizon, seed)
    initial = sde.initial(_CORRECTION_PATHS, seed)
    exact, *ends = (euler_maruyama(sde, as_series(f), steps=path.steps, path=path, initial=initial).final for f in drifts)
    return [float((end - exact).square().mean().sqrt()) for end in ends]


def as_series(drift: Drift) -> Drift:
    """The drift of a spectral hierarchy as a Chebyshev series on [−8, 8], beyond which no path goes: the same to 12 digits, for
    measurements on many paths that need not take its work each time. Beyond ±8 it is not a number."""
    angles = (torch.arange(_NODES, dtype=torch.float64) + 0.5) * (math.pi / _NODES)
    order = torch.arange(_NODES, dtype=torch.float64)
    at_nodes = drift(_WIDE * angles.cos().unsqueeze(1), 0.0)
    coefficients = (order.unsqueeze(1) * angles).cos() @ at_nodes * (2 / _NODES)
    coefficients[0] /= 2

    def series(x: Tensor, t: float) -> Tensor:
        return (order * (x / _WIDE).acos()).cos() @ coefficients

    return series


def _band_amplitudes(counts: list[int], tails: tuple[float, ...], gamma: float) -> Float[Tensor, " modes"]:
    """a_j ∝ j^(−1/γ − 1) in bands of modes that end at ``counts``, band k in all r_{k−1} − r_k, and the last band r_K. The
    first band is flat: at small γ its first few modes would be nearly all of f, and calibrated for another function."""
    amplitudes, start = [], 0
    for end, total in zip(counts, [*(a - b for a, b in pairwise(tails)), tails[-1]], strict=True):
        shape = torch.arange(start + 1, end + 1, dtype=torch.float64) ** (-1 / gamma - 1 if start else 0.0)
        amplitudes.append(shape * (total / float(shape.sum())))
        start = end
    return torch.cat(amplitudes)


def _modes(amplitudes: Float[Tensor, " modes"], seed: int, count: int | None = None) -> Callable[[Tensor], Tensor]:
    """x -> Σ a_j cos(w_j x + φ_j) over the first ``count`` modes. Wave numbers in [0.7, 1.3] and phases in ±π/3 are spread
    evenly by the golden ratio and √2, so that every band has its fair share of each; ``seed`` shifts them."""
    shift = torch.rand(2, generator=generator(seed, "spectral"), dtype=torch.float64)
    a = amplitudes[:count]
    j = torch.arange(len(a), dtype=torch.float64)
    waves = 0.7 + 0.6 * ((j * ((math.sqrt(5) - 1) / 2) + shift[0]) % 1)
    phases = (2 * ((j * math.sqrt(2) + shift[1]) % 1) - 1) * (math.pi / 3)

    def field(x: Tensor) -> Tensor:
        total, block = torch.zeros_like(x), max(1, _NUMBERS_AT_ONCE // len(x))
        for begin in range(0, len(a), block):
            part = slice(begin, begin + block)
            values = torch.addcmul(phases[part].to(x), x, waves[part].to(x)).cos_()
            total = total + (values @ a[part].to(x)).unsqueeze(1)
        return total

    return field
