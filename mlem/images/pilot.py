"""Where along a path calls are worth their price: a short pilot run on the networks themselves, and p_k(t) from it.

A kick of level k at time t moves the end point by the *effect* E‖J(f^k − f^{k−1})‖², J being the sensitivity of the end to
where the path is at t. Networks' corrections vary by orders of magnitude along t, and so do the calls that they deserve.

The exponent. Let calls be spread evenly with density ρ(t), so that a correction is held over a gap 1/ρ. If it forgets itself
within a gap, as coins do, each gap errs by effect/ρ² and all of them by ∫ effect/ρ: r = 1. If it wanders like a Brownian path,
they err by ∫ effect/ρ²: r = 2. If it varies smoothly, by ∫ effect/ρ³: r = 3. At a given cost ∫ cρ the best density is
(effect/c)^(1/(r + 1)) [derived here]. On the shipped ladder r = 2 does as well as r = 3 or better, so that even calls have here
the order that they have everywhere, :func:`mlem.probabilities.error_order`.

Which levels. A level whose correction is as large as that of the one below, at four times the price, is better left out. The
effects of all corrections f^k − f^j follow from one pilot, so that every choice of levels can be planned and its error told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.hierarchy import Hierarchy
from mlem.images.process import RESOLUTION
from mlem.march import Report, stretch
from mlem.probabilities import call_prices, error_order, water_filling
from mlem.sde import SDE, Drift
from mlem.solvers import euler_maruyama, step

_TIMES = 12
_PICTURES = 4
_KICK = 0.02  # of a pixel's range: well above rounding, well below what is not linear any more
_PILOT_SEED = 20_260_324  # not of the pictures that are judged
_LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Effects:
    """At ``times`` (M,): mean ``products`` E⟨J(f^j − f^{j−1}), J(f^k − f^{k−1})⟩ (M, K, K), over pictures and pixels."""

    times: Float[np.ndarray, " times"]
    products: Float[np.ndarray, "times levels levels"]

    def between(self, levels: Sequence[int]) -> Float[np.ndarray, "times used"]:
        """Effects of the corrections of a ladder of ``levels`` alone, counted from 1, ascending: as J is linear, those of
        f^k − f^j for any j < k are sums of products, and take no evaluation more."""
        ends = [0, *levels]
        parts = [self.products[:, low:high, low:high].sum((1, 2)) for low, high in pairwise(ends)]
        return np.maximum(np.stack(parts, axis=1), _LEAST)


@dataclass(frozen=True, eq=False)
class Plan:
    """Which levels are used, counted from 1, ascending, and p_k(t_n) of these."""

    levels: tuple[int, ...]
    probabilities: Float[Tensor, "steps used"]

    def chosen(self, levels: Hierarchy) -> Hierarchy:
        """The levels that are used: a ladder of their own."""
        return Hierarchy([levels[k - 1] for k in self.levels], sde=levels.sde)

    def spread(self, values: Float[np.ndarray, "*rows used"], count: int) -> Float[np.ndarray, "*rows levels"]:
        """``values`` of the used levels in their places among ``count``; 0 for all others."""
        found = np.zeros((*values.shape[:-1], count))
        found[..., [k - 1 for k in self.levels]] = values
        return found


@torch.no_grad()
def measure_effects(levels: Hierarchy, *, device: torch.device | str = "cpu", report: Report | None = None) -> Effects:
    """Effects of all corrections along paths of the finest level. What a kick becomes is followed with the second finest, which
    costs a fraction and knows as well what a picture looks like. ``device``: where the networks are. ``report`` is told the
    fraction done after each step."""
    sde, steps = levels.sde, RESOLUTION
    path = BrownianPath(_PICTURES, sde.shape, steps, sde.horizon, _PILOT_SEED, dtype=torch.float32, device=device)
    initial = sde.initial(_PICTURES, _PILOT_SEED, dtype=torch.float32, device=device)
    at = [int((m + 0.5) * steps / _TIMES) for m in range(_TIMES)]
    ends = np.cumsum([0, steps, *(steps - n for n in at)]) / (steps + sum(steps - n for n in at))  # of what is done
    run = euler_maruyama(
        sde, levels[-1], steps=steps, path=path, initial=initial, save=at, report=stretch(report, 0.0, float(ends[1]))
    )
    assert run.states is not None
    follow = levels[max(0, len(levels) - 2)].drift
    products = []
    for m, (n, y) in enumerate(zip(at, run.states, strict=True), start=1):
        drifts = torch.stack([level.drift(y, n * sde.horizon / steps) for level in levels])
        corrections = torch.cat([drifts[:1], drifts.diff(dim=0)])
        scale = _KICK / corrections.square().flatten(1).mean(1).sqrt().clamp(min=_LEAST)
        kicked = y + corrections * scale.view(-1, 1, 1, 1, 1)
        told = stretch(report, float(ends[m]), float(ends[m + 1]))
        moved = _follow(sde, follow, torch.cat([y.unsqueeze(0), kicked]), path, n, told)
        change = ((moved[1:] - moved[0]).flatten(1).T / scale).double().cpu().numpy()
        products.append(change.T @ change / len(change))
    return Effects(np.array(at) * sde.horizon / steps, np.stack(products))


def _follow(
    sde: SDE,
    drift: Drift,
    copies: Float[Tensor, "copies batch *shape"],
    path: BrownianPath,
    start: int,
    report: Report | None,
) -> Tensor:
    """Where copies of the paths, all with the same noise, end when they go on from step ``start``."""
    count, h = len(copies), sde.horizon / path.steps
    y = copies.flatten(0, 1)
    noise = [torch.zeros(1)] * path.steps if sde.is_ode else path.stream(path.steps)
    for n, dW in enumerate(noise):
        if n >= start:
            y = step(y, drift(y, n * h), h, sde.noise(n * h), dW if sde.is_ode else dW.repeat(count, 1, 1, 1))
            if report:
                report((n + 1 - start) / (path.steps - start))
    return y.view(copies.shape)


def plan(effects: Effects, costs: Float[np.ndarray, " levels"], *, steps: int, cost: float, firing: str) -> Plan:
    """The levels and their p_k(t_n) that promise the least error for an expected price of at most ``cost`` per path, in the
    unit of ``costs``. The finest of ``costs`` is always used; all choices among the others are tried.

    Raises ValueError for a cost that is not positive.
    """
    finest = len(costs)
    choices = [(*some, finest) for count in range(finest) for some in combinations(range(1, finest), count)]
    planned = [along_time(effects, costs, levels, steps=steps, cost=cost, firing=firing) for levels in choices]
    return min(planned, key=lambda found: found[1])[0]


def along_time(
    effects: Effects,
    costs: Float[np.ndarray, " levels"],
    levels: tuple[int, ...],
    *,
    steps: int,
    cost: float,
    firing: str,
) -> tuple[Plan, float]:
    """p_k(t_n) of ``levels`` for ``steps`` steps at an expected price of at most ``cost``, and the error that it promises: a
    mean square but for a factor, which all choices of levels share.

    p ∝ (effect/price)^(1/(r + 1)), clamped at 1, with the firing's r. A call of a level is priced at its cost and that of the
    one below, which counts twice what two neighbouring calls share: what is paid in the end is less. The error is
    Σ effect (p^−r − 1).
    """
    order, used = error_order(firing), costs[[k - 1 for k in levels]]
    t = np.arange(steps) / steps
    effect = np.exp(np.stack([np.interp(t, effects.times, np.log(column)) for column in effects.between(levels).T], axis=1))
    price = np.tile(call_prices(used, firing), (steps, 1))
    p = water_filling(effect.ravel(), price.ravel(), cost=cost, order=order).reshape(effect.shape)
    return Plan(levels, torch.from_numpy(p)), float((effect * (p**-order - 1.0)).sum())


def power_law_at(costs: Float[np.ndarray, " levels"], gamma: float, *, steps: int, cost: float) -> Float[Tensor, " levels"]:
    """The paper's rule p_k = min(1, C·2^−(1+γ/2)k) where 2^k is c_k^(1/γ), with the C at which ``steps`` coins are expected to
    cost ``cost`` per path; a little less where certain levels need no call of the one below.

    Raises ValueError for a cost above that of the finest level at every step.
    """
    most = steps * float(costs[-1])
    if not 0.0 < cost <= most:
        raise ValueError(f"cost takes at most {most:.4g} for {steps} steps of these levels, got {cost:g}")
    shape = costs ** -(1.0 / gamma + 0.5)

    def excess(log_constant: float) -> float:
        p = np.minimum(1.0, np.exp(log_constant) * shape)
        called = 1.0 - (1.0 - p) * (1.0 - np.append(p[1:], 0.0))
        return float(steps * (costs * called).sum()) - cost

    high = -float(np.log(shape[-1]))
    return torch.from_numpy(np.minimum(1.0, np.exp(brentq(excess, high - 60.0, high)) * shape))
