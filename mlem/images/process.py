"""From a ladder of networks to what the solvers take: an SDE of pictures and a hierarchy of its drifts.

Solver time runs from the noise, t = 0, to the data, t = 1; the state is y = α x_0 + s ε, one picture a path.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlem.hierarchy import Hierarchy, Level
from mlem.images.checkpoint import Ladder, NetworkLevel
from mlem.images.diffusion import Denoise
from mlem.sde import SDE

PROCESSES = {"sde": "SDE: noise on the way", "ode": "ODE: no noise on the way"}

PRECISIONS = {"float32": "Single", "bfloat16": "Half where it is quicker (bfloat16)"}

_WORTH_HALVING = 100_000_000  # FLOPs of an evaluation: smaller networks are slower in half precision, as conversions cost more

GFLOP = 1e9
RESOLUTION = 128
"""Steps that resolve the path roughly."""


def levels_of(ladder: Ladder, process: str = "sde", *, precision: str = "float32") -> Hierarchy:
    """The drifts of all levels, each at the price of its GFLOP per picture; the SDE's own drift is the finest one's.

    In "bfloat16" the larger networks compute in half precision; states and preconditioning stay in single.
    """
    ode = process == "ode"
    drifts = [ladder.schedule.drift(denoise_of(level, precision), ode=ode) for level in ladder.levels]
    levels = [Level(drift, level.flops / GFLOP) for drift, level in zip(drifts, ladder.levels, strict=True)]
    sde = SDE(
        name=f"{ladder.name} {process}",
        title=f"Pictures of {ladder.size} × {ladder.size} pixels",
        shape=(3, ladder.size, ladder.size),
        horizon=1.0,
        drift=levels[-1].drift,
        noise=ladder.schedule.noise(ode=ode),
        start=_noise_only,
        resolution=RESOLUTION,
    )
    return Hierarchy(levels, sde=sde)


def denoise_of(level: NetworkLevel, precision: str = "float32") -> Denoise:
    """D(y, σ) of a level, in ``precision`` where it is large enough to gain by it; without gradients."""
    half = precision == "bfloat16" and level.flops > _WORTH_HALVING

    @torch.no_grad()
    def denoise(y: Tensor, sigma: float) -> Tensor:
        with torch.autocast(y.device.type, torch.bfloat16, enabled=half):
            return level.denoiser(y, sigma)

    return denoise


def _noise_only(z: Tensor, u: Tensor) -> Tensor:
    """At the largest σ hardly anything of the picture is left: α is below 0.01."""
    return z
