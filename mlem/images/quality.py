"""How much what a network draws looks like faces: a Fréchet distance in features of the ladder's own finest network.

The usual FID takes features of a classifier that would have to be downloaded. Here they are what the finest denoiser sees in
its middle of a picture with a little noise, averaged over places: it has learned what faces are made of. Distances compare
levels of one ladder, on one set of pictures, and nothing else. As covariances of few pictures are biased, each distance stands
beside that of as many held-out pictures to the same training pictures, which no generator of that size gets below.

``python -m mlem.images.quality DATA`` prints the distances of the shipped ladder's levels; without DATA it draws the sheet of
sample pictures that ships with them.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from scipy.linalg import sqrtm
from torch import Tensor

from mlem.errors import Estimate
from mlem.images.card import SAMPLES
from mlem.images.checkpoint import SHIPPED, Ladder, NetworkLevel, load_ladder
from mlem.images.data import load, to_bytes, to_unit
from mlem.images.diffusion import alpha_of
from mlem.images.process import denoise_of
from mlem.images.samplers import sample
from mlem.streams import PathStream, generator

SAMPLER, EVALUATIONS = "dpm++", 20

_COMPARED, _TARGET = 500, 2000  # pictures drawn, and training pictures they are compared with
_COLUMNS, _ROWS = 16, 4  # of a sheet: rows of the finest level, below one row of each other level
_SHEET_SEED, _SHEET_QUALITY = 7, 75
_PRECISION = "bfloat16"
_SIGMA = 0.2  # of the noise on pictures whose features are taken
_DIMENSIONS = 48  # principal directions of the features that are compared: few enough for some hundred pictures
_BATCH = 50
_RESAMPLES = 20


def draw(
    level: NetworkLevel, ladder: Ladder, count: int, *, seed: int, precision: str = "float32"
) -> UInt8[Tensor, "n 3 size size"]:
    """``count`` pictures by the usual sampler, each from noise of its own; picture i does not depend on ``count``."""
    shape = (3, ladder.size, ladder.size)
    denoise, drawn = denoise_of(level, precision), []
    for first in range(0, count, _BATCH):
        batch = min(_BATCH, count - first)
        noise = PathStream(seed, "initial", batch, 3 * ladder.size**2, law="normal", first=first).take(1)[0]
        drawn.append(to_bytes(sample(SAMPLER, denoise, ladder.schedule, noise.view(batch, *shape), evaluations=EVALUATIONS)))
    return torch.cat(drawn)


@torch.no_grad()
def features(pictures: UInt8[Tensor, "n 3 size size"], ladder: Ladder, *, seed: int = 0) -> Float[np.ndarray, "n channels"]:
    """What the finest network's middle block makes of each picture, averaged over places."""
    denoiser, seen = ladder.levels[-1].denoiser, list[Tensor]()
    hook = denoiser.body.mid_block.register_forward_hook(lambda module, inputs, output: seen.append(output.mean((-2, -1))))
    source = generator(seed, "features")
    try:
        for part in torch.split(pictures, _BATCH):
            x = to_unit(part)
            denoiser((x + _SIGMA * torch.randn(x.shape, generator=source)) * alpha_of(_SIGMA), _SIGMA)
    finally:
        hook.remove()
    return torch.cat(seen).double().numpy()


def frechet(a: Float[np.ndarray, "n channels"], b: Float[np.ndarray, "m channels"]) -> float:
    """Squared Fréchet distance of two normals fitted to samples: |μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½)."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(cov_a @ cov_b).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a + cov_b - 2.0 * root))


def distances(
    drawn: list[UInt8[Tensor, "_n 3 size size"]],
    held_out: UInt8[Tensor, "m 3 size size"],
    train: UInt8[Tensor, "k 3 size size"],
    ladder: Ladder,
) -> tuple[list[Estimate], Estimate]:
    """The Fréchet distance of each level's pictures, and of held-out ones, to training pictures, in the principal directions of
    the latter, scaled to a variance of one each; 95 % intervals over resampled pictures."""
    basis = features(train, ladder)
    centre = basis.mean(0)
    _, spread, directions = np.linalg.svd(basis - centre, full_matrices=False)
    scaled = directions[:_DIMENSIONS] / (spread[:_DIMENSIONS, None] / np.sqrt(len(basis) - 1))
    target = (basis - centre) @ scaled.T
    found = [_estimate((features(part, ladder) - centre) @ scaled.T, target) for part in (*drawn, held_out)]
    return found[:-1], found[-1]


def _estimate(sampled: Float[np.ndarray, "n channels"], target: Float[np.ndarray, "k channels"]) -> Estimate:
    """With the interval of a resample around its own mean, as resampling itself adds to the distance."""
    random = np.random.default_rng(0)
    value = frechet(sampled, target)
    again = [frechet(sampled[random.integers(len(sampled), size=len(sampled))], target) for _ in range(_RESAMPLES)]
    half = 1.96 * float(np.std(again))
    return Estimate(value, max(0.0, value - half), value + half)


def samples(ladder: Ladder) -> UInt8[np.ndarray, "height width 3"]:
    """A row of 16 pictures by each level but the finest, all from the same noise, and four rows by the finest, which begin with
    that noise too."""
    *others, finest = ladder.levels
    parts = [draw(level, ladder, _COLUMNS, seed=_SHEET_SEED, precision=_PRECISION) for level in others]
    parts.append(draw(finest, ladder, _ROWS * _COLUMNS, seed=_SHEET_SEED, precision=_PRECISION))
    return sheet(torch.cat(parts), _COLUMNS)


def sheet(pictures: UInt8[Tensor, "n 3 size size"], columns: int) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in rows of ``columns``."""
    rows = [torch.cat(list(row), dim=2) for row in torch.split(pictures, columns)]
    return torch.cat(rows, dim=1).permute(1, 2, 0).numpy()


def main(arguments: list[str]) -> int:
    """Exit status."""
    ladder = load_ladder(SHIPPED)
    if not arguments:
        Image.fromarray(samples(ladder)).save(SHIPPED / SAMPLES, quality=_SHEET_QUALITY)
        return 0
    pictures = load(arguments[0])
    drawn = [draw(level, ladder, _COMPARED, seed=1, precision=_PRECISION) for level in ladder.levels]
    found, floor = distances(drawn, pictures.held_out, pictures.train[:_TARGET], ladder)
    for name, distance in zip((*(level.name for level in ladder.levels), "held out"), (*found, floor), strict=True):
        print(f"{name}: {distance.value:.2f} ({distance.low:.2f} to {distance.high:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
