"""Hierarchies of drifts: levels f^1, …, f^K, coarse and cheap to fine and dear (method, section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsIndex, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.checks import check_positive
from mlem.sde import SDE, Drift


@dataclass(frozen=True, eq=False)
class Level:
    """One approximation of the drift: ``drift(x, t)`` and the cost of one evaluation for one path, in model units."""

    drift: Drift
    cost: float

    def __post_init__(self) -> None:
        check_positive("cost", self.cost)
        if not callable(self.drift):
            raise ValueError(f"drift takes a callable (x, t) -> tensor like x, got {type(self.drift).__name__}")


class Hierarchy(Sequence[Level]):
    """Levels from coarse to fine for one SDE. Each drift is tried once: its result must be like the state.

    Raises ValueError for an empty list, costs that do not grow, or a drift of the wrong shape or dtype.
    """

    def __init__(self, levels: Sequence[Level], *, sde: SDE) -> None:
        self._levels = tuple(levels)
        self.sde = sde
        if not self._levels:
            raise ValueError("levels takes at least one level, got none")
        for k, (coarse, fine) in enumerate(zip(self._levels, self._levels[1:], strict=False), start=1):
            if fine.cost <= coarse.cost:
                raise ValueError(
                    f"levels go from cheap to dear: level {k + 1} costs {fine.cost:g}, level {k} costs {coarse.cost:g}"
                )
        x = sde.initial(2, seed=0)
        for k, level in enumerate(self._levels, start=1):
            _check_drift(k, level.drift(x, 0.0), x)

    def __len__(self) -> int:
        return len(self._levels)

    @overload
    def __getitem__(self, k: SupportsIndex) -> Level: ...

    @overload
    def __getitem__(self, k: slice) -> Hierarchy: ...

    def __getitem__(self, k: SupportsIndex | slice) -> Level | Hierarchy:
        if isinstance(k, slice):
            return Hierarchy(self._levels[k], sde=self.sde)
        return self._levels[k]

    def __iter__(self) -> Iterator[Level]:
        return iter(self._levels)

    @property
    def costs(self) -> Float[np.ndarray, " levels"]:
        """Cost of one evaluation of each level, model units."""
        return np.array([level.cost for level in self._levels])


def _check_drift(k: int, f: object, x: Tensor) -> None:
    if not isinstance(f, Tensor):
        raise ValueError(f"the drift of level {k} must return a tensor like x, got {type(f).__name__}")
    if f.shape != x.shape or f.dtype != x.dtype or f.device != x.device:
        raise ValueError(
            f"the drift of level {k} must return a tensor like x, {tuple(x.shape)} {x.dtype}, got {tuple(f.shape)} {f.dtype}"
        )
    if not bool(torch.isfinite(f).all()):
        raise ValueError(f"the drift of level {k} is not finite at the initial state")
