"""A training so small that tests can run it many times. As a program it trains, saving after each step, until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from mlem.images import train
from mlem.images.network import Shape
from mlem.images.train import Recipe, Training

STEPS = 24
RECIPE = Recipe(Shape(1, (4, 8), groups=2), images=STEPS * 8, batch=8, rate=2e-3)


def pictures(count: int = 30, seed: int = 0) -> Tensor:
    """Pictures of 8 × 8 pixels: a bright square somewhere on a dark ground."""
    source = torch.Generator().manual_seed(seed)
    found = torch.full((count, 3, 8, 8), 40, dtype=torch.uint8)
    for picture, (row, column) in zip(found, torch.randint(0, 5, (count, 2), generator=source).tolist(), strict=True):
        picture[:, row : row + 4, column : column + 4] = 220
    return found


def begun(recipe: Recipe = RECIPE, level: int = 1, seed: int = 0, size: int = 8) -> Training:
    """A training that has not seen a picture yet."""
    return Training(recipe, level, size=size, seed=seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train.SAVE_EVERY, train.CURVE_EVERY = 0.0, 5
    begun().run(pictures(), Path(sys.argv[1]), lambda training, _: print(training.step, flush=True))
