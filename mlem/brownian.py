"""One Brownian path, seen at every resolution: a fine stream of increments, coarser grids by summation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from mlem.checks import check_choice, check_divides, check_integer, check_positive
from mlem.streams import PathStream

_NUMBERS_PER_CHUNK = 2**17  # half a MiB: what was drawn is still in the cache when a step takes it


class BrownianPath:
    """``batch`` Brownian paths with values in R^shape on [0, horizon], resolved by ``steps`` fine increments.

    Nothing is stored: increments are drawn as they are consumed, again from the start for each call, so memory does not grow
    with ``steps``. Path i is the same whatever ``batch`` it is drawn in (``first`` shifts the index), on CPU and CUDA.

    Raises ValueError for a size that is not a positive integer or a horizon that is not positive.
    """

    def __init__(
        self,
        batch: int,
        shape: tuple[int, ...],
        steps: int,
        horizon: float,
        seed: int,
        *,
        first: int = 0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch = check_integer("batch", batch)
        self.shape = tuple(check_integer("shape", size) for size in shape)
        self.steps = check_integer("steps", steps)
        self.horizon = check_positive("horizon", horizon)
        self.seed = check_integer("seed", seed, low=0)
        self.first = check_integer("first", first, low=0)
        self.dtype = check_choice("dtype", dtype, (torch.float32, torch.float64))
        self.device = torch.device(device)

    def increments(self, steps: int) -> Float[Tensor, "steps batch *shape"]:
        """ΔW on the grid t_n = n·horizon/steps, all at once. Raises ValueError unless ``steps`` divides ``self.steps``."""
        return torch.stack(list(self.stream(steps)))

    def stream(self, steps: int) -> Iterator[Float[Tensor, "batch *shape"]]:
        """The same increments one after the other, in constant memory."""
        ratio = check_divides("steps", steps, self.steps)
        return self._normals("brownian", steps, ratio, std=math.sqrt(self.horizon / self.steps))

    def bridge_normals(self) -> Iterator[Float[Tensor, "batch *shape"]]:
        """For each fine step standard normals independent of the path: what ΔW leaves open of ∫ e^(−λs) dW."""
        return self._normals("bridge", self.steps, ratio=1, std=1.0)

    def _normals(self, name: str, steps: int, ratio: int, std: float) -> Iterator[Float[Tensor, "batch *shape"]]:
        """``steps`` states, each the sum of ``ratio`` normals of the stream ``name``, of standard deviation ``std``."""
        numel = math.prod(self.shape)
        source = PathStream(self.seed, name, self.batch, numel, law="normal", first=self.first, std=std)
        fine_per_chunk = max(1, _NUMBERS_PER_CHUNK // source.numbers)
        done = 0
        while done < steps:
            count = min(max(1, fine_per_chunk // ratio), steps - done)
            chunk = _sum_in_order(source, count, ratio, fine_per_chunk, self.dtype)
            yield from chunk.view(count, self.batch, *self.shape).to(self.device).unbind()
            done += count


class RememberedPath(BrownianPath):
    """A path that is kept in memory, for many runs on it; ``copies`` of it stand one after the other in the batch. Their coins
    are those of paths number ``first`` and on."""

    def __init__(self, path: BrownianPath, copies: int = 1, first: int | None = None) -> None:
        vars(self).update(vars(path))
        self.batch = path.batch * copies
        self.first = path.first if first is None else first
        self._copies = copies
        if isinstance(path, RememberedPath):
            return
        self._positions = torch.zeros(path.steps + 1, path.batch, *path.shape, dtype=path.dtype, device=path.device)
        for n, dW in enumerate(path.stream(path.steps)):
            torch.add(self._positions[n], dW, out=self._positions[n + 1])

    def copies(self, copies: int, *, first: int) -> RememberedPath:
        """The path ``copies`` times in one batch, sharing its memory."""
        return RememberedPath(self, copies, first)

    def stream(self, steps: int) -> Iterator[Float[Tensor, "batch *shape"]]:
        """The increments, as differences of what is remembered: equal to the path's own up to rounding."""
        ratio = check_divides("steps", steps, self.steps)
        for n in range(0, self.steps, ratio):
            dW = self._positions[n + ratio] - self._positions[n]
            yield dW.repeat(self._copies, *(1 for _ in self.shape)) if self._copies > 1 else dW


def _sum_in_order(
    source: PathStream, count: int, ratio: int, fine_per_chunk: int, dtype: torch.dtype
) -> Float[Tensor, "count batch numel"]:
    """Sums of ``ratio`` consecutive fine normals, ``count`` of them. The order of summation is fixed, so that the result does
    not depend on the chunking and with it on the batch."""
    if ratio == 1:
        return source.take(count).to(dtype)
    if count * ratio <= fine_per_chunk:
        fine = source.take(count * ratio)
        pieces = fine.view(count, ratio, *fine.shape[1:]).unbind(1)
    else:  # one coarse step is longer than a chunk, and count is 1
        pieces = tuple(source.take(1) for _ in range(ratio))
    total = pieces[0].to(dtype)
    for piece in pieces[1:]:
        total += piece
    return total
