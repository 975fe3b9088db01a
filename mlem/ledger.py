"""What was spent: distinct evaluations of each level, counted; model cost; seconds; and what was to be expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.firing import Probabilities, at_steps, fires, held_evaluations, prefix_length, weights

_SAMPLED_COINS = 400
_MOST_EVENTS = 16  # in one fine step, where at most one is expected: P(N > 16) < 10^-14


@dataclass(frozen=True)
class Firing:
    """What the expected ledger depends on: the kind, p as (1 or steps, K, 1 or coins), the steps, the fine steps of the path
    (for Poisson events) and the number of independent sets of coins that were averaged."""

    kind: str
    p: Probabilities
    steps: int
    fine: int
    coins: int


@dataclass(frozen=True)
class Ledger:
    """Evaluations as counted, per path: ``calls`` (rows, K), the mean over coins in equal parts of the time; ``by_coins``
    (K, coins), all that each set of coins made be evaluated. Their ``costs`` (K,); wall time ``seconds`` of the whole solve."""

    calls: Float[np.ndarray, "rows levels"]
    by_coins: Float[np.ndarray, "levels coins"]
    costs: Float[np.ndarray, " levels"]
    seconds: float
    firing: Firing

    @cached_property
    def evaluations(self) -> Float[np.ndarray, " levels"]:
        """Distinct evaluations of each level, per path (mean over the batch)."""
        return self.calls.sum(0)

    @property
    def cost(self) -> float:
        """Model cost per path: Σ_k evaluations_k · c_k."""
        return float(self.evaluations @ self.costs)

    @cached_property
    def expected(self) -> Float[np.ndarray, " levels"]:
        """Expected distinct evaluations of each level, per path, by formula."""
        return expected_evaluations(self.firing)

    @cached_property
    def z(self) -> Float[np.ndarray, " levels"]:
        """z-scores of the counts; 0 where a count is certain and met, infinite where it is certain and missed."""
        deviation = deviation_of_evaluations(self.firing)
        difference = self.evaluations - self.expected
        met = np.abs(difference) <= 1e-9 * np.maximum(1.0, self.expected)
        certain = np.where(met, 0.0, np.inf)
        return np.where(deviation > 0, difference / np.where(deviation > 0, deviation, 1.0), certain)


def expected_evaluations(firing: Firing) -> Float[np.ndarray, " levels"]:
    """Level k is evaluated where w_k ≠ 0.

    With independent coins that is 1 − (1 − p_k)(1 − p_{k+1}) of the steps, less those on which w_k is 0 exactly, which takes
    p_k = p_{k+1} and both fired; with nested coins max(p_k, p_{k+1}), likewise. Poisson events are counted on the fine steps of
    the path, on which the levels k and k + 1 have N_k and N_{k+1} events.
    """
    if firing.kind == "poisson":
        events = _per_path(_poisson_probability(firing), firing.steps) * (firing.fine // firing.steps)
        prefix = prefix_length(firing.p)
        if prefix:
            events[prefix - 1] += firing.steps
        return events
    return _per_path(probability_of_evaluation(firing), firing.steps)


def deviation_of_evaluations(firing: Firing) -> Float[np.ndarray, " levels"]:
    """Standard deviation of the mean count over the sets of coins.

    By formula where steps are independent. Systematic firing has no formula, since the overlap of two levels' evenly spread
    calls depends on their phases: there it is sampled. A sample may miss what is rare, but a whole number of mean m has at
    least the variance {m}(1 − {m}), {m} the fraction of m.
    """
    if firing.kind == "held":
        return np.zeros(firing.p.shape[1])
    if firing.kind == "systematic":
        return np.sqrt(_systematic_variance(firing) / firing.coins)
    if firing.kind == "poisson":
        q = _poisson_probability(firing)
        variance = _per_path(q * (1 - q), firing.steps) * (firing.fine // firing.steps)
    else:
        q = probability_of_evaluation(firing)
        variance = _per_path(q * (1 - q), firing.steps)
    return np.sqrt(variance / firing.coins)


def _systematic_variance(firing: Firing) -> Float[np.ndarray, " levels"]:
    """Variance of the count of one set of coins, averaged over the sets."""
    p, levels, sets = firing.p, firing.p.shape[1], firing.p.shape[2]  # sets is 1 where all have the same p
    repeats = max(2, _SAMPLED_COINS // sets)
    p = p if sets == 1 else p.repeat(1, 1, repeats)
    counts, start = torch.zeros(levels, repeats * sets, dtype=torch.float64), 0
    for fired in fires("systematic", p, steps=firing.steps, coins=repeats * sets, seed=0):
        counts += (weights(fired, at_steps(p, start, len(fired))) != 0).sum(0)
        start += len(fired)
    mean = probability_of_evaluation(firing).mean(0) * firing.steps
    fraction = mean - mean.floor()
    sampled = counts.view(levels, repeats, sets).var(1)
    return torch.maximum(sampled, fraction * (1 - fraction)).mean(1).numpy()


def probability_of_evaluation(firing: Firing) -> Tensor:
    """P(w_k ≠ 0) on each step, like p; for firings that are decided step by step."""
    p = firing.p
    after = torch.cat([p[:, 1:], torch.zeros_like(p[:, :1])], dim=1)
    if firing.kind == "held":
        return held_evaluations(p, firing.steps).double()
    if firing.kind == "nested":
        both, either = torch.minimum(p, after), torch.maximum(p, after)
    else:
        both, either = p * after, 1 - (1 - p) * (1 - after)
    return either - torch.where(p == after, both, 0.0)


def _poisson_probability(firing: Firing) -> Tensor:
    """P(w_k ≠ 0) on each fine step, like p: some event, less those i of level k and j of level k + 1 that cancel,
    i/p_k = j/p_{k+1}."""
    p = firing.p
    mu = p * (firing.steps / firing.fine)
    mu[:, : prefix_length(p)] = 0.0
    after, p_after = torch.cat([mu[:, 1:], torch.zeros_like(mu[:, :1])], dim=1), torch.cat([p[:, 1:], p[:, :1]], dim=1)
    probability, counts = -torch.expm1(-mu - after), range(1, _MOST_EVENTS + 1)
    lower, upper = ([m**i * torch.exp(-m) / float(math.factorial(i)) for i in counts] for m in (mu, after))
    for i, j in product(counts, counts):
        probability -= torch.where(i / p == j / p_after, lower[i - 1] * upper[j - 1], 0.0)
    return probability


def _per_path(q: Tensor, steps: int) -> Float[np.ndarray, " levels"]:
    """Sum over steps of a per-step expectation given as (1 or steps, K, coins), averaged over coins."""
    return (q.mean(2).mean(0) * steps).numpy()
