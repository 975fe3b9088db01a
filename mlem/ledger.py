"""What was spent: distinct evaluations of each level, counted; model cost; seconds; and what was to be expected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ive
from torch import Tensor

from mlem.firing import Probabilities, fires, held_evaluations, prefix_length, weights

_SAMPLED_COINS = 400


@dataclass(frozen=True)
class Firing:
    """What the expected ledger depends on: the kind, p as (1 or steps, K, 1), the steps, the fine steps of the path (for Poisson
    events) and the number of independent sets of coins that were averaged."""

    kind: str
    p: Probabilities
    steps: int
    fine: int
    coins: int


@dataclass(frozen=True)
class Ledger:
    """Per path: ``evaluations`` (K,) as counted, their ``costs`` (K,), wall time ``seconds`` of the whole solve."""

    evaluations: Float[np.ndarray, " levels"]
    costs: Float[np.ndarray, " levels"]
    seconds: float
    firing: Firing

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
    p_k = p_{k+1} and both fired; with nested coins max(p_k, p_{k+1}), likewise. Poisson events are counted in ``poisson.py``'s
    fine steps, on which the levels k and k + 1 have N_k and N_{k+1} events.
    """
    if firing.kind == "poisson":
        events = _per_path(_poisson_probability(firing), firing.steps) * (firing.fine // firing.steps)
        prefix = prefix_length(firing.p)
        if prefix:
            events[prefix - 1] += firing.steps
        return events
    return _per_path(_probability(firing), firing.steps)


def deviation_of_evaluations(firing: Firing) -> Float[np.ndarray, " levels"]:
    """Standard deviation of the mean count over the sets of coins.

    By formula where steps are independent. Systematic firing has no formula, since the overlap of two levels' evenly spread
    calls depends on their phases: there it is sampled.
    """
    if firing.kind == "held":
        return np.zeros(firing.p.shape[1])
    if firing.kind == "systematic":
        plan = fires("systematic", firing.p, steps=firing.steps, coins=_SAMPLED_COINS, seed=0)
        counts = torch.stack([(weights(fired, firing.p) != 0).sum(0) for fired in plan]).sum(0)
        return counts.double().std(1).numpy() / np.sqrt(firing.coins)
    if firing.kind == "poisson":
        q = _poisson_probability(firing)
        variance = _per_path(q * (1 - q), firing.steps) * (firing.fine // firing.steps)
    else:
        q = _probability(firing)
        variance = _per_path(q * (1 - q), firing.steps)
    return np.sqrt(variance / firing.coins)


def _probability(firing: Firing) -> Tensor:
    """P(w_k ≠ 0) on each step, like p."""
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
    """P(w_k ≠ 0) on each fine step, like p. Two levels of equal rate cancel when they have equally many events, the probability
    of which is e^(−2μ) I_0(2μ)."""
    mu = firing.p * (firing.steps / firing.fine)
    mu[:, : prefix_length(firing.p)] = 0.0
    after = torch.cat([mu[:, 1:], torch.zeros_like(mu[:, :1])], dim=1)
    either = -torch.expm1(-mu - after)
    cancelled = torch.from_numpy(ive(0, 2 * mu.numpy())) - torch.exp(-2 * mu)
    return either - torch.where((mu == after) & (mu > 0), cancelled, 0.0)


def _per_path(q: Tensor, steps: int) -> Float[np.ndarray, " levels"]:
    """Sum over steps of a per-step expectation given as (1 or steps, K, coins), averaged over coins."""
    return (q.mean(2).mean(0) * steps).numpy()
