"""Stochastic differential equations dX = f(X, t) dt + s(t) dW with additive noise (method, section 1).

Noise that depends on the state is out of scope: Euler–Maruyama would then be of strong order 1/2 only, and ML-EM's analysis
does not cover it. ``noise`` therefore takes the time alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_choice, check_integer
from mlem.streams import PathStream

Drift: TypeAlias = Callable[[Tensor, float], Tensor]
"""(x, t) -> f(x, t): x is (batch, *shape), t a float, the result like x."""

Start: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(z, u) -> X_0: z is (batch, *shape) of standard normals, u is (batch,) of uniforms, the result like z."""

Exact: TypeAlias = Callable[[BrownianPath, Tensor, Sequence[int]], Tensor]
"""(path, x0, indices) -> X at the fine steps ``indices`` of ``path``, in order and each once: (times, batch, *shape)."""

Moments: TypeAlias = Callable[[float], tuple[Tensor, Tensor]]
"""t -> mean and variance of each coordinate of X_t, each of shape ``shape``."""


@dataclass(frozen=True, eq=False)
class SDE:
    """dX = drift(X, t) dt + noise(t) dW on [0, horizon], state in R^shape; noise 0 everywhere makes it an ODE.

    States are scaled to order one, so that an error of 0.01 means the same in every problem.

    - ``start``: the law of X_0 from standard normals and one uniform a path.
    - ``resolution``: a number of Euler–Maruyama steps that is stable and resolves the path roughly: what pilots use.
    - ``exact``: the solution on the same Brownian path, where mathematics gives one; ``moments``: mean and variance of X_t.
    - ``view``: which coordinates a picture shows: one against time, or two against each other.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    horizon: float
    drift: Drift
    noise: Callable[[float], float]
    start: Start
    resolution: int = 60
    exact: Exact | None = None
    moments: Moments | None = None
    view: tuple[int, ...] = (0,)
    axes: tuple[str, ...] = field(default=("X",))

    @property
    def numel(self) -> int:
        """Numbers in one state."""
        return math.prod(self.shape)

    @property
    def is_ode(self) -> bool:
        """Whether the noise is known to vanish."""
        return self.noise is no_noise

    def initial(
        self,
        batch: int,
        seed: int,
        *,
        first: int = 0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "batch *shape"]:
        """Initial states of paths first..first+batch−1; path i's does not depend on the batch it is drawn in."""
        check_integer("batch", batch)
        check_integer("seed", seed, low=0)
        check_integer("first", first, low=0)
        check_choice("dtype", dtype, (torch.float32, torch.float64))
        z = PathStream(seed, "initial", batch, self.numel, law="normal", first=first).take(1)[0]
        u = PathStream(seed, "initial-choice", batch, 1, law="uniform", first=first).take(1)[0, :, 0]
        return self.start(z.to(dtype).view(batch, *self.shape), u.to(dtype)).to(device)


def no_noise(t: float) -> float:
    """s(t) of an ODE. Solvers draw no Brownian path for it."""
    return 0.0


def constant(value: float) -> Callable[[float], float]:
    """A noise coefficient that does not depend on time."""
    return no_noise if value == 0.0 else lambda t: value
