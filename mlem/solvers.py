"""Euler–Maruyama and multilevel Euler–Maruyama (method, section 2).

EM      y_{n+1} = y_n + h f^k(y_n, t_n) + s(t_n) ΔW_n
ML-EM   y_{n+1} = y_n + h Σ_k w_k,n f^k(y_n, t_n) + s(t_n) ΔW_n,    w_k = B_k/p_k − B_{k+1}/p_{k+1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_choice, check_integer
from mlem.firing import (
    DRAWS,
    KINDS,
    Probabilities,
    as_probabilities,
    at_steps,
    fires,
    held_fires,
    poisson_counts,
    prefix_length,
    weights,
)
from mlem.hierarchy import Hierarchy, Level
from mlem.ledger import Firing
from mlem.march import Advance, Fired, March, Report, Solution, Tally, evaluate
from mlem.sde import SDE, Drift

Rule: TypeAlias = Callable[[Hierarchy, int], Tensor]
"""(levels, steps) -> probabilities, (K,) or (steps, K)."""


def step(y: Tensor, f: Tensor, h: float, s: float, dW: Tensor) -> Tensor:
    """y_{n+1} = y_n + h f + s ΔW_n."""
    return add_noise(torch.add(y, f, alpha=h), s, dW)


def add_noise(x: Tensor, s: float, dW: Tensor) -> Tensor:
    """x + s ΔW_n."""
    return torch.add(x, dW, alpha=s) if s else x


@torch.no_grad()
def euler_maruyama(
    sde: SDE,
    level: Level | Drift,
    *,
    steps: int,
    path: BrownianPath,
    initial: Float[Tensor, "batch *shape"],
    save: Literal["all"] | Sequence[int] | None = None,
    report: Report | None = None,
) -> Solution:
    """Euler–Maruyama with one drift on ``steps`` equal steps.

    ``save`` asks for states: "all", or the numbers of the steps after which to keep one (0 is the initial state).
    Raises ValueError for arguments that do not fit together, NonFiniteStep where the state leaves the finite numbers.
    """
    level = level if isinstance(level, Level) else Level(level, cost=1.0)
    march = March(sde, steps, path, initial, save, report)
    h, s = march.h, sde.noise

    def advance(levels: Sequence[Level], y: Tensor, n: int, dW: Tensor, _: object) -> Tensor:
        t = n * h
        return step(y, evaluate(levels[0], y, t), h, s(t), dW)

    march.run(advance, ((dW, None) for dW in march.increments()), [level])
    certain = Firing("bernoulli", torch.ones(1, 1, 1, dtype=torch.float64), steps, path.steps, 1)
    return march.solution(np.ones((steps, 1)), np.full((1, 1), float(steps)), np.array([level.cost]), certain)


@torch.no_grad()
def multilevel_euler_maruyama(
    sde: SDE,
    levels: Hierarchy,
    probabilities: Float[Tensor, ...] | Float[np.ndarray, ...] | Sequence[float] | Sequence[Sequence[float]] | Rule,
    *,
    steps: int,
    path: BrownianPath,
    initial: Float[Tensor, "batch *shape"],
    firing: str = "bernoulli",
    draws: str = "shared",
    seed: int = 0,
    save: Literal["all"] | Sequence[int] | None = None,
    report: Report | None = None,
) -> Solution:
    """Multilevel Euler–Maruyama on ``steps`` equal steps.

    ``probabilities``: p as (K,) or (steps, K), or a rule (levels, steps) -> p; with per-path draws also (steps or 1, K, batch).
    ``firing``: see ``firing.py``. ``draws``: one set of coins "shared" by the batch, so that whole evaluations are skipped, or
    coins of its own for each path ("per-path"), where only the paths that fired are evaluated. ``seed`` seeds the coins; the
    Brownian path and the initial states have their own.
    Raises as :func:`euler_maruyama` does, and ValueError for probabilities outside (0, 1].
    """
    check_choice("firing", firing, KINDS)
    check_choice("draws", draws, DRAWS)
    check_integer("seed", seed, low=0)
    march = March(sde, steps, path, initial, save, report)
    per_path = draws == "per-path" and firing != "held"
    coins, first = (path.batch, path.first) if per_path else (1, 0)
    rule = probabilities(levels, steps) if callable(probabilities) else probabilities
    p = as_probabilities(rule, len(levels), steps, coins)
    tally = Tally(len(levels), initial, shared=not per_path, rows=path.steps if firing == "poisson" else steps)

    advance: Advance
    plan: Iterator[object]  # advance's own kind of entry, one a step
    if firing == "held":
        advance, plan = _held(sde, p, march, tally)
    elif firing == "poisson":
        counts = poisson_counts(p, steps=steps, fine=path.steps, coins=coins, seed=seed, first=first)
        advance, plan = _poisson(sde, p, march, counts, tally)
    else:
        chunks = fires(firing, p, steps=steps, coins=coins, seed=seed, first=first)
        advance, plan = _telescope(sde, p, march, chunks, tally)
    march.run(advance, zip(march.increments(), plan, strict=True), levels)
    return march.solution(tally.calls / coins, tally.by_coins, levels.costs, Firing(firing, p, steps, path.steps, coins))


def add_drifts(x: Tensor, h: float, levels: Sequence[Level], fired: Fired, y: Tensor, t: float) -> Tensor:
    """x + h Σ_k w_k f^k(y, t): each level once, and only on the paths for which its weight is not zero."""
    for k, paths, w in fired:
        if paths is not None:
            f = evaluate(levels[k], y.index_select(0, paths), t)
            x = x.index_copy(0, paths, torch.add(x.index_select(0, paths), w * f, alpha=h))
        elif isinstance(w, float):
            x = torch.add(x, evaluate(levels[k], y, t), alpha=h * w)
        else:
            x = torch.add(x, w * evaluate(levels[k], y, t), alpha=h)
    return x


def _telescope(
    sde: SDE, p: Probabilities, march: March, chunks: Iterator[Tensor], tally: Tally
) -> tuple[Advance, Iterator[Fired]]:
    """Unbiased coins thrown at each step."""
    h, s = march.h, sde.noise

    def advance(levels: Sequence[Level], y: Tensor, n: int, dW: Tensor, fired: Fired) -> Tensor:
        t = n * h
        return add_noise(add_drifts(y, h, levels, fired, y, t), s(t), dW)

    def plan() -> Iterator[Fired]:
        start = 0
        for chunk in chunks:
            w = weights(chunk, at_steps(p, start, len(chunk)))
            yield from tally.sparse(w)
            start += len(chunk)

    return advance, plan()


def _held(sde: SDE, p: Probabilities, march: March, tally: Tally) -> tuple[Advance, Iterator[list[int]]]:
    """Corrections f^k − f^{k−1} kept from their last firing; the deterministic prefix is evaluated at every step."""
    h, s, prefix = march.h, sde.noise, prefix_length(p)
    corrections: dict[int, Tensor] = {}
    march.check_every = 1  # a step changes the corrections: only the last one can be replayed to find what went wrong

    def advance(levels: Sequence[Level], y: Tensor, n: int, dW: Tensor, fired: list[int]) -> Tensor:
        t = n * h
        needed = {k for fires in fired for k in (fires, fires - 1) if k >= 0} | ({prefix - 1} if prefix else set())
        f = {k: evaluate(levels[k], y, t) for k in sorted(needed)}
        tally.add(f)
        for k in fired:
            corrections[k] = f[k] - f[k - 1] if k else f[k]
        total = f[prefix - 1] if prefix else torch.zeros_like(y)
        for correction in corrections.values():
            total = total + correction
        return step(y, total, h, s(t), dW)

    pattern = held_fires(p, march.steps)
    return advance, ([k for k in range(prefix, len(row)) if row[k]] for row in pattern.tolist())


def _poisson(
    sde: SDE, p: Probabilities, march: March, counts: Iterator[Tensor], tally: Tally
) -> tuple[Advance, Iterator[tuple[list[Fired], list[Tensor]]]]:
    """The limit h → 0 at fixed rates λ_k = p_k/h: level k fires N_k times in a fine step of the Brownian path, and each time
    kicks the state by (f^k − f^{k−1})/λ_k. The deterministic prefix stays a drift, on the grid of ``steps``."""
    h, s, prefix = march.h, sde.noise, prefix_length(p)
    path, ratio = march.path, march.path.steps // march.steps

    def advance(levels: Sequence[Level], y: Tensor, n: int, dW: Tensor, events: tuple[list[Fired], list[Tensor]]) -> Tensor:
        t, dt = n * h, h / ratio
        f = evaluate(levels[prefix - 1], y, t) if prefix else torch.zeros_like(y)
        kicks, noise = torch.zeros_like(y), torch.zeros_like(y)
        for m, (fired, fine_dW) in enumerate(zip(*events, strict=True), start=1):
            noise = noise + fine_dW
            if fired:
                y_event = step(y, f, m * dt, s(t), noise) + kicks
                kicks = add_drifts(kicks, h, levels, fired, y_event, t + m * dt)
        return step(y, f, h, s(t), dW) + kicks

    def plan() -> Iterator[tuple[list[Fired], list[Tensor]]]:
        fine = repeat(torch.zeros(())) if sde.is_ode else path.stream(path.steps)
        for n, count in enumerate(counts):
            w = weights(count, at_steps(p, n, 1))
            events = list(tally.sparse(w))
            if prefix:
                tally.add_to_last(prefix - 1)
            yield events, [next(fine) for _ in range(ratio)]

    return advance, plan()
