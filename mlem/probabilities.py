"""Choosing p_k: the paper's power law, and the optimal allocation from measured variances and costs (method, section 3).

An excess error Σ_k v_k (p_k^−r − 1) is to be bought at the least cost Σ_k c_k p_k. Coins make v_k a variance and r = 1, so that
p_k ∝ √(v_k/c_k). Evenly spread calls make the error of a correction that of a quadrature, whose mean square falls like p^−2:
r = 2 and p_k ∝ (v_k/c_k)^(1/3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_choice, check_integer, check_positive
from mlem.firing import KINDS
from mlem.hierarchy import Hierarchy
from mlem.sde import SDE
from mlem.solvers import Rule, step
from mlem.streams import PathStream

_PILOT_NUMBERS = 1024  # paths × coordinates of a pilot
_PILOT_TIMES = 12
_KICK = 1e-4
_LEAST = 1e-300  # of a probability or an effect, so that no p is 0 and no 1/p infinite


def error_order(firing: str) -> int:
    """r in the excess error p^−r of a kind of firing: 2 where calls are evenly spread, 1 where coins are thrown."""
    return 2 if check_choice("firing", firing, KINDS) in ("systematic", "held") else 1


def power_law(gamma: float, constant: float) -> Rule:
    """The paper's rule, p_k = min(1, C·2^−(1+γ/2)k) for k = 1..K, with ``constant`` C."""
    gamma, constant = check_positive("gamma", gamma), check_positive("constant", constant)

    def rule(levels: Hierarchy, steps: int) -> Tensor:
        k = torch.arange(1, len(levels) + 1, dtype=torch.float64)
        return (constant * 2.0 ** (-(1 + gamma / 2) * k)).clamp(max=1.0)

    return rule


def water_filling(
    effect: Float[np.ndarray, " n"],
    price: Float[np.ndarray, " n"],
    *,
    error: float | None = None,
    cost: float | None = None,
    order: int = 1,
) -> Float[np.ndarray, " n"]:
    """p in (0, 1]^n that minimises Σ price·p subject to Σ effect·(p^−order − 1) ≤ ``error`` (a mean square), or the error
    subject to Σ price·p ≤ ``cost``; exactly one of the two is given.

    p = min(1, m·(effect/price)^(1/(order+1))): solve for m, clamp what exceeds 1, solve again. Raises ValueError for numbers
    that are not positive.
    """
    _check_budget(error, cost)
    check_integer("order", order)
    effect, price = _check_all_positive("effect", effect), _check_all_positive("price", price)
    shape = (effect / price) ** (1 / (order + 1))
    free = np.ones(len(shape), dtype=bool)
    while free.any():
        if error is not None:
            v = effect[free]
            m = float((v * shape[free] ** -float(order)).sum() / (error + v.sum())) ** (1 / order)
        else:
            assert cost is not None
            m = (cost - price[~free].sum()) / float((price * shape)[free].sum())
        over = free & (m * shape >= 1.0)
        if not over.any():
            return np.where(free, np.maximum(m * shape, _LEAST), 1.0)
        free &= ~over
    return np.ones(len(shape))


def _check_budget(error: float | None, cost: float | None) -> None:
    """Raises ValueError unless exactly one is given, and positive."""
    if error is not None and cost is not None:
        raise ValueError(f"give either error or cost, got both: error={error!r}, cost={cost!r}")
    if error is None and cost is None:
        raise ValueError("give either error or cost, got neither")
    check_positive("error" if cost is None else "cost", error if cost is None else cost)


def _check_all_positive(name: str, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    values = np.asarray(values, dtype=float)
    wrong = ~((values > 0) & np.isfinite(values))
    if wrong.any():
        raise ValueError(f"{name} takes positive numbers, got {values[wrong][0]:g}")
    return values


@dataclass(frozen=True)
class Pilot:
    """What a short run measured at times t_m: ``kicks`` E‖f^k − f^{k−1}‖² (M, K) and ``sensitivity`` G² (M,), the mean square
    at T of a unit kick at t_m. Mean squares are over paths and coordinates."""

    times: Float[np.ndarray, " times"]
    kicks: Float[np.ndarray, "times levels"]
    sensitivity: Float[np.ndarray, " times"]


@torch.no_grad()
def pilot(levels: Hierarchy, sde: SDE, *, steps: int | None = None, seed: int = 0) -> Pilot:
    """Measures along Euler–Maruyama paths of the finest level, ``steps`` of them (default: the SDE's rough resolution)."""
    steps = check_integer("steps", sde.resolution if steps is None else steps)
    batch = max(16, _PILOT_NUMBERS // sde.numel)
    path = BrownianPath(batch, sde.shape, steps, sde.horizon, seed)
    h, f = sde.horizon / steps, levels[-1].drift
    at = sorted({int((m + 0.5) * steps / _PILOT_TIMES) for m in range(_PILOT_TIMES)})
    y = sde.initial(batch, seed)
    copies = y.repeat(len(at) + 1, *(1 for _ in sde.shape))  # the last copy is never kicked
    directions = PathStream(seed, "kicks", batch, sde.numel, law="normal").take(len(at)).double()
    kicks = []
    for n, dW in enumerate(path.stream(steps)):
        t = n * h
        if n in at:
            m = at.index(n)
            drifts = torch.stack([level.drift(copies[-batch:], t) for level in levels])
            corrections = torch.cat([drifts[:1], drifts.diff(dim=0)])
            kicks.append(corrections.square().flatten(1).mean(1))
            copies[m * batch : (m + 1) * batch] += _KICK * directions[m].view_as(y)
        copies = step(copies, f(copies, t), h, sde.noise(t), dW.repeat(len(at) + 1, *(1 for _ in sde.shape)))
    ends = copies.view(len(at) + 1, batch, -1)
    sensitivity = (ends[:-1] - ends[-1]).square().mean((1, 2)) / (_KICK**2 * directions.square().mean((1, 2)))
    return Pilot(np.array(at) * h, torch.stack(kicks).numpy(), sensitivity.numpy())


def optimal(
    levels: Hierarchy,
    sde: SDE,
    *,
    error: float | None = None,
    cost: float | None = None,
    firing: str = "bernoulli",
    along_time: bool = False,
    seed: int = 0,
) -> Rule:
    """The optimal allocation from a pilot run: ``error`` is the RMSE that firing may add, or ``cost`` the model cost per path.

    With ``along_time`` p_k(t) ∝ G(t)·√(v_k(t)/c_k), else one p_k for the whole path. A call of level k is priced at
    c_k + c_{k−1}, what it makes be evaluated (nested firing: c_k). The constant is that of coins; where calls are spread evenly
    (systematic) the error stays below it, and only the shape is taken for that kind. Raises ValueError unless exactly one of
    ``error`` and ``cost`` is given, and positive.
    """
    _check_budget(error, cost)
    order = error_order(firing)
    price = call_prices(levels.costs, firing)
    measured = pilot(levels, sde, seed=seed)
    weight = measured.kicks * measured.sensitivity[:, None]  # (M, K)

    def rule(hierarchy: Hierarchy, steps: int) -> Tensor:
        h = sde.horizon / steps
        if along_time:
            t = np.arange(steps) * h
            v = np.stack([np.interp(t, measured.times, column) for column in weight.T], axis=1)
            # the error is h² Σ_n v_n (1/p_n − 1), the price Σ_n c p_n
            p = _allocate(h * h * v.ravel(), np.tile(price, steps), error, cost, order).reshape(v.shape)
        else:
            p = _allocate(h * sde.horizon * weight.mean(0), steps * price, error, cost, order)
        return torch.from_numpy(p)

    return rule


def _allocate(
    effect: Float[np.ndarray, " n"], price: Float[np.ndarray, " n"], error: float | None, cost: float | None, order: int
) -> Float[np.ndarray, " n"]:
    effect = np.maximum(effect, _LEAST)
    return water_filling(effect, price, error=None if error is None else error**2, cost=cost, order=order)


def power_law_within(
    effect: Float[np.ndarray, "*problems levels"],
    decay: float,
    error: float | Float[np.ndarray, "*problems"],
    order: int,
) -> Float[np.ndarray, "*problems levels"]:
    """C·2^−(decay·k), not clamped at 1, with the smallest C for which min(1, ·) keeps Σ effect·(p^−order − 1) ≤ ``error``. The
    paper's rule has the decay 1 + γ/2. Effects are positive, but for levels at the end that are not used, where they are 0."""
    shape = 2.0 ** (-decay * np.arange(1, effect.shape[-1] + 1))
    # If the first j levels always fire, C is what the others' effects ask for. The first j for which that is below 1 holds.
    left, kicks = (_sums_from(each) for each in (effect, effect * shape**-order))
    constants = (kicks / (np.asarray(error)[..., None] + left)) ** (1 / order)
    first = np.argmax(constants * shape < 1.0, axis=-1)[..., None]
    return np.take_along_axis(constants, first, axis=-1) * shape


def _sums_from(values: Float[np.ndarray, "*problems levels"]) -> Float[np.ndarray, "*problems levels"]:
    """The sum of the values from each level on."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]


def call_prices(costs: Float[np.ndarray, " levels"], firing: str) -> Float[np.ndarray, " levels"]:
    """What one call of each correction costs: c_k + c_{k−1}, or c_k where f^{k−1} is paid for already (nested)."""
    return costs if firing == "nested" else costs + np.concatenate([[0.0], costs[:-1]])
