"""The error of a law: how far the ends of a run, as a cloud of points, are from the reference's, whichever path is where.

Measured is the sliced Wasserstein distance of order 2 (Bonneel, Rabin, Peyré and Pfister, *J. Math. Imaging Vision* 51, 2015):
in one dimension the root mean square difference of the sorted ends, in several the root mean square of that over directions.
The directions are whole orthonormal frames, so that it has the scale of the RMSE per coordinate and, in every sample, is at
most that.

*What it sees.* Run and reference share their noise. The mean of its square lies between the squared distance of the two laws
(it is convex in the pair of samples, so that sampling only adds) and the mean square error of the paths. Without shared noise
sampling would add what two independent samples of one law differ by. Shared, it adds far less: samples that nearly coincide are
wrong together.

*Where it is trusted.* What chance alone gives is measured, run by run. Swap run and reference on each path by the throw of a
coin: then both are samples of one law, with as much in common as they had. The mean square of their distance is what sampling
adds if the laws are equal, exactly so where run and reference can be exchanged. A distance of twice that and more is trusted:
chance has at most a quarter of its square. This is cautious: of a shift that all paths share, and that is smaller than the gaps
between their ends, sorted numbers cannot tell that it is not by chance.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mlem.errors import Estimate, rmse
from mlem.streams import generator

_DIRECTIONS = 16  # at least, in several dimensions
_SWAPS = 32


class SlicedLaw:
    """The ends of a reference, to which those of runs on the same paths are compared along directions that ``seed`` draws."""

    def __init__(self, ends: Float[Tensor, "batch *shape"], seed: int = 0) -> None:
        flat = _flat(ends)
        self._shape, self._random = ends.shape, generator(seed, "slices")
        self._directions = _frames(flat.shape[1], self._random)
        self._slices = self._directions @ flat.T
        self._swapped = torch.rand(_SWAPS, 1, len(flat), generator=self._random).numpy() < 0.5

    def shares(self, final: Float[Tensor, "batch *shape"]) -> Float[np.ndarray, " batch"]:
        """Each path's share in the squared distance, which is their mean. Raises ValueError for another shape.

        They are the values of the Kantorovich potentials at both ends of the path, averaged over directions. To first order the
        squared distance changes with the weights of paths as the mean of these does (del Barrio and Loubes, *Ann. Probab.* 47,
        2019), so that resampled means give its interval. A share can be negative.
        """
        found, own = self._projected(final), self._slices
        by_found, by_own = np.argsort(found, axis=1), np.argsort(own, axis=1)
        y, x = np.take_along_axis(found, by_found, axis=1), np.take_along_axis(own, by_own, axis=1)
        between = (y - x)[:, 1:] + (y - x)[:, :-1]  # twice the map's y − x, half-way to the next
        first = np.square(y[:, :1] - x[:, :1])
        shares = _potential(np.diff(y) * between, by_found) + first - _potential(np.diff(x) * between, by_own)
        return shares.mean(0)

    def chance(self, final: Float[Tensor, "batch *shape"]) -> float:
        """The root mean square distance that chance alone gives on paths that have as much in common as these."""
        found, own = self._projected(final), self._slices
        pairs = (np.where(self._swapped, *both) for both in ((found, own), (own, found)))
        return float(np.sqrt(_squared_distance(*pairs)))

    @cached_property
    def independent(self) -> float:
        """The root mean square distance of two independent samples of the reference's law, of as many paths: what could be seen
        at best without shared paths. By resampling the ends, twice for each."""
        paths = self._slices.shape[1]
        drawn = torch.randint(paths, (2, _SWAPS, paths), generator=self._random).numpy()
        return float(np.sqrt(_squared_distance(*(self._slices[:, chosen] for chosen in drawn))))

    def _projected(self, final: Tensor) -> Float[np.ndarray, "directions batch"]:
        if final.shape != self._shape:
            raise ValueError(f"final and reference differ in shape: {tuple(final.shape)} and {tuple(self._shape)}")
        return self._directions @ _flat(final).T


def distribution_error(
    final: Float[Tensor, "batch *shape"], reference: Float[Tensor, "batch *shape"], *, seed: int = 0
) -> Estimate:
    """The sliced Wasserstein distance of order 2 between the ends of paths, with its 95 % interval by resampling paths.

    ``seed`` draws the directions. What chance has in it is told by :meth:`SlicedLaw.chance`. Raises ValueError for shapes that
    differ.
    """
    return rmse(SlicedLaw(reference, seed).shares(final))


def is_told_from_chance(distance: float, chance: float) -> bool:
    """Whether chance has at most a quarter of the squared distance."""
    return distance >= 2 * chance


def _flat(ends: Tensor) -> Float[np.ndarray, "batch numel"]:
    return ends.detach().flatten(1).double().cpu().numpy() if ends.ndim > 1 else ends.detach().double().cpu().numpy()[:, None]


def _frames(numel: int, random: torch.Generator) -> Float[np.ndarray, "directions numel"]:
    """Random orthonormal frames, each in all directions alike; on a line there is one direction."""
    if numel == 1:
        return np.ones((1, 1))
    normal = torch.randn(math.ceil(_DIRECTIONS / numel), numel, numel, generator=random, dtype=torch.float64)
    return torch.linalg.qr(normal).Q.flatten(0, 1).numpy()


def _squared_distance(a: Float[np.ndarray, "*rows batch"], b: Float[np.ndarray, "*rows batch"]) -> float:
    """The mean over rows of the squared distance between two samples on the line: sorted, they are best paired."""
    return float(np.square(np.sort(a) - np.sort(b)).mean())


def _potential(
    steps: Float[np.ndarray, "directions gaps"], order: Int[np.ndarray, "directions batch"]
) -> Float[np.ndarray, "directions batch"]:
    """0 at the smallest end, growing by ``steps`` from each end to the next; put where the ends are."""
    potential = np.zeros(order.shape)
    np.put_along_axis(potential, order[:, 1:], np.cumsum(steps, axis=1), axis=1)
    return potential
