"""Hierarchies made for a known drift f, with any cost exponent γ.

*Synthetic*: f^k = f + a_k g_k with smooth residuals g_k of the state's own spatial scale, and the cost 2^(γk) is declared.
*Spectral*: f is a long sum of modes, f^k its first terms, and level k really does work ∝ 2^(γk).

A residual that oscillates along a path averages out, so an error of the drift says little about the error of the path. The
amplitudes a_k are therefore calibrated: the RMSE at T caused by replacing f with f^k is 2^−k (method, section 4).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

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

_WAVES = 4  # plane waves in a residual
_CALIBRATION_NUMBERS = 4096  # paths × coordinates of the pilot, several times those of a measurement
_CALIBRATION_PASSES = 5


def synthetic_hierarchy(
    sde: SDE, *, gamma: float, levels: int = 6, residual: str = "nested", seed: int = 0
) -> Hierarchy:
    """``levels`` drifts f^k = f + a_k g_k with path error 2^−k and cost 2^(γk), k = 1..levels.

    ``residual``: "nested" has one residual for all levels, so that f^k − f^{k−1} is as small as can be; "independent" a new one
    for each. Raises ValueError for γ outside [0.25, 8], levels outside 1..10, or an unknown residual.
    """
    gamma = check_number("gamma", gamma, low=GAMMA_LOW, high=GAMMA_HIGH)
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

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        waves = torch.addmm(self._phases.to(x), flat, self._waves.to(x)).cos_()
        return torch.addmm(self._mean.to(x), waves, self._out.to(x)).view_as(x)


@cache
def _calibrated_drifts(sde: SDE, levels: int, residual: str, seed: int) -> tuple[Drift, ...]:
    """f + a_k g_k for k = 1..levels. The nested residual is calibrated level by level too: on a curved drift the path error is
    not quite proportional to a_k."""
    batch = max(64, _CALIBRATION_NUMBERS // sde.numel)
    path = BrownianPath(batch, sde.shape, sde.resolution, sde.horizon, seed)
    initial = sde.initial(batch, seed)
    exact = euler_maruyama(sde, sde.drift, steps=sde.resolution, path=path, initial=initial).final
    drifts = []
    amplitude = 1.0
    for k in range(1, levels + 1):
        g = Residual(sde, seed, k if residual == "independent" else 0)
        amplitude = _calibrate(sde, g, amplitude / 2, 2.0**-k, path, initial, exact)
        drifts.append(_perturbed(sde.drift, g, amplitude))
    return tuple(drifts)


def _calibrate(
    sde: SDE, g: Residual, amplitude: float, target: float, path: BrownianPath, initial: Tensor, exact: Tensor
) -> float:
    """The amplitude with which f + a·g has the path error ``target``: fixed-point steps on the ratio."""
    for _ in range(_CALIBRATION_PASSES):
        try:
            end = euler_maruyama(sde, _perturbed(sde.drift, g, amplitude), steps=path.steps, path=path, initial=initial)
            ratio = target / float((end.final - exact).square().mean().sqrt())
        except NonFiniteStep:
            ratio = 0.25
        amplitude *= min(4.0, max(0.25, ratio))
        if abs(ratio - 1) < 1e-3:
            break
    return amplitude


def _perturbed(f: Drift, g: Residual, amplitude: float) -> Drift:
    return lambda x, t: torch.add(f(x, t), g(x), alpha=amplitude)


MAX_MODES = 2**20
_FIRST_MODES = 8
_NUMBERS_AT_ONCE = 2**22


def spectral_hierarchy(*, gamma: float, levels: int = 6, dim: int = 1, seed: int = 0) -> Hierarchy:
    """f(x) = −x + Σ_j a_j cos(⟨w_j, x⟩ + φ_j) with fixed spatial scale; level k sums the first M_k = M_1·2^(γ(k−1)) modes.

    The tail decays like a_j ~ j^(−1/γ − 1/2), band by band such that what level k leaves out has RMS 2^−k; f itself ends in one
    more band. Costs are the numbers of modes, in units in which level 1 costs 2^γ. The SDE is ``levels.sde``.
    Raises ValueError where level ``levels`` would take more than 2^20 modes.
    """
    gamma = check_number("gamma", gamma, low=GAMMA_LOW, high=GAMMA_HIGH)
    check_integer("levels", levels, high=MAX_LEVELS)
    check_integer("dim", dim, high=64)
    first = max(_FIRST_MODES, math.ceil(4 / math.expm1(gamma * math.log(2))))  # small γ: enough modes to tell levels apart
    counts = [round(first * 2.0 ** (gamma * k)) for k in range(levels)]
    if counts[-1] > MAX_MODES:
        most = 1 + int(math.log2(MAX_MODES / first) / gamma)
        raise ValueError(
            f"a spectral hierarchy takes at most {MAX_MODES:,} modes: with gamma {gamma:g} that is levels ≤ {most}, got {levels}"
        )
    tail = counts[-1] + max(counts[-1] // 4, first)
    modes = _Modes(_band_amplitudes([*counts, tail], gamma), dim, seed)
    sde = SDE(
        name="spectral",
        title="Random field of many modes",
        shape=(dim,),
        horizon=1.0,
        drift=modes.drift(tail),
        noise=constant(0.5),
        start=lambda z, u: 0.5 * z,
        resolution=60,
    )
    unit = 2.0**gamma / first
    return Hierarchy([Level(modes.drift(count), count * unit) for count in counts], sde=sde)


def _band_amplitudes(counts: list[int], gamma: float) -> Float[Tensor, " modes"]:
    """a_j for bands of modes ending at ``counts``: within band k ∝ j^(−1/γ − 1/2), in all of RMS √(4^−(k−1) − 4^−k); the last band
    holds what is left, 4^−(K). A cosine of random phase has mean square 1/2."""
    amplitudes = []
    start = 0
    for k, end in enumerate(counts):
        energy = 4.0**-k if k == len(counts) - 1 else 4.0**-k - 4.0 ** -(k + 1)
        shape = torch.arange(start + 1, end + 1, dtype=torch.float64) ** (-1 / gamma - 0.5)
        amplitudes.append(shape * math.sqrt(2 * energy / float(shape.square().sum())))
        start = end
    return torch.cat(amplitudes)


class _Modes:
    """The modes of a spectral drift; ``drift(count)`` sums the first ``count``."""

    def __init__(self, amplitudes: Float[Tensor, " modes"], dim: int, seed: int) -> None:
        source = generator(seed, "spectral")
        modes = len(amplitudes)
        waves = torch.randn(dim, modes, generator=source, dtype=torch.float64)
        self._waves = waves * ((0.7 + 0.6 * torch.rand(modes, generator=source, dtype=torch.float64)) / waves.norm(dim=0))
        self._phases = 2 * math.pi * torch.rand(modes, generator=source, dtype=torch.float64)
        out = torch.randn(modes, dim, generator=source, dtype=torch.float64)
        self._out = amplitudes[:, None] * out * math.sqrt(dim) / out.norm(dim=1, keepdim=True)

    def drift(self, count: int) -> Drift:
        def f(x: Tensor, t: float) -> Tensor:
            total = -x
            block = max(1, _NUMBERS_AT_ONCE // len(x))
            for begin in range(0, count, block):
                part = slice(begin, min(begin + block, count))
                waves = torch.addmm(self._phases[part].to(x), x, self._waves[:, part].to(x)).cos_()
                total = total.addmm(waves, self._out[part].to(x))
            return total

        return f
