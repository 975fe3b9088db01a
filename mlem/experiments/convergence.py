"""Convergence: what does an accuracy cost? Cost against error for both methods, over all their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

import mlem
from mlem import theory
from mlem.errors import Estimate, rmse
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice
from mlem.experiments.plans import unpriced
from mlem.experiments.result import Result, Row, unexported
from mlem.frontier import UNITS, Envelope, Runs, breakeven, cautions, envelope, exponent, prices, speedup
from mlem.march import Report
from mlem.planning import ErrorModel
from mlem.sweeps import FIRINGS, Part, Run, Sweep
from mlem.synthetic import most_spectral_levels, spectral_hierarchy, spectral_twins

TARGETS = 25
_COARSEST_TARGET = 0.13
_ABOVE_BIAS = 2.05  # the finest target is this much above the finest level's error
_FEWEST_LEVELS = 4


@dataclass(frozen=True)
class ConvergenceParams(Params):
    """What is swept, and how it is priced."""

    kind: str = choice(
        "synthetic",
        choices=fields.KINDS,
        label="Hierarchy",
        help="Spectral levels do work ∝ 2^(γk), on their own equation.",
    )
    sde: str = fields.sde("forced-ou")
    gamma: float = fields.gamma()
    epsilon: float = fields.epsilon(0.01, "At which both methods are compared.")
    unit: str = choice("cost", choices=UNITS, label="Unit of cost", help="In what the bill is counted.")
    firing: str = fields.firing(FIRINGS)
    levels: int = fields.levels(9, "Levels on offer; both methods choose among them.", low=_FEWEST_LEVELS)
    residual: str = fields.residual()
    paths: int = fields.swept_paths()
    seed: int = fields.seed("Of the initial states, the noise and the coins.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit == "seconds" and self.kind != "spectral":
            raise ValueError("unit takes seconds for spectral levels alone: the price of synthetic ones is declared")
        most = most_spectral_levels(self.gamma)
        if self.kind == "spectral" and self.levels > most:
            takes = f"an integer ≤ {most} for spectral levels with gamma {self.gamma:g}"
            raise ValueError(f"levels takes {takes}, got {self.levels}")

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Leaves out the levels that a spectral hierarchy cannot have, and lowers γ where it could not have enough."""
        if values.get("kind", cls.kind) != "spectral":
            if values.get("unit") != "seconds":
                return values, []
            return {**values, "unit": cls.unit}, [f"Synthetic levels have no price in seconds. unit is now {cls.unit}."]
        gamma, levels = values.get("gamma", cls.gamma), values.get("levels", cls.levels)
        notices = list[str]()
        while most_spectral_levels(gamma) < _FEWEST_LEVELS:
            gamma -= 0.5
            notices = [f"gamma takes less for {_FEWEST_LEVELS} spectral levels. It is now {gamma:g}."]
        most = most_spectral_levels(gamma)
        if levels > most:
            notices.append(f"levels takes an integer ≤ {most} for spectral levels with gamma {gamma:g}. It is now {most}.")
        return {**values, "gamma": gamma, "levels": min(levels, most)}, notices

    def sweep(self) -> Sweep:
        """The sweep, not yet run. That of a synthetic hierarchy is the same for every γ."""
        if self.kind == "spectral":
            levels = spectral_hierarchy(gamma=self.gamma, levels=self.levels)
            twins = spectral_twins(levels)
            sde = twins.sde
            special: dict[str, Any] = {"shaped_for": (self.gamma,), "together": False, "twins": twins}
        else:
            sde = mlem.problems.get(self.sde)
            levels = unpriced(sde, self.levels, self.residual)
            special = {}
        return Sweep(sde, levels, firing=self.firing, paths=self.paths, seed=self.seed, **special)

    def targets(self) -> Float[np.ndarray, " targets"]:
        """The errors at which frontiers are read and exponents fitted."""
        return np.geomspace(_ABOVE_BIAS * 2.0**-self.levels, _COARSEST_TARGET, TARGETS)


@dataclass(frozen=True)
class Curve:
    """One method's lower envelope: ``frontier`` [error, cost], its ``band`` [low, high], the ``slope`` of log cost against
    log(1/error), what theory says of it, costs ``predicted`` from measured constants, and what speaks against the fit."""

    frontier: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...]
    slope: Estimate | None
    predicted: tuple[float, ...]
    cautions: tuple[str, ...]


@dataclass(frozen=True)
class ConvergenceResult(Result):
    """``theory``: the exponents of both methods. ``breakeven``: the error below which ML-EM is cheaper, None where the curves
    do not cross. ``speedup``: EM's cost over ML-EM's, by target. ``runs``: every run behind the curves."""

    unit: str
    em: Curve
    mlem: Curve
    theory: dict[str, float]
    breakeven: Estimate | None
    speedup: tuple[tuple[float, Estimate], ...]
    runs: tuple[Row, ...]
    reference: str
    em_runs: Runs = unexported()  # noqa: RUF009  # a field, not a value
    mlem_runs: Runs = unexported()  # noqa: RUF009

    def rows(self) -> list[Row]:
        """One line per target error."""
        ratios = dict(self.speedup)
        rows = list[Row]()
        for (error, em), (_, ml) in zip(self.em.frontier, self.mlem.frontier, strict=True):
            ratio = ratios.get(error)
            rows.append(
                {
                    "error": error,
                    "EM": em,
                    "ML-EM": ml,
                    "speed-up": ratio.value if ratio else math.nan,
                    "low": ratio.low if ratio else math.nan,
                    "high": ratio.high if ratio else math.nan,
                }
            )
        return rows

    def summary(self) -> str:
        """The slopes in a sentence, with what theory says."""
        said = []
        for name, curve, exponent_ in (("EM", self.em, self.theory["em"]), ("ML-EM", self.mlem, self.theory["mlem"])):
            slope = curve.slope
            fitted = f"{slope.value:.3f} ({slope.low:.3f} to {slope.high:.3f})" if slope else "not to be fitted"
            said.append(f"{name}'s cost grows with exponent {fitted}, theory {exponent_:g}")
        return "; ".join(said) + "."


def run(params: ConvergenceParams, report: Report | None = None) -> ConvergenceResult:
    """Runs the whole sweep, then prices it."""
    return judge(params, params.sweep().whole(report))


def judge(params: ConvergenceParams, part: Part) -> ConvergenceResult:
    """Curves from the runs there are, which may be part of a sweep. Raises ValueError before both methods have a run."""
    sides = {method: [run for run in part.runs if run.piece.method == method] for method in ("em", "mlem")}
    if not all(sides.values()):
        raise ValueError("judge takes runs of both methods")
    priced = {method: gather(side) for method, side in sides.items()}
    targets = params.targets()
    envelopes = {method: envelope(side, prices(side, params.unit, params.gamma), targets) for method, side in priced.items()}
    ratios = [(float(t), speedup(envelopes["em"], envelopes["mlem"], float(t))) for t in targets]
    gamma = 0.0 if params.unit == "evaluations" else params.gamma  # a call counts as one, whatever its level
    exponents = {"em": theory.em_exponent(gamma), "mlem": theory.mlem_exponent(gamma)}
    predicted = _predicted(params, part.model, targets)
    curves = {method: _curve(envelopes[method], predicted[method]) for method in envelopes}
    return ConvergenceResult(
        unit=params.unit,
        em=curves["em"],
        mlem=curves["mlem"],
        theory=exponents,
        breakeven=breakeven(envelopes["em"], envelopes["mlem"]),
        speedup=tuple((t, ratio) for t, ratio in ratios if ratio is not None),
        runs=tuple(row for method in sides for row in _rows(sides[method], prices(priced[method], params.unit, params.gamma))),
        reference="exact solution" if part.exact else "Euler–Maruyama, 20,160 steps of the true drift",
        em_runs=priced["em"],
        mlem_runs=priced["mlem"],
    )


def gather(runs: Sequence[Run]) -> Runs:
    """Runs of one method as arrays. A family of EM shares a level, one of ML-EM shares levels, steps and the shape of p_k."""
    keys: dict[tuple[int, ...] | tuple[float, ...], int] = {}
    family = []
    for run_ in runs:
        piece = run_.piece
        key = (piece.levels,) if piece.method == "em" else (piece.levels, piece.steps, run_.shape)
        family.append(keys.setdefault(key, len(keys)))
    return Runs(
        family=np.array(family),
        evaluations=np.stack([run_.evaluations for run_ in runs]),
        seconds=np.array([run_.seconds for run_ in runs]),
        squared=np.stack([run_.squared for run_ in runs], axis=1),
    )


def _curve(curve: Envelope, predicted: Sequence[float]) -> Curve:
    low, high = curve.band()
    return Curve(
        frontier=tuple(zip(curve.targets.tolist(), curve.costs.tolist(), strict=True)),
        band=tuple(zip(low.tolist(), high.tolist(), strict=True)),
        slope=exponent(curve) if len(curve.finite) >= 2 else None,
        predicted=tuple(predicted),
        cautions=cautions(curve),
    )


def _predicted(params: ConvergenceParams, model: ErrorModel, targets: Float[np.ndarray, " targets"]) -> dict[str, list[float]]:
    """Costs by the measured terms of the error; of no unit but model cost."""
    if params.unit != "cost" or params.firing == "nested":
        return {"em": [], "mlem": []}
    return {
        "em": [theory.em_cost(model, params.gamma, float(t)) for t in targets],
        "mlem": [theory.mlem_cost(model, params.gamma, float(t)) for t in targets],
    }


def _rows(runs: Sequence[Run], costs: Float[np.ndarray, " runs"]) -> list[Row]:
    rows = list[Row]()
    for run_, cost in zip(runs, costs, strict=True):
        error = rmse(run_.squared)
        rows.append(
            {
                "method": "EM" if run_.piece.method == "em" else "ML-EM",
                "levels": run_.piece.levels,
                "steps": run_.piece.steps,
                "shape": run_.shape,
                "error": error.value,
                "error low": error.low,
                "error high": error.high,
                "cost": float(cost),
            }
        )
    return rows


EXPERIMENT = Experiment(
    "convergence", "What does an accuracy cost? Both methods over all their parameters.", ConvergenceParams, run
)
