"""Random streams: every number is a function of (seed, name, path, step), never of a global generator.

Paths are grouped in blocks of fixed size and each block owns a generator, so a path's numbers do not depend on how many other
paths are drawn beside it, nor on how a long run is cut into chunks. Numbers are drawn on the CPU in single precision whatever
the dtype and device of the simulation: float32 and float64, CPU and CUDA see the same path.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

_NUMBERS_PER_BLOCK = 256
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

    ``first`` is the index of the first path: paths 128..255 drawn alone are those of a draw of 0..255.
    """

    def __init__(
        self, seed: int, name: str, batch: int, numel: int, *, law: Literal["normal", "uniform"], first: int = 0
    ) -> None:
        group = _VECTOR // math.gcd(_VECTOR, numel)
        self._per_block = math.ceil(max(1, _NUMBERS_PER_BLOCK // numel) / group) * group
        self._batch, self._numel, self._law = batch, numel, law
        first_block, last_block = first // self._per_block, (first + batch - 1) // self._per_block
        self._skip = first - first_block * self._per_block
        self._generators = [generator(seed, name, b) for b in range(first_block, last_block + 1)]
        self.numbers = len(self._generators) * self._per_block * numel  # drawn for one step: whole blocks

    def take(self, steps: int) -> Float[Tensor, "steps batch numel"]:
        """The next ``steps`` steps, float32 on the CPU."""
        blocks = torch.empty(len(self._generators), steps, self._per_block, self._numel)
        for block, source in zip(blocks, self._generators, strict=True):
            if self._law == "normal":
                block.normal_(generator=source)
            else:
                block.uniform_(generator=source)
        paths = blocks[0] if len(blocks) == 1 else blocks.transpose(0, 1).reshape(steps, -1, self._numel)
        return paths[:, self._skip : self._skip + self._batch]
