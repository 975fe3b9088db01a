"""Random streams: every number is a function of (seed, name, path, step), never of a global generator.

Paths are grouped in blocks and each block owns a generator, so a path's numbers do not depend on how many other paths are drawn
beside it, nor on how a long run is cut into chunks. Blocks grow with the index of their paths: a small batch draws few numbers
that it does not need, a large one calls few generators. Numbers are drawn on the CPU in single precision whatever the dtype and
device of the simulation: float32 and float64, CPU and CUDA see the same path.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

_SMALLEST_BLOCK, _LARGEST_BLOCK = 256, 4096  # numbers in a step
_VECTOR = 16  # torch fills normals in groups of 16: whole groups make chunked draws equal to one long draw


def _scramble(value: int) -> int:
    """A bijection of the 32-bit integers (the finaliser of MurmurHash3): distinct blocks get distinct, unrelated seeds."""
    value &= 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return value ^ (value >> 16)


def generator(seed: int, name: str, index: int = 0) -> torch.Generator:
    """A CPU generator for stream ``name`` of ``seed``; generators of different ``index`` never coincide."""
    base = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "little")
    return torch.Generator().manual_seed(_scramble(base + index))


class PathStream:
    """Numbers for ``batch`` paths, ``numel`` per path and step, taken step after step.

    ``first`` is the index of the first path: paths 128..255 drawn alone are those of a draw of 0..255. Normals have mean 0 and
    the standard deviation ``std``.
    """

    def __init__(
        self,
        seed: int,
        name: str,
        batch: int,
        numel: int,
        *,
        law: Literal["normal", "uniform"],
        first: int = 0,
        std: float = 1.0,
    ) -> None:
        group = _VECTOR // math.gcd(_VECTOR, numel)
        unit = math.ceil(max(1, _SMALLEST_BLOCK // numel) / group) * group
        doublings = max(0, (_LARGEST_BLOCK // (unit * numel)).bit_length() - 1)
        begin, end = (_block(path // unit, doublings) for path in (first, first + batch - 1))
        bounds = [unit * _begin(b, doublings) for b in range(begin, end + 2)]
        self._law, self._std, self._batch, self._skip = law, std, batch, first - bounds[0]
        self._shapes = [(high - low, numel) for low, high in pairwise(bounds)]
        self._generators = [generator(seed, name, b) for b in range(begin, end + 1)]
        self.numbers = (bounds[-1] - bounds[0]) * numel  # drawn for one step: whole blocks

    def take(self, steps: int) -> Float[Tensor, "steps batch numel"]:
        """The next ``steps`` steps, float32 on the CPU."""
        blocks = [torch.empty(steps, *shape) for shape in self._shapes]
        for block, source in zip(blocks, self._generators, strict=True):
            if self._law == "normal":
                block.normal_(std=self._std, generator=source)
            else:
                block.uniform_(generator=source)
        paths = blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)
        return paths[:, self._skip : self._skip + self._batch]


def _block(unit: int, doublings: int) -> int:
    """The block that holds a unit of paths: blocks of 1, 1, 2, 4, … units, and after ``doublings`` all of one size."""
    return unit.bit_length() if unit < 1 << doublings else doublings + (unit >> doublings)


def _begin(block: int, doublings: int) -> int:
    """The first unit of a block."""
    return (1 << block) >> 1 if block <= doublings else (block - doublings) << doublings
