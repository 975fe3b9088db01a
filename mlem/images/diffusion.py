"""The variance-preserving diffusion of pictures, and a clock in which equal steps suit it (Ho et al. 2020, Song et al. 2021).

A picture x_0 becomes y = α x_0 + s ε with α² + s² = 1. One number tells how noisy y is, σ = s/α, so that α² = 1/(1 + σ²).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from mlem.checks import check_number
from mlem.sde import Drift, no_noise

Denoise: TypeAlias = Callable[[Tensor, float], Tensor]
"""(y, σ) -> the expected picture E[x_0 | y], like y."""

TIMESTEPS = 1000
"""DDPM's time runs from 0 at the data to 1000 at the noise."""


@dataclass(frozen=True)
class Schedule:
    """How noise grows, and how a solver's time t in [0, 1] walks through it, from the noise to the data.

    beta_low, beta_high: β(τ) = beta_low + (beta_high − beta_low) τ of DDPM, τ in [0, 1].
    sigma_low, sigma_high: the range of σ that is solved over.
    rho: σ^(1/ρ) falls linearly with t (Karras et al. 2022, equation 5). In DDPM's own time Euler steps are unstable near the
    data unless there are a hundred; in this clock the stiffness is spread evenly.
    """

    beta_low: float = 0.1
    beta_high: float = 20.0
    sigma_low: float = 0.01
    sigma_high: float = 150.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_number("beta_low", self.beta_low, low=0.0, open_low=True)
        check_number("beta_high", self.beta_high, low=self.beta_low)
        check_number("sigma_low", self.sigma_low, low=0.0, open_low=True)
        check_number("sigma_high", self.sigma_high, low=self.sigma_low, open_low=True)
        check_number("rho", self.rho, low=1.0, high=100.0)

    def sigma(self, t: float) -> float:
        """σ at the solver's time t."""
        return self._root(t) ** self.rho

    def rate(self, t: float) -> float:
        """b(t) = −d/dt log(1 + σ²): β of the diffusion in the solver's clock."""
        root, low, high = self._root(t), self.sigma_low ** (1 / self.rho), self.sigma_high ** (1 / self.rho)
        sigma = root**self.rho
        slope = self.rho * root ** (self.rho - 1.0) * (low - high)
        return -2.0 * sigma * slope / (1.0 + sigma * sigma)

    def _root(self, t: float) -> float:
        low, high = self.sigma_low ** (1 / self.rho), self.sigma_high ** (1 / self.rho)
        return high + t * (low - high)

    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        """DDPM's time, 0 to 1000, at which the noise is σ: what networks are told. Solves ∫_0^τ β = log(1 + σ²)."""
        slope = self.beta_high - self.beta_low
        grown = (1.0 + sigma * sigma).log() if isinstance(sigma, Tensor) else math.log1p(sigma * sigma)
        root = (self.beta_low**2 + 2.0 * slope * grown) ** 0.5
        return TIMESTEPS * 2.0 * grown / (self.beta_low + root)

    def drift(self, denoise: Denoise, *, ode: bool) -> Drift:
        """The reverse drift b [½y + g·score], score = (α D(y) − y)/s²: g = 1 for the SDE, ½ for the probability-flow ODE."""
        share = 0.5 if ode else 1.0

        def drift(y: Tensor, t: float) -> Tensor:
            sigma, b = self.sigma(t), self.rate(t)
            score_scale = share * b * (1.0 + sigma * sigma) / (sigma * sigma)
            alpha = alpha_of(sigma)
            return (denoise(y, sigma) * (score_scale * alpha)).add_(y, alpha=0.5 * b - score_scale)

        return drift

    def noise(self, *, ode: bool) -> Callable[[float], float]:
        """√b for the SDE, 0 for the ODE."""
        return no_noise if ode else lambda t: math.sqrt(self.rate(t))


def alpha_of(sigma: float) -> float:
    """α = 1/√(1 + σ²)."""
    return 1.0 / math.sqrt(1.0 + sigma * sigma)
