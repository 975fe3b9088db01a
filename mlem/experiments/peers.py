"""The bench's work, done by others: Euler–Maruyama on dX = −X dt + ½ dW from X_0 = 1 on [0, 1], in single precision.

torchsde and diffrax are no requirements of the package: they are imported only when a solve of theirs is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

import mlem
from mlem.sde import SDE

NOISE, SEED = 0.5, 0

Solve: TypeAlias = Callable[[], Any]
"""Does the work once and returns the final states, (batch, dim) or flat, as a tensor or an array."""


@dataclass(frozen=True)
class Work:
    """How much is done."""

    dim: int
    batch: int
    steps: int

    def __str__(self) -> str:
        return f"d {self.dim}, batch {self.batch:,}, {self.steps:,} steps"

    @property
    def sde(self) -> SDE:
        """The equation that all solve."""
        return mlem.problems.get("ornstein-uhlenbeck", dim=self.dim, noise=NOISE)


@dataclass(frozen=True)
class Peer:
    """Somebody else's solver. ``least``: how many times as long as ours it should take."""

    name: str
    requirements: tuple[str, ...]
    make: Callable[[Work], Solve]
    least: float

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of what it needs."""
        return tuple(requirement.partition("==")[0] for requirement in self.requirements)

    @property
    def installed(self) -> bool:
        """Whether all that it needs can be imported."""
        return all(find_spec(name) for name in self.packages)

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install {' '.join(self.requirements)}"


def bare_loop(work: Work) -> Solve:
    """What anyone would write in torch, with nothing around it, and the same drift as ours."""
    f, h = work.sde.drift, 1.0 / work.steps
    s = NOISE * math.sqrt(h)

    @torch.no_grad()
    def solve() -> Tensor:
        source = torch.Generator().manual_seed(SEED)
        y = torch.ones(work.batch, work.dim)
        for n in range(work.steps):
            z = torch.randn(work.batch, work.dim, generator=source)
            y = y + h * f(y, n * h) + s * z
        return y

    return solve


def torchsde_default(work: Work) -> Solve:
    """torchsde's Euler scheme on the Brownian motion that it makes when given none, a BrownianInterval."""
    torchsde: Any = import_module("torchsde")

    class OrnsteinUhlenbeck:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return y * -1.0

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.full_like(y, NOISE)

    @torch.no_grad()
    def solve() -> Tensor:
        y0, ends = torch.ones(work.batch, work.dim), torch.tensor([0.0, 1.0])
        return torchsde.sdeint(OrnsteinUhlenbeck(), y0, ends, dt=1.0 / work.steps, method="euler")[-1]

    return solve


def diffrax_fastest(work: Work) -> Solve:
    """diffrax's Euler scheme in its fastest form: one flat state for the batch, increments drawn afresh
    (UnsafeBrownianPath), forward mode. Compiled before it is returned."""
    diffrax, jax, lineax = (import_module(name) for name in ("diffrax", "jax", "lineax"))
    y0 = jax.numpy.ones(work.batch * work.dim, dtype=np.float32)

    def drift(t: Any, y: Any, args: Any) -> Any:
        return -y

    def noise(t: Any, y: Any, args: Any) -> Any:
        return lineax.DiagonalLinearOperator(jax.numpy.full_like(y, NOISE))

    def integrate(key: Any) -> Any:
        path = diffrax.UnsafeBrownianPath(shape=y0.shape, key=key)
        return diffrax.diffeqsolve(
            diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(noise, path)),
            diffrax.Euler(),
            t0=0.0,
            t1=1.0,
            dt0=1.0 / work.steps,
            y0=y0,
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),
            max_steps=work.steps + 1,  # one in reserve: diffrax adds up the times
        ).ys[-1]

    compiled = jax.jit(integrate)

    def solve() -> Any:
        return compiled(jax.random.key(SEED)).block_until_ready()

    solve()
    return solve


PEERS = (
    Peer("torchsde", ("torchsde==0.2.6",), torchsde_default, least=10.0),
    Peer("diffrax", ("diffrax==0.7.2", "jax==0.10.2", "lineax==0.1.1"), diffrax_fastest, least=1.0),
)
