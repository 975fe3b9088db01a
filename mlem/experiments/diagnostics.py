"""Diagnostics: is anything off with these levels? Giles' table of a multilevel method, for the levels of Hierarchy."""

from __future__ import annotations

from dataclasses import dataclass

from mlem.diagnostics import LevelDiagnostics, diagnose
from mlem.errors import Estimate
from mlem.experiments import hierarchy
from mlem.experiments.experiment import Experiment
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.result import Result, Row, digits
from mlem.march import Report


@dataclass(frozen=True)
class DiagnosticsResult(Result):
    """What :class:`mlem.diagnostics.Diagnostics` tells, and of which SDE."""

    levels: tuple[LevelDiagnostics, ...]
    alpha: Estimate | None
    beta: Estimate | None
    gamma: Estimate | None
    paths: int
    cautions: tuple[str, ...]
    sde: str

    def rows(self) -> list[Row]:
        """One line per level."""
        return [
            {
                "level": d.level,
                "mean": d.mean.value,
                "mean low": d.mean.low,
                "mean high": d.mean.high,
                "mean square": d.variance.value,
                "mean square low": d.variance.low,
                "mean square high": d.variance.high,
                "kurtosis": d.kurtosis,
                "cost": d.cost,
                "mean square × cost": d.product,
                "consistency": d.consistency,
            }
            for d in self.levels
        ]

    def summary(self) -> str:
        """How the levels go, and what is off."""
        fits = [
            f"{what} with {letter} = {digits(fit.value)} ({digits(fit.low)} to {digits(fit.high)})"
            for what, letter, fit in (
                ("the means of corrections fall like 2^(−αk)", "α", self.alpha),
                ("the mean squares of corrections fall like 2^(−βk)", "β", self.beta),
                ("costs grow like 2^(γk)", "γ", self.gamma),
            )
            if fit is not None
        ]
        told = ", ".join(fits) or "one level has no exponents"
        off = " ".join(self.cautions) or "Nothing is off."
        return f"{self.sde}: {told}. Consistency is at most {digits(self.consistency)}. {off}"

    @property
    def consistency(self) -> float:
        """The largest of all levels; less than 1 is right."""
        return max(d.consistency for d in self.levels)


def run(params: HierarchyParams, report: Report | None = None) -> DiagnosticsResult:
    """Diagnoses the levels of ``params`` on three sets of ``params.paths`` paths.

    Raises NonFiniteStep where a path blows up.
    """
    levels = hierarchy.levels_of(params)
    found = diagnose(levels, paths=params.paths, seed=hierarchy.path_seed(params), report=report)
    return DiagnosticsResult(**vars(found), sde=levels.sde.title)


EXPERIMENT = Experiment("diagnostics", "Is anything off with these levels?", HierarchyParams, run)
