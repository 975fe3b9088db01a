"""Exponents of cost in 1/ε, and costs predicted with constants that were measured (method, sections 3 and 4).

Three thresholds are kept apart: the break-even ε at a given γ, which constants decide; the kink of ML-EM's exponent at γ = 2;
and the independence of ML-EM's cost from the step size above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mlem.planning import ErrorModel, steps_at
from mlem.probabilities import power_law_within

KINK = 2.0

_FACTORS = np.array([1.1, 1.3, 1.6, 2.0, 3.0, 4.0, 8.0])  # of the fewest steps with which ML-EM can reach a target
_LEAST = 1e-300  # of a kick's effect


def em_exponent(gamma: float) -> float:
    """γ + 1: one factor for the drift, one for the step."""
    return gamma + 1.0


def mlem_exponent(gamma: float) -> float:
    """max(γ, 1 + γ/2): above γ = 2 [paper], below it derived from the randomized oracle's cost; at 2 with log²(1/ε)."""
    return max(gamma, 1.0 + gamma / 2.0)


def level_costs(levels: int, gamma: float) -> Float[np.ndarray, " levels"]:
    """2^(γ(k−1)): in units of one evaluation of f¹."""
    return 2.0 ** (gamma * np.arange(levels))


def em_costs(
    model: ErrorModel, gammas: Sequence[float], targets: Float[np.ndarray, " targets"]
) -> Float[np.ndarray, "gammas targets"]:
    """The least c_k N with each target error, by the measured terms; inf where no level reaches it."""
    levels = range(1, len(model.bias) + 1)
    left = [[model.step_left(k, float(target)) for k in levels] for target in targets]
    steps = np.array([[steps_at(model, step) if step > 0 else math.inf for step in row] for row in left])
    return np.stack([(steps * level_costs(len(levels), gamma)).min(1) for gamma in gammas])


def mlem_costs(
    model: ErrorModel, gammas: Sequence[float], targets: Float[np.ndarray, " targets"]
) -> Float[np.ndarray, "gammas targets"]:
    """The least expected cost of ML-EM with a power law, by the measured terms; inf where no number of levels reaches the
    target."""
    tops = np.arange(1, len(model.bias) + 1)
    steps = np.array([steps_at(model, float(target)) for target in targets])[:, None] * _FACTORS  # (targets, factors)
    floors = np.array([[[model.floor(int(top), n) for top in tops] for n in row] for row in steps.tolist()])
    budgets = np.square(targets)[:, None, None] - floors
    reached, used = budgets > 0, tops <= tops[:, None]  # (targets, factors, tops); (tops, levels)
    effects = np.where(used, np.maximum(model.kicks, _LEAST), 0.0) * (steps**-model.order)[..., None, None]
    costs = []
    for gamma in gammas:
        p = power_law_within(effects, (2.0 + gamma) / (1.0 + model.order), np.where(reached, budgets, 1.0), model.order)
        p = np.where(used, np.minimum(1.0, p), 0.0)
        after = np.concatenate([p[..., 1:], np.zeros_like(p[..., :1])], axis=-1)
        called = 1 - (1 - p) * (1 - after) - np.where(p == after, p * after, 0.0)
        spent = steps[..., None] * (called @ level_costs(len(tops), gamma))
        costs.append(np.where(reached, spent, np.inf).min((1, 2)))
    return np.stack(costs)
