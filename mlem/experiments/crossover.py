"""Crossover: when does it pay? One sweep, priced for every γ: exponents, cost by level, and a map of speed-ups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mlem import theory
from mlem.errors import Estimate
from mlem.experiments import fields
from mlem.experiments.convergence import ConvergenceParams, gather
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params
from mlem.experiments.result import Result, Row
from mlem.frontier import Envelope, Runs, breakeven_gamma, envelope, exponent, prices, shares
from mlem.march import Report
from mlem.sweeps import FIRINGS, Part

GAMMAS = tuple(np.arange(0.5, 5.01, 0.25).tolist())
MAP_EPSILONS = 13


@dataclass(frozen=True)
class CrossoverParams(Params):
    """Which sweep is priced. Every γ is; ``gamma`` is the one that is looked at."""

    sde: str = fields.sde("forced-ou")
    gamma: float = fields.gamma()
    epsilon: float = fields.epsilon(0.01, "At which the cost is split by level.")
    firing: str = fields.firing(FIRINGS)
    levels: int = fields.levels(9, "Levels on offer; both methods choose among them.", low=4)
    residual: str = fields.residual()
    paths: int = fields.swept_paths()
    seed: int = fields.seed("Of the initial states, the noise and the coins.")

    def swept(self) -> ConvergenceParams:
        """The sweep that is priced: the one that Error vs compute shows."""
        return ConvergenceParams(
            sde=self.sde,
            firing=self.firing,
            levels=self.levels,
            residual=self.residual,
            paths=self.paths,
            seed=self.seed,
        )


@dataclass(frozen=True)
class AtGamma:
    """Both exponents at one γ, fitted and in theory, and each level's share of ML-EM's cost at ε (empty if not reached)."""

    gamma: float
    em: Estimate
    mlem: Estimate
    em_theory: float
    mlem_theory: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class CrossoverResult(Result):
    """``map``: EM's cost over ML-EM's, by γ (rows) and ε (columns, ``epsilons``), None where one does not reach ε.
    ``breakeven``: the γ above which ML-EM is cheaper at ``epsilon``, None where it is so at every γ, or not at the largest."""

    epsilon: float
    points: tuple[AtGamma, ...]
    epsilons: tuple[float, ...]
    map: tuple[tuple[float | None, ...], ...]
    breakeven: Estimate | None

    def rows(self) -> list[Row]:
        """One line per γ."""
        return [
            {
                "gamma": p.gamma,
                "EM": p.em.value,
                "EM low": p.em.low,
                "EM high": p.em.high,
                "EM theory": p.em_theory,
                "ML-EM": p.mlem.value,
                "ML-EM low": p.mlem.low,
                "ML-EM high": p.mlem.high,
                "ML-EM theory": p.mlem_theory,
                "finest share": p.shares[-1] if p.shares else math.nan,
                "coarsest share": p.shares[0] if p.shares else math.nan,
            }
            for p in self.points
        ]

    def summary(self) -> str:
        """Where the exponents bend."""
        low, high = self.points[0], self.points[-1]
        return (
            f"From γ = {low.gamma:g} to {high.gamma:g}, EM's exponent goes from {low.em.value:.3f} to {high.em.value:.3f} "
            f"(theory γ + 1), ML-EM's from {low.mlem.value:.3f} to {high.mlem.value:.3f} (theory max(γ, 1 + γ/2), "
            f"with its kink at γ = 2)."
        )


class TooFewRuns(ValueError):
    """Of part of a sweep: an exponent takes two errors that both methods reach."""


def run(params: CrossoverParams, report: Report | None = None) -> CrossoverResult:
    """Runs the sweep, then prices it for every γ."""
    return judge(params, params.swept().sweep().whole(report))


def judge(params: CrossoverParams, part: Part) -> CrossoverResult:
    """Exponents, shares and map from the runs there are. Raises TooFewRuns before both methods reach two errors."""
    em, ml = (gather([run_ for run_ in part.runs if run_.piece.method == method]) for method in ("em", "mlem"))
    targets = params.swept().targets()
    columns = np.geomspace(targets[0], targets[-1], MAP_EPSILONS)
    points, rows, curves = [], [], list[tuple[Envelope, Envelope]]()
    for gamma in GAMMAS:
        both = envelope(em, prices(em, "cost", gamma), targets), envelope(ml, prices(ml, "cost", gamma), targets)
        if min(len(curve.finite) for curve in both) < 2:
            raise TooFewRuns(f"the {len(part.runs)} runs so far reach fewer than two errors")
        points.append(_at_gamma(gamma, both, ml, params.epsilon))
        rows.append(_ratios(both, columns))
        curves.append(both)
    even = breakeven_gamma(curves, GAMMAS, params.epsilon)
    return CrossoverResult(params.epsilon, tuple(points), tuple(columns.tolist()), tuple(rows), even)


def _at_gamma(gamma: float, both: Sequence[Envelope], ml: Runs, epsilon: float) -> AtGamma:
    split = shares(ml, gamma, np.array([epsilon]))[0]
    used = split[: int(np.flatnonzero(split > 0).max()) + 1] if np.isfinite(split).all() else split[:0]
    return AtGamma(
        gamma=gamma,
        em=exponent(both[0]),
        mlem=exponent(both[1]),
        em_theory=theory.em_exponent(gamma),
        mlem_theory=theory.mlem_exponent(gamma),
        shares=tuple(used.tolist()),
    )


def _ratios(both: Sequence[Envelope], columns: Float[np.ndarray, " epsilons"]) -> tuple[float | None, ...]:
    em, ml = (np.interp(np.log(columns), np.log(curve.targets), np.log(curve.costs)) for curve in both)
    reached = np.isfinite(em) & np.isfinite(ml)
    return tuple(float(math.exp(e - m)) if there else None for e, m, there in zip(em, ml, reached, strict=True))


EXPERIMENT = Experiment("crossover", "When does it pay? One sweep, priced for every γ.", CrossoverParams, run)
