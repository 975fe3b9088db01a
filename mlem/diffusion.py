"""The variance-preserving diffusion dX = −½β(τ) X dτ + √β(τ) dW (Song et al. 2021) and its reversal in time.

τ is the diffusion's own time, 0 at the data and 1 at the noise; a reverse process runs in t = 1 − τ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from mlem.sde import Drift, no_noise

Variance = TypeVar("Variance", float, Tensor)


@dataclass(frozen=True)
class VariancePreserving:
    """β grows linearly from ``beta_low`` at the data to ``beta_high`` at the noise."""

    beta_low: float = 0.1
    beta_high: float = 12.0

    def beta(self, tau: float) -> float:
        """β(τ)."""
        return self.beta_low + (self.beta_high - self.beta_low) * tau

    def alpha(self, tau: float) -> float:
        """X_τ = α(τ) X_0 + noise: α = exp(−½ ∫ β)."""
        return math.exp(-0.5 * (self.beta_low * tau + 0.5 * (self.beta_high - self.beta_low) * tau * tau))

    def variance(self, tau: float, data: Variance) -> Variance:
        """Variance at τ of what had variance ``data`` at 0."""
        return 1.0 + self.alpha(tau) ** 2 * (data - 1.0)

    def reverse_drift(self, score: Drift, ode: bool) -> Drift:
        """½βx + β·score for the reverse SDE, ½βx + ½β·score for the probability-flow ODE; ``score`` takes (x, τ)."""
        share = 0.5 if ode else 1.0

        def drift(x: Tensor, t: float) -> Tensor:
            beta = self.beta(1.0 - t)
            return (0.5 * beta * x).add_(score(x, 1.0 - t), alpha=share * beta)

        return drift

    def reverse_noise(self, ode: bool) -> Callable[[float], float]:
        """√β for the SDE, 0 for the ODE."""
        return no_noise if ode else lambda t: math.sqrt(self.beta(1.0 - t))
