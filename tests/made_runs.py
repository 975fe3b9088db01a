"""Runs of both methods without any simulation: errors and counts as theory has them, with noise that paths share."""

from __future__ import annotations

import numpy as np

from mlem.frontier import Runs

LEVELS = 7
FLOPS = np.array([41.0, 230.0, 1281.0, 7241.0, 40961.0, 231704.0, 1310721.0])  # of one evaluation of each level


def made_runs(*, paths: int = 64, per_family: int = 12, seed: int = 0) -> tuple[Runs, Runs]:
    """(EM, ML-EM): a family of EM per level over its steps, of ML-EM per number of levels over its constant C."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((paths, 1))

    def squared(mean: np.ndarray, own: float) -> np.ndarray:
        noise = generator.standard_normal((paths, len(mean)))
        return mean * np.square(np.sqrt(1 - own) * shared + np.sqrt(own) * noise)

    level, steps = (a.ravel() for a in np.meshgrid(np.arange(LEVELS), np.geomspace(4, 2000, per_family), indexing="ij"))
    counts = np.zeros((len(level), LEVELS))
    counts[np.arange(len(level)), level] = steps
    bias = 4.0 ** -(level + 1)
    em = Runs(level, counts, 1e-5 * steps, squared(0.1 * bias + 1 / steps**2, 0.1))

    tops, constant = (a.ravel() for a in np.meshgrid(np.arange(3, LEVELS + 1), np.geomspace(0.1, 8, per_family), indexing="ij"))
    every = 2.0 ** (tops + 1)
    k = np.arange(1, LEVELS + 1)
    used = k <= tops[:, None]
    calls = np.where(used, np.minimum(every[:, None], constant[:, None] * 4.0 ** tops[:, None] * 2.0 ** (-2.0 * k)), 0.0)
    kicks = np.where(used, 4.0**-k * (1 / np.maximum(calls, 1e-9) - 1 / every[:, None]), 0.0).sum(1)
    mean = 0.1 * 4.0**-tops + 1 / every**2 + kicks
    return em, Runs(tops, calls, 2e-5 * every, squared(mean, 0.6))


def part(runs: Runs, share: float) -> Runs:
    """The first runs of each family: what a sweep has done so far."""
    keep = [i for f in np.unique(runs.family) for i in np.flatnonzero(runs.family == f)[: int(share * 12)]]
    return Runs(runs.family[keep], runs.evaluations[keep], runs.seconds[keep], runs.squared[:, keep])


def doubtful(runs: Runs) -> Runs:
    """A few runs that seem to be good and cheap, as chance makes them."""
    chosen = np.flatnonzero(runs.errors < 0.03)[::7]
    return Runs(runs.family[chosen], runs.evaluations[chosen] / 8, runs.seconds[chosen], runs.squared[:, chosen])
