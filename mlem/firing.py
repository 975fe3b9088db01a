"""Which levels fire when: B_k,n and the weights w_k = B_k/p_k − B_{k+1}/p_{k+1} (method, sections 2 and 5).

A firing plan knows probabilities and coins, and nothing of drifts. Every kind but *held* is unbiased: E[B_k,n] = p_k(t_n).

- ``bernoulli``: independent coins (the paper's).
- ``systematic``: one uniform u per level and trajectory; fire at step n when ⌊S_{n+1} + u⌋ > ⌊S_n + u⌋ with S_n = Σ_{m<n} p_m.
- ``nested``: one uniform per step for all levels, B_k = [U < p_k]: f^{k−1} is already paid for when level k fires.
- ``held``: even firing from step 0 on, the last corrections reused in between: biased, the baseline (multirate Euler).
- ``poisson``: the limit h → 0, events at rate λ_k = p_k/h.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from mlem.checks import check_choice
from mlem.streams import PathStream

KINDS = ("bernoulli", "systematic", "nested", "held", "poisson")
DRAWS = ("shared", "per-path")
_COINS_PER_CHUNK = 2**17

Probabilities = Float[Tensor, "#steps levels #coins"]


def as_probabilities(probabilities: object, levels: int, steps: int, coins: int) -> Probabilities:
    """``probabilities`` as (1 or steps, K, 1 or coins) in float64, from (K,), (steps, K) or that very shape.

    Raises ValueError for another shape or an entry outside (0, 1].
    """
    try:
        p = given = torch.as_tensor(probabilities, dtype=torch.float64).detach().cpu()
    except (TypeError, RuntimeError):
        raise ValueError(f"probabilities take numbers or a rule, got {type(probabilities).__name__}") from None
    if p.ndim == 1:
        p = p[None, :, None]
    elif p.ndim == 2:
        p = p[:, :, None]
    if p.ndim != 3 or p.shape[0] not in (1, steps) or p.shape[1] != levels or p.shape[2] not in (1, coins):
        raise ValueError(
            f"probabilities take the shape ({levels},) or ({steps}, {levels}), for {levels} levels and {steps} steps; "
            f"got {tuple(given.shape)}"
        )
    outside = ~((p > 0) & (p <= 1))
    if bool(outside.any()):
        where = outside.nonzero()[0].tolist()
        raise ValueError(f"probabilities must lie in (0, 1], got {float(p[*where]):g} for level {where[1] + 1}")
    return p


def fires(
    kind: str, p: Probabilities, *, steps: int, coins: int, seed: int, first: int = 0
) -> Iterator[Bool[Tensor, "chunk levels coins"]]:
    """B_k,n in chunks of consecutive steps, for ``coins`` independent sets of coins (1 if the batch shares them).

    ``first`` is the index of the first path: with per-path draws a path's coins do not depend on the batch.
    """
    levels = p.shape[1]
    uniforms = {"bernoulli": levels, "nested": 1, "systematic": levels}[check_choice("firing", kind, KINDS[:3])]
    source = PathStream(seed, "levels", coins, uniforms, law="uniform", first=first)
    per_chunk = max(1, _COINS_PER_CHUNK // max(source.numbers, levels * coins))
    phase = source.take(1)[0].T.double() if kind == "systematic" else None  # u, (levels, coins)
    for start in range(0, steps, per_chunk):
        count = min(per_chunk, steps - start)
        if phase is not None:
            fired = _crossings(_running_total(p, start, count), phase)
            yield fired | (at_steps(p, start, count) >= 1.0)  # p = 1 fires whatever the rounding of the total
        else:
            yield source.take(count).transpose(1, 2) < at_steps(p, start, count)


def prefix_length(p: Probabilities) -> int:
    """Number of leading levels that fire at every step with certainty: they are one deterministic drift, f^prefix."""
    always = (p == 1.0).all(2).all(0)
    return int(always.long().cumprod(0).sum())


def held_fires(p: Probabilities, steps: int) -> Bool[Tensor, "steps levels"]:
    """Even firing that begins at step 0: fire at n when ⌈S_{n+1}⌉ > ⌈S_n⌉."""
    ceilings = torch.ceil(_running_total(p, 0, steps)[:, :, 0])
    return (ceilings[1:] > ceilings[:-1]) | (p[:, :, 0] >= 1.0)


def held_evaluations(p: Probabilities, steps: int) -> Bool[Tensor, "steps levels 1"]:
    """Which levels are evaluated at each step when corrections are held: f^k and f^{k−1} where level k fires; of the
    deterministic prefix its last level alone."""
    fired = held_fires(p, steps)
    prefix = prefix_length(p)
    needed = fired.clone()
    needed[:, :-1] |= fired[:, 1:]
    needed[:, : max(0, prefix - 1)] = False
    return needed.unsqueeze(2)


def poisson_counts(
    p: Probabilities, *, steps: int, fine: int, coins: int, seed: int, first: int = 0
) -> Iterator[Float[Tensor, "ratio levels coins"]]:
    """For each step the numbers of events N_k on its fine steps, Poisson of mean p_k·steps/fine. The deterministic prefix has
    no events. Drawn by inversion of the distribution function, one uniform a count."""
    ratio, prefix = fine // steps, prefix_length(p)
    source = PathStream(seed, "levels", coins, p.shape[1], law="uniform", first=first)
    for n in range(steps):
        mu = p[n if p.shape[0] > 1 else 0] / ratio
        mu[:prefix] = 0.0
        u = source.take(ratio).transpose(1, 2)
        term = torch.exp(-mu)
        cumulative, counts, count = term.clone(), torch.zeros_like(u), 0
        while bool((above := u >= cumulative).any()):
            counts += above
            count += 1
            term = term * mu / count
            cumulative = cumulative + term
        yield counts


def weights(fired: Shaped[Tensor, "*steps levels coins"], p: Probabilities) -> Float[Tensor, "*steps levels coins"]:
    """w_k = B_k/p_k − B_{k+1}/p_{k+1}, with B_{K+1} = 0: the drift of the step is Σ_k w_k f^k. Poisson events put their counts
    N_k in the place of B_k.

    It is exactly zero where the telescope cancels, so a level whose weight is zero need not be evaluated, and the prefix of
    levels with p = 1 collapses to its last.
    """
    w = fired / p
    w[..., :-1, :] -= w[..., 1:, :].clone()
    return w


def at_steps(p: Probabilities, start: int, count: int) -> Float[Tensor, "#chunk levels #coins"]:
    """The probabilities of the steps start..start+count−1."""
    return p if p.shape[0] == 1 else p[start : start + count]


def _running_total(p: Probabilities, start: int, count: int) -> Float[Tensor, "{count}+1 levels #coins"]:
    """S_n for n = start..start+count. S_n is always formed the same way, so that chunks agree."""
    if p.shape[0] == 1:
        return p * torch.arange(start, start + count + 1, dtype=p.dtype)[:, None, None]
    total = torch.cat([torch.zeros_like(p[:1]), p.cumsum(0)])
    return total[start : start + count + 1]


def _crossings(
    total: Float[Tensor, "sums levels #coins"], phase: Float[Tensor, "levels coins"]
) -> Bool[Tensor, "sums-1 levels coins"]:
    """Where the running total of p, shifted by the phase, passes an integer."""
    floors = torch.floor(total + phase)
    return floors[1:] > floors[:-1]


def calls_of_first_path(kind: str, p: Probabilities, *, steps: int, fine: int, seed: int) -> Float[Tensor, "rows levels"]:
    """Evaluations of each level in the order of time on the first path: a row for each step, or fine step of Poisson events.
    Draws that are per path do not depend on the batch, so these are the calls that a solve with ``seed`` made."""
    p = p[:, :, :1]
    if kind == "held":
        return held_evaluations(p, steps)[:, :, 0].double()
    if kind == "poisson":
        prefix, rows = prefix_length(p), []
        for n, counts in enumerate(poisson_counts(p, steps=steps, fine=fine, coins=1, seed=seed)):
            called = (weights(counts, at_steps(p, n, 1)) != 0)[:, :, 0].double()
            if prefix:
                called[0, prefix - 1] += 1
            rows.append(called)
        return torch.cat(rows)
    start, parts = 0, []
    for fired in fires(kind, p, steps=steps, coins=1, seed=seed):
        parts.append((weights(fired, at_steps(p, start, len(fired))) != 0)[:, :, 0].double())
        start += len(fired)
    return torch.cat(parts)
