"""Coin: how can rare, dear calls suffice? One step of ML-EM under the glass: at one state, coins are thrown again and again.

At a state x the drift is estimated by Σ_k (B_k/p_k) d_k with d_k = f^k(x) − f^{k−1}(x) and f^0 = 0 (method, section 2). The
mean is f^K(x) whatever the p_k; they decide the variance, and the price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import brentq

import mlem
from mlem.brownian import BrownianPath
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice, integer, number
from mlem.experiments.result import Result, Row, unexported
from mlem.firing import as_probabilities, fires, weights
from mlem.hierarchy import Hierarchy
from mlem.ledger import Firing, deviation_of_evaluations, expected_evaluations, probability_of_evaluation
from mlem.march import Report
from mlem.probabilities import call_prices, pilot
from mlem.sde import SDE
from mlem.solvers import euler_maruyama
from mlem.synthetic import synthetic_hierarchy

RULES = {
    "optimal": "Optimal: measured √(v/c)",
    "power-law": "Power law: C·2^−(1+γ/2)k",
    "too-flat": "Too flat: the same p for all",
    "too-steep": "Too steep: falls twice as fast",
}
FIRINGS = {
    "bernoulli": "Bernoulli: a coin for each level",
    "nested": "Nested: one coin for all",
    "systematic": "Systematic: evenly spread",
}

_HIERARCHY_SEED = 0
_SCAN = 60  # multiples of a rule's shape that are looked at before one is found by root finding
_ROUNDING = 1e-6
_NORMAL = 1.96  # half of a 95 % interval, in standard deviations


@dataclass(frozen=True)
class CoinParams(Params):
    """Which coins are thrown, and for what."""

    sde: str = fields.sde("double-well", help="The equation dX = f(X, t) dt + s(t) dW, one step of which is looked at.")
    gamma: float = fields.gamma()
    levels: int = fields.levels(5, help="Levels f^1, …, f^K of the telescope.")
    residual: str = fields.residual()
    rule: str = choice("optimal", choices=RULES, label="Probabilities pₖ", help="How pₖ falls with the level.")
    budget: float = number(
        0.1,
        low=0.001,
        high=1.0,
        offered=(0.02, 0.05, 0.1, 0.25, 0.5),
        label="Budget",
        help="Expected cost of a step, as a share of one evaluation of f^K: the same for every rule, so that they compare.",
    )
    firing: str = choice(
        "bernoulli", choices=FIRINGS, label="Firing", help="How it is decided which levels' corrections a draw computes."
    )
    draws: int = integer(
        982, low=1, high=10_000, offered=(1, 10, 100, 1000, 10_000), label="Draws", help="How often the step is drawn."
    )  # by default as many as end in one that calls f^K
    seed: int = fields.seed("Of the path that leads to the state, and of the coins.")


@dataclass(frozen=True)
class CoinLevel:
    """Level ``level`` (from 1) with probability ``p``. Its correction has the mean square ``v`` along paths, and its coin adds
    the ``variance`` v(1/p − 1), ``variance_share`` of what all levels add. ``cost`` is the expected cost of its evaluations in
    one draw, in units of one f^K, ``cost_share`` of all. It was evaluated ``evaluations`` times, against ``expected``."""

    level: int
    p: float
    v: float
    variance: float
    variance_share: float
    cost: float
    cost_share: float
    evaluations: int
    expected: float
    z: float


@dataclass(frozen=True)
class Check:
    """What was measured against what is exact, and the z-score of the difference; None where the draws' dependence has no
    formula."""

    exact: float
    measured: float
    z: float | None


@dataclass(frozen=True)
class Glass:
    """What is seen of the step, in coordinate ``coordinate`` (from 0) of the state: ``x`` and the time ``t``; f^k(x) in
    ``drifts`` and d_k in ``corrections`` (K,); of each draw which levels ``fired``, their ``weights`` w_k (draws, K) and the
    ``estimates``; the ``running`` mean of these, and ``band``, half of the exact 95 % interval about f^K(x) of the mean of so
    many draws (draws,)."""

    coordinate: int
    t: float
    x: float
    drifts: Float[np.ndarray, " levels"]
    corrections: Float[np.ndarray, " levels"]
    fired: Bool[np.ndarray, "draws levels"]
    weights: Float[np.ndarray, "draws levels"]
    estimates: Float[np.ndarray, " draws"]
    running: Float[np.ndarray, " draws"]
    band: Float[np.ndarray, " draws"]


@dataclass(frozen=True)
class CoinResult(Result):
    """At the state x ``mean`` is that of the estimator's shown coordinate, and ``variance`` an average over all coordinates.
    ``typical`` is the variance Σ v(1/p − 1) along paths, ``optimal`` that of the optimal rule for the same bill. ``cost`` is
    the expected cost of a draw in units of one f^K, ``spent`` what the draws did cost."""

    levels: tuple[CoinLevel, ...]
    mean: Check
    variance: Check
    typical: float
    optimal: float
    cost: float
    spent: float
    glass: Glass = unexported()  # noqa: RUF009  # a field, not a value

    def rows(self) -> list[Row]:
        """One line per level."""
        return [
            {
                "level": c.level,
                "p": c.p,
                "v": c.v,
                "variance": c.variance,
                "variance share": c.variance_share,
                "cost": c.cost,
                "cost share": c.cost_share,
                "evaluations": c.evaluations,
                "expected": c.expected,
                "z": c.z,
            }
            for c in self.levels
        ]

    def summary(self) -> str:
        """The outcome in a few sentences."""
        draws, top = len(self.glass.estimates), len(self.levels)
        mean, variance = self.mean, self.variance
        told = "successive draws depend on each other" if variance.z is None else f"z = {variance.z:.2g}"
        text = (
            f"{draws:,} draws average {mean.measured:.4g}; level {top} says {mean.exact:.4g} (z = {mean.z:.2g}). "
            f"Their variance is {variance.measured:.3g}, exactly {variance.exact:.3g} ({told}). "
            f"A draw costs {self.cost:.3g} of one evaluation of level {top}; these cost {self.spent:.3g} each."
        )
        if self.typical == 0.0:
            return f"{text} Every level fires always: nothing is left to chance."
        worst = max(self.levels, key=lambda c: c.variance)
        return (
            f"{text} Along paths the variance is {self.typical / self.optimal:.3g} × that of the optimal rule at the same "
            f"price; level {worst.level} brings {100 * worst.variance_share:.0f} % of it."
        )


def run(params: CoinParams, report: Report | None = None) -> CoinResult:
    """Throws the coins of one step ``draws`` times."""
    tell = report or (lambda done: None)
    sde = mlem.problems.get(params.sde)
    levels = synthetic_hierarchy(sde, gamma=params.gamma, levels=params.levels, residual=params.residual, seed=_HIERARCHY_SEED)
    tell(0.3)
    v = _mean_squares(sde, params.levels, params.residual)
    p, best = (probabilities(rule, v, levels.costs, params) for rule in (params.rule, "optimal"))
    tell(0.6)
    t, x, drifts = _step(sde, levels, params.seed)
    chances = as_probabilities(p, len(p), params.draws, 1)
    fired = torch.cat(list(fires(params.firing, chances, steps=params.draws, coins=1, seed=params.seed)))
    w = weights(fired, chances)[:, :, 0].numpy()
    coordinate = sde.view[0]
    mean, variance, band = _judge(params, p, drifts, w, coordinate)
    estimates = w @ drifts[:, coordinate]
    result = CoinResult(
        levels=_ledger(params, p, v, levels.costs, w),
        mean=mean,
        variance=variance,
        typical=_typical(v, p),
        optimal=_typical(v, best),
        cost=float(_expected_costs(params.firing, p[None], levels.costs)[0]),
        spent=float((w != 0).mean(0) @ levels.costs / levels.costs[-1]),
        glass=Glass(
            coordinate=coordinate,
            t=t,
            x=float(x[coordinate]),
            drifts=drifts[:, coordinate],
            corrections=corrections(drifts)[:, coordinate],
            fired=fired[:, :, 0].numpy(),
            weights=w,
            estimates=estimates,
            running=estimates.cumsum() / np.arange(1, len(estimates) + 1),
            band=band,
        ),
    )
    tell(1.0)
    return result


@lru_cache(maxsize=64)
def _mean_squares(sde: SDE, levels: int, residual: str) -> Float[np.ndarray, " levels"]:
    """v_k = E‖f^k − f^{k−1}‖² along paths, averaged over time. It does not depend on γ, which only prices."""
    hierarchy = synthetic_hierarchy(sde, gamma=1.0, levels=levels, residual=residual, seed=_HIERARCHY_SEED)
    return pilot(hierarchy, sde).kicks.mean(0)


def probabilities(
    rule: str, v: Float[np.ndarray, " levels"], costs: Float[np.ndarray, " levels"], params: CoinParams
) -> Float[np.ndarray, " levels"]:
    """p of a rule, min(1, m·shape) with the largest m at which the expected cost of a step is the budget.

    The optimal rule has p_k = 1 for the levels up to some j, whose price is that of f^j alone, and p_k ∝ √(v_k/c_k) above, a
    call being priced with all that it makes be evaluated; it is the j with the least variance.
    """
    if rule != "optimal":
        fall = {"power-law": 1.0, "too-flat": 0.0, "too-steep": 2.0}[rule] * (1 + params.gamma / 2)
        return _scaled(2.0 ** (-fall * np.arange(len(v))), 0, costs, params)
    prices, tried = call_prices(costs, params.firing), []
    for prefix in range(len(v)):
        if prefix and costs[prefix - 1] > (1 - _ROUNDING) * params.budget * costs[-1]:
            break
        own = np.where(np.arange(len(v)) == prefix, costs, prices)  # just above the prefix f^{k−1} is paid for already
        shape = np.where(np.arange(len(v)) < prefix, np.inf, np.sqrt(v / own))
        tried.append(_scaled(shape, prefix, costs, params))
    return min(tried, key=lambda p: _typical(v, p))


def _scaled(
    shape: Float[np.ndarray, " levels"], prefix: int, costs: Float[np.ndarray, " levels"], params: CoinParams
) -> Float[np.ndarray, " levels"]:
    """min(1, m·shape) for the budget, where the first ``prefix`` levels fire always, for less."""

    def p(log_m: float) -> Float[np.ndarray, " levels"]:
        return np.asarray(np.minimum(1.0, math.exp(log_m) * shape))

    def excess(*log_m: float) -> Float[np.ndarray, " n"]:
        return _expected_costs(params.firing, np.stack([p(m) for m in log_m]), costs) - params.budget

    # From where f^k, called with probability p_k + p_{k+1} at most, costs less than the budget, to where all levels fire and
    # f^K alone is called. In between the cost may fall too, when two levels come to fire always: hence the scan.
    left = params.budget * costs[-1] - (costs[prefix - 1] if prefix else 0.0)
    low = math.log(left / float(shape[prefix:] @ call_prices(costs, "bernoulli")[prefix:]))
    scan = np.linspace(low - _ROUNDING, -math.log(shape.min()) + _ROUNDING, _SCAN)
    last = int(np.flatnonzero(excess(*scan) <= 0)[-1])
    return p(brentq(lambda m: excess(m)[0], scan[last], scan[last + 1], xtol=1e-12) if last + 1 < _SCAN else scan[last])


def _expected_costs(
    firing: str, p: Float[np.ndarray, "n levels"], costs: Float[np.ndarray, " levels"]
) -> Float[np.ndarray, " n"]:
    """Of one step with each of the p, in units of one f^K."""
    q = probability_of_evaluation(_coins(firing, p, steps=len(p)))[:, :, 0].numpy()
    return np.asarray(q @ costs / costs[-1])


def _coins(firing: str, p: Float[np.ndarray, "*steps levels"], steps: int) -> Firing:
    return Firing(firing, as_probabilities(p, p.shape[-1], steps, 1), steps, steps, 1)


def _typical(v: Float[np.ndarray, " levels"], p: Float[np.ndarray, " levels"]) -> float:
    return float((v * (1 / p - 1)).sum())


def _step(
    sde: SDE, levels: Hierarchy, seed: int
) -> tuple[float, Float[np.ndarray, " numel"], Float[np.ndarray, "levels numel"]]:
    """The middle of the horizon: the time, the state of one path there, and f^1, …, f^K at it."""
    steps = sde.resolution
    path, half = BrownianPath(1, sde.shape, steps, sde.horizon, seed), steps // 2
    solution = euler_maruyama(sde, sde.drift, steps=steps, path=path, initial=sde.initial(1, seed), save=[half])
    assert solution.states is not None
    x, t = solution.states[0], half * sde.horizon / steps
    return t, x.flatten().numpy(), torch.cat([level.drift(x, t).flatten(1) for level in levels]).numpy()


def corrections(drifts: Float[np.ndarray, "levels numel"]) -> Float[np.ndarray, "levels numel"]:
    """d_k = f^k − f^{k−1}, f^0 = 0."""
    return np.diff(drifts, axis=0, prepend=0.0)


def outcomes(firing: str, p: Float[np.ndarray, " levels"]) -> tuple[Bool[np.ndarray, "n levels"], Float[np.ndarray, " n"]]:
    """Every way in which one draw can fall, and its probability. A draw of systematic firing, taken alone, is like one of
    independent coins."""
    if firing == "nested":  # U falls between two neighbouring p
        edges = np.unique(np.concatenate([[0.0], p, [1.0]]))
        return edges[:-1, None] < p, np.diff(edges)
    fired = np.array(list(product((False, True), repeat=len(p))))
    return fired, np.where(fired, p, 1 - p).prod(1)


def _judge(
    params: CoinParams,
    p: Float[np.ndarray, " levels"],
    drifts: Float[np.ndarray, "levels numel"],
    w: Float[np.ndarray, "draws levels"],
    coordinate: int,
) -> tuple[Check, Check, Float[np.ndarray, " draws"]]:
    """Mean and variance of the draws against what they are exactly, and the band of the running mean.

    Exact moments are sums over all outcomes. For independent coins the variance is Σ_k ‖d_k‖²(1/p_k − 1), for nested ones
    Σ_kl d_k·d_l (1/max(p_k, p_l) − 1).
    """
    d, exact = corrections(drifts), drifts[-1]
    fired, chance = outcomes(params.firing, p)
    errors = (fired / p - 1) @ d  # (n, numel)
    squared = np.square(errors).mean(1)
    variance = float(chance @ squared)
    fourth = math.sqrt(float(chance @ np.square(squared - variance)))  # standard deviation of one squared error
    n = np.arange(1.0, len(w) + 1)
    if params.firing == "systematic":
        deviation = _systematic_deviation(p, d[:, coordinate], n)
    else:
        deviation = math.sqrt(float(chance @ np.square(errors[:, coordinate]))) / np.sqrt(n)
    drawn = w @ drifts
    mean = float(drawn[:, coordinate].mean())
    measured = float(np.square(drawn - exact).mean())
    return (
        Check(float(exact[coordinate]), mean, _z(mean - exact[coordinate], deviation[-1])),
        Check(variance, measured, None if params.firing == "systematic" else _z(measured - variance, fourth / len(w) ** 0.5)),
        _NORMAL * deviation,
    )


def _systematic_deviation(
    p: Float[np.ndarray, " levels"], d: Float[np.ndarray, " levels"], n: Float[np.ndarray, " draws"]
) -> Float[np.ndarray, " draws"]:
    """Standard deviation of the mean of the first n draws: level k has fired ⌊np⌋ or ⌊np⌋ + 1 times, as its phase has it."""
    expected = n[:, None] * p
    fraction = expected - np.floor(expected)
    return np.sqrt((np.square(d / expected) * fraction * (1 - fraction)).sum(1))


def _z(difference: float, deviation: float) -> float:
    """0 where nothing is left to chance and the rounding agrees."""
    if deviation > 0:
        return difference / deviation
    return 0.0 if abs(difference) < 1e-9 else math.inf


def _ledger(
    params: CoinParams,
    p: Float[np.ndarray, " levels"],
    v: Float[np.ndarray, " levels"],
    costs: Float[np.ndarray, " levels"],
    w: Float[np.ndarray, "draws levels"],
) -> tuple[CoinLevel, ...]:
    coins = _coins(params.firing, p, steps=len(w))
    expected, deviation = expected_evaluations(coins), deviation_of_evaluations(coins)
    made = (w != 0).sum(0)
    variance, cost = v * (1 / p - 1), expected / len(w) * costs / costs[-1]
    return tuple(
        CoinLevel(
            level=k + 1,
            p=float(p[k]),
            v=float(v[k]),
            variance=float(variance[k]),
            variance_share=float(variance[k] / variance.sum()) if variance.any() else 0.0,
            cost=float(cost[k]),
            cost_share=float(cost[k] / cost.sum()),
            evaluations=int(made[k]),
            expected=float(expected[k]),
            z=_z(float(made[k] - expected[k]), float(deviation[k])),
        )
        for k in range(len(p))
    )


EXPERIMENT = Experiment("coin", "How can rare, dear calls suffice?", CoinParams, run)
