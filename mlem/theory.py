"""Exponents of cost in 1/ε, and costs predicted with constants that were measured (method, sections 3 and 4).

Three thresholds are kept apart: the break-even ε at a given γ, which constants decide; the kink of ML-EM's exponent at γ = 2;
and the independence of ML-EM's cost from the step size above it.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from mlem.planning import ErrorModel, steps_at
from mlem.probabilities import power_law_within

KINK = 2.0


def em_exponent(gamma: float) -> float:
    """γ + 1: one factor for the drift, one for the step."""
    return gamma + 1.0


def mlem_exponent(gamma: float) -> float:
    """max(γ, 1 + γ/2): above γ = 2 [paper], below it derived from the randomized oracle's cost; at 2 with log²(1/ε)."""
    return max(gamma, 1.0 + gamma / 2.0)


def level_costs(levels: int, gamma: float) -> Float[np.ndarray, " levels"]:
    """2^(γ(k−1)): in units of one evaluation of f¹."""
    return 2.0 ** (gamma * np.arange(levels))


def em_cost(model: ErrorModel, gamma: float, epsilon: float) -> float:
    """The least c_k N with the error ε, by the measured terms; inf where no level reaches it."""
    costs = level_costs(len(model.bias), gamma)
    left = [model.step_left(k, epsilon) for k in range(1, len(costs) + 1)]
    return min((cost * steps_at(model, s) for cost, s in zip(costs, left, strict=True) if s > 0), default=math.inf)


def mlem_cost(model: ErrorModel, gamma: float, epsilon: float) -> float:
    """The least expected cost of ML-EM with a power law, by the measured terms; inf where no number of levels reaches ε."""
    costs = level_costs(len(model.bias), gamma)
    decay = (2.0 + gamma) / (1.0 + model.order)
    best = math.inf
    lowest = steps_at(model, epsilon)
    for steps in lowest * np.array([1.1, 1.3, 1.6, 2.0, 3.0, 4.0, 8.0]):
        for top in range(1, len(costs) + 1):
            budget = epsilon**2 - model.floor(top, float(steps))
            if budget <= 0:
                continue
            effect = np.maximum(model.kicks[:top], 1e-300) * float(steps) ** -model.order
            p = np.minimum(1.0, power_law_within(effect, decay, budget, model.order))
            after = np.append(p[1:], 0.0)
            called = 1 - (1 - p) * (1 - after) - np.where(p == after, p * after, 0.0)
            best = min(best, float(steps * (called @ costs[:top])))
    return best
