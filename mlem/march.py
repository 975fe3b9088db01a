"""What every solver does around its step: checks arguments, saves states, reports, counts, and finds a step that went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_divides, check_integer
from mlem.errors import NonFiniteStep, first_bad_path
from mlem.hierarchy import Level
from mlem.ledger import Firing, Ledger
from mlem.sde import SDE, Drift

Report: TypeAlias = Callable[[float], None]
"""Called with the fraction done; an exception that it raises cancels the solve."""


def stretch(report: Report | None, begin: float, end: float) -> Report | None:
    """For a part of some work that brings the whole from ``begin`` to ``end``: tells ``report`` how far the whole is."""
    return (lambda done: report(begin + (end - begin) * done)) if report else None


_listener: ContextVar[Report | None] = ContextVar("listener", default=None)


@contextmanager
def listening(report: Report) -> Iterator[None]:
    """Meanwhile each march in this thread that has no report of its own calls ``report`` with how far itself is. For work made
    of many marches behind caches, which cannot pass a report on, and yet should not keep others waiting."""
    token = _listener.set(report)
    try:
        yield
    finally:
        _listener.reset(token)


Fired: TypeAlias = list[tuple[int, Tensor | None, Tensor | float]]
"""The non-zero weights of one step: (level, paths, w), where paths None means all of them."""

Advance: TypeAlias = Callable[[Sequence[Level], Tensor, int, Tensor, Any], Tensor]
"""(levels, y_n, n, ΔW_n, the plan's entry for step n) -> y_{n+1}."""


@dataclass(frozen=True)
class Solution:
    """What a solve returns. ``states`` holds the states after the steps ``saved``, if any were asked for."""

    final: Float[Tensor, "batch *shape"]
    states: Float[Tensor, "saved batch *shape"] | None
    saved: tuple[int, ...]
    ledger: Ledger

    @property
    def evaluations(self) -> Float[np.ndarray, " levels"]:
        """Distinct evaluations of each level, per path (mean over the batch)."""
        return self.ledger.evaluations

    @property
    def cost(self) -> float:
        """Model cost per path."""
        return self.ledger.cost

    @property
    def seconds(self) -> float:
        """Wall time of the whole solve."""
        return self.ledger.seconds


_SILENCE = 0.02  # s without a report, after which the next step makes one: steps of networks take longer than that


class Tally:
    """Turns weights into lists of what to evaluate, and counts the evaluations in the order of time: their sums over coins are
    in ``calls``, one of ``rows`` for each step, or fine step of Poisson events; those over time in ``by_coins`` (levels,
    coins). ``shared``: whether the batch has one set of coins, so that weights are numbers and not one for each path."""

    def __init__(self, levels: int, like: Tensor, shared: bool, rows: int) -> None:
        self._like, self._shared = like, shared
        self.by_coins = np.zeros((levels, 1 if shared else len(like)))
        # All at once: a small array for each chunk would lie between large ones, of which none then fits where another was.
        self.calls = np.zeros((rows, levels))
        self._last = self._next = 0

    def add(self, levels: Iterable[int]) -> None:
        """One evaluation of each of ``levels`` for the whole batch, in a row of its own."""
        called = list(levels)
        self._rows(1)[:, called] = 1.0
        self.by_coins[called] += 1

    def add_to_last(self, level: int) -> None:
        """One evaluation more of ``level`` for each set of coins, at the beginning of what :meth:`sparse` did last."""
        self.calls[self._last, level] += self.by_coins.shape[1]
        self.by_coins[level] += 1

    def _rows(self, count: int) -> Float[np.ndarray, "rows levels"]:
        """The next rows; none where the last step is replayed, to find what went wrong in it."""
        self._last, self._next = self._next, self._next + count
        return self.calls[self._last : self._next]

    def sparse(self, w: Float[Tensor, "steps levels coins"]) -> Iterator[Fired]:
        """The non-zero weights, step by step."""
        fired = w != 0
        counts = fired.sum(2)
        self._rows(len(counts))[:] = counts.numpy()
        self.by_coins += fired.sum(0).numpy()
        if self._shared:
            for row in w[:, :, 0].tolist():
                yield [(k, None, weight) for k, weight in enumerate(row) if weight]
            return
        batch, column = w.shape[2], (-1,) + (1,) * (self._like.ndim - 1)
        where = fired.flatten().nonzero()[:, 0]  # in the order of (step, level, path)
        paths = (where % batch).to(self._like.device)
        values = w.take(where).to(self._like).view(column)
        end = 0
        for row in counts.tolist():
            entry: Fired = []
            for k, count in enumerate(row):
                if not count:
                    continue
                begin, end = end, end + count
                which, weight = paths[begin:end], values[begin:end]
                if count < batch:
                    entry.append((k, which, weight))
                else:
                    entry.append((k, None, 1.0 if bool((weight == 1).all()) else weight))
            yield entry


class March:
    """One trajectory from the initial state to the horizon."""

    check_every = 32  # steps between looks for non-finite numbers, which additive steps never lose again

    def __init__(
        self,
        sde: SDE,
        steps: int,
        path: BrownianPath,
        initial: Tensor,
        save: Literal["all"] | Sequence[int] | None,
        report: Report | None,
    ) -> None:
        self._began = time.perf_counter()
        check_divides("steps", steps, path.steps)
        _check_fit(sde, path, initial)
        self.h, self.steps, self.path = sde.horizon / steps, steps, path
        self._sde, self._y, self._report = sde, initial, report or _listener.get()
        self._wanted = _check_save(save, steps)

    def increments(self) -> Iterator[Tensor]:
        """ΔW of each step; zeros, and nothing drawn, for an ODE."""
        if self._sde.is_ode:
            return repeat(torch.zeros_like(self._y), self.steps)
        return self.path.stream(self.steps)

    def run(self, advance: Advance, inputs: Iterable[tuple[Tensor, Any]], levels: Sequence[Level]) -> None:
        """All steps. ``inputs`` gives ΔW and the plan's entry for each."""
        y, wanted = self._y, frozenset(self._wanted)
        self._states = [y] if 0 in wanted else []
        begin, window = y, list[tuple[Tensor, Any]]()
        told = self._began
        for n, (dW, entry) in enumerate(inputs, start=1):
            y = advance(levels, y, n - 1, dW, entry)
            window.append((dW, entry))
            if n in wanted:
                self._states.append(y)
            looked = len(window) == self.check_every or n == self.steps
            if looked:
                if not bool(torch.isfinite(y.sum())):
                    self._locate(advance, begin, y, n - len(window), window, levels)
                begin, window = y, []
            if self._report and (looked or time.perf_counter() - told > _SILENCE):
                self._report(n / self.steps)
                told = time.perf_counter()
        self._y = y

    def solution(
        self,
        calls: Float[np.ndarray, "rows levels"],
        by_coins: Float[np.ndarray, "levels coins"],
        costs: Float[np.ndarray, " levels"],
        firing: Firing,
    ) -> Solution:
        """The result of the run, with its ledger."""
        if self._y.is_cuda:
            torch.cuda.synchronize(self._y.device)
        seconds = time.perf_counter() - self._began
        states = torch.stack(self._states) if self._wanted else None
        return Solution(self._y, states, tuple(self._wanted), Ledger(calls, by_coins, costs, seconds, firing))

    def _locate(
        self, advance: Advance, y: Tensor, end: Tensor, n: int, window: list[tuple[Tensor, Any]], levels: Sequence[Level]
    ) -> None:
        """Replays the window from y_n to ``end`` and raises at its first non-finite state; returns if the sum alone had
        overflowed."""
        for dW, entry in window:
            after = advance(levels, y, n, dW, entry) if len(window) > 1 else end
            path = first_bad_path(after)
            if path is not None:
                guilty: list[int] = []
                watched = [Level(_watched(level.drift, k, guilty), level.cost) for k, level in enumerate(levels, start=1)]
                advance(watched, y, n, dW, entry)
                raise NonFiniteStep(
                    step=n + 1,
                    time=n * self.h,
                    level=guilty[0] if guilty else None,
                    path=path + self.path.first,
                    weight=_largest_weight(entry),
                )
            y, n = after, n + 1


def evaluate(level: Level, y: Tensor, t: float) -> Tensor:
    """The level's drift at (y, t). Raises ValueError unless it is like y."""
    f = level.drift(y, t)
    if f.shape != y.shape or f.dtype != y.dtype:
        raise ValueError(
            f"the drift must return a tensor like x, {tuple(y.shape)} {y.dtype}, got {tuple(f.shape)} {f.dtype} at t = {t:.4g}"
        )
    return f


def _watched(drift: Drift, k: int, guilty: list[int]) -> Drift:
    """``drift``, which notes ``k`` in ``guilty`` when it makes non-finite numbers of finite ones."""

    def watched(x: Tensor, t: float) -> Tensor:
        f = drift(x, t)
        if first_bad_path(f) is not None and first_bad_path(x) is None:
            guilty.append(k)
        return f

    return watched


def _largest_weight(entry: object) -> float:
    """The largest |w| in a plan's entry; 1 where it has none."""
    parts = entry[0] if isinstance(entry, tuple) else [entry]  # Poisson events: a list for each fine step
    fired = [item for part in parts if isinstance(part, list) for item in part if isinstance(item, tuple)]
    return max((float(torch.as_tensor(w).abs().max()) for _, _, w in fired), default=1.0)


def _check_save(save: object, steps: int) -> Sequence[int]:
    if save is None:
        return ()
    if isinstance(save, str) and save == "all":
        return range(steps + 1)
    if isinstance(save, str) or not isinstance(save, Iterable):
        raise ValueError(f'save takes "all" or the numbers of steps, got {save!r}')
    return sorted({check_integer("save", n, low=0, high=steps) for n in save})


def _check_fit(sde: SDE, path: BrownianPath, initial: Tensor) -> None:
    if path.shape != sde.shape:
        raise ValueError(f"path has shape {path.shape}, the state of {sde.name} has {sde.shape}")
    if path.horizon != sde.horizon:
        raise ValueError(f"path runs to {path.horizon:g}, the horizon of {sde.name} is {sde.horizon:g}")
    expected = (path.batch, *sde.shape)
    if tuple(initial.shape) != expected or initial.dtype != path.dtype:
        raise ValueError(f"initial takes {expected} {path.dtype}, like the path, got {tuple(initial.shape)} {initial.dtype}")
