"""A ladder of two or three networks so small that tests can run them: random weights, pictures of 16 × 16 pixels."""

from __future__ import annotations

from functools import cache

import torch

from mlem.images.checkpoint import Ladder, NetworkLevel
from mlem.images.diffusion import Schedule
from mlem.images.manifest import TrainingRecord
from mlem.images.network import Denoiser, Shape, flops, parameters

SHAPES = (Shape(4, (4, 16), groups=2), Shape(2, (8, 16), groups=2), Shape(2, (16, 32), groups=2))


@cache
def ladder() -> Ladder:
    """Three levels; the same weights each time."""
    levels = []
    for k, shape in enumerate(SHAPES, start=1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(k)
            body = shape.body(16)
        denoiser = Denoiser(body, Schedule(), patch=shape.patch).eval().requires_grad_(False)
        told = TrainingRecord(
            images=1000 * k, seconds=1.0, device="none", held_out=((0.1, 1.0 / k, 0.01), (1.0, 0.5 / k, 0.01))
        )
        levels.append(NetworkLevel(f"level-{k}", denoiser, flops(denoiser), parameters(body), f"{k:064d}", told))
    return Ladder("tiny", 16, Schedule(), tuple(levels))
