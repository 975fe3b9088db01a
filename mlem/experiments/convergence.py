"""Convergence: what does an accuracy cost? Cost against error for both methods, over all their parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

import mlem
from mlem import theory
from mlem.distribution import is_told_from_chance
from mlem.errors import Estimate, rmses
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.measured import LEAST_LEVELS, stored_end, terms, unpriced
from mlem.experiments.params import Params, choice
from mlem.experiments.result import Result, Row, unexported
from mlem.frontier import UNITS, Envelope, Runs, breakeven, cautions, envelope, exponent, known, prices, speedup
from mlem.march import Report
from mlem.planning import ErrorModel, measure
from mlem.sweeps import FIRINGS, Part, Run, Sweep
from mlem.synthetic import most_spectral_levels, spectral_flops, spectral_hierarchy, spectral_twins

ERRORS = {"strong": "Strong: path by path", "distribution": "Distribution: the law at T"}
METHODS = ("em", "mlem")
REAL_WORK = ("flops", "seconds")  # units of levels that do the work they are priced at
TARGETS = 25
_COARSEST_TARGET = 0.13
_ABOVE_BIAS = 2.05  # the finest target is this much above the finest level's error


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
    error: str = choice(
        "strong",
        choices=ERRORS,
        label="Error",
        help="Strong: how far each path ends from its reference. Distribution: how far all ends together are from the law.",
    )
    firing: str = fields.firing(FIRINGS)
    levels: int = fields.levels(9, "Levels on offer; both methods choose among them.", low=LEAST_LEVELS)
    residual: str = fields.residual()
    paths: int = fields.swept_paths()
    seed: int = fields.seed("Of the initial states, the noise and the coins.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit in REAL_WORK and self.kind != "spectral":
            raise ValueError(f"unit takes {self.unit} for spectral levels alone: the price of synthetic ones is declared")
        most = most_spectral_levels(self.gamma)
        if self.kind == "spectral" and self.levels > most:
            takes = f"an integer ≤ {most} for spectral levels with gamma {self.gamma:g}"
            raise ValueError(f"levels takes {takes}, got {self.levels}")

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Leaves out the levels that a spectral hierarchy cannot have, and lowers γ where it could not have enough."""
        if values.get("kind", cls.kind) != "spectral":
            if values.get("unit") not in REAL_WORK:
                return values, []
            return {**values, "unit": cls.unit}, [
                f"Synthetic levels have no price in {values['unit']}. unit is now {cls.unit}."
            ]
        gamma, levels = values.get("gamma", cls.gamma), values.get("levels", cls.levels)
        notices = list[str]()
        while most_spectral_levels(gamma) < LEAST_LEVELS:
            gamma -= 0.5
            notices = [f"gamma takes less for {LEAST_LEVELS} spectral levels. It is now {gamma:g}."]
        most = most_spectral_levels(gamma)
        if levels > most:
            notices.append(f"levels takes an integer ≤ {most} for spectral levels with gamma {gamma:g}. It is now {most}.")
        return {**values, "gamma": gamma, "levels": min(levels, most)}, notices

    def sweep(self) -> Sweep:
        """The sweep, not yet run. That of a synthetic hierarchy is the same for every γ."""
        if self.kind == "spectral":
            levels = spectral_hierarchy(gamma=self.gamma, levels=self.levels)
            twins = spectral_twins(levels)
            sde, model = twins.sde, measure(twins.sde, twins, self.firing)
            special: dict[str, Any] = {"shaped_for": (self.gamma,), "together": False}
        else:
            sde = mlem.problems.get(self.sde)
            levels, model = unpriced(sde, self.levels, self.residual), terms(sde, self.levels, self.residual, self.firing)
            special = {"end": stored_end(sde, self.paths, self.seed)}
        return Sweep(sde, levels, firing=self.firing, paths=self.paths, seed=self.seed, model=model, **special)

    def targets(self) -> Float[np.ndarray, " targets"]:
        """The errors at which frontiers are read and exponents fitted."""
        return np.geomspace(_ABOVE_BIAS * 2.0**-self.levels, _COARSEST_TARGET, TARGETS)


SEPARATING = ConvergenceParams(sde="double-well", error="distribution", epsilon=0.05, levels=7, paths=4096)
"""Paths that a small push separates, for ever, though as many are pushed there as back: strong errors say little of the law."""


@dataclass(frozen=True)
class Curve:
    """One method's lower envelope: ``frontier`` [error, cost], its ``band`` [low, high], the ``slope`` of log cost against
    log(1/error), what theory says of it, costs ``predicted`` from measured constants, and what speaks against the fit.
    ``strong``: where the error is that of the distribution, the RMSE of the cheapest run at each target, NaN where there is
    none."""

    frontier: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...]
    slope: Estimate | None
    predicted: tuple[float, ...]
    cautions: tuple[str, ...]
    strong: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chance:
    """What is by chance in distribution errors. ``independent``: the distance of two samples of one law, of as many paths, that
    share no noise. The runs are those that are not told from chance; where one might be cheaper, a curve ends."""

    independent: float
    em_runs: Runs | None = unexported()  # noqa: RUF009  # a field, not a value
    mlem_runs: Runs | None = unexported()  # noqa: RUF009


@dataclass(frozen=True)
class ConvergenceResult(Result):
    """``theory``: the exponents of both methods; for the distribution error, which is at most the strong one, upper bounds.
    ``breakeven``: the error below which ML-EM is cheaper, None where the curves do not cross. ``speedup``: EM's cost over
    ML-EM's, by target. ``runs``: every run. ``chance``: None for the strong error."""

    unit: str
    error: str
    em: Curve
    mlem: Curve
    theory: dict[str, float]
    breakeven: Estimate | None
    speedup: tuple[tuple[float, Estimate], ...]
    runs: tuple[Row, ...]
    reference: str
    chance: Chance | None
    em_runs: Runs = unexported()  # noqa: RUF009  # a field, not a value
    mlem_runs: Runs = unexported()  # noqa: RUF009

    def rows(self) -> list[Row]:
        """One line per target error."""
        ratios, rows = dict(self.speedup), list[Row]()
        for k, ((error, em), (_, ml)) in enumerate(zip(self.em.frontier, self.mlem.frontier, strict=True)):
            ratio = ratios.get(error)
            row: Row = {
                "error": error,
                "EM": em,
                "ML-EM": ml,
                "speed-up": ratio.value if ratio else math.nan,
                "low": ratio.low if ratio else math.nan,
                "high": ratio.high if ratio else math.nan,
            }
            if self.chance:
                row |= {"EM strong": self.em.strong[k], "ML-EM strong": self.mlem.strong[k]}
            rows.append(row)
        return rows

    def summary(self) -> str:
        """The slopes in a sentence, with what theory says."""
        said, theory_says = [], "theory at most" if self.chance else "theory"
        for name, curve, exponent_ in (("EM", self.em, self.theory["em"]), ("ML-EM", self.mlem, self.theory["mlem"])):
            slope = curve.slope
            fitted = f"{slope.value:.3f} ({slope.low:.3f} to {slope.high:.3f})" if slope else "not to be fitted"
            said.append(f"{name}'s cost grows with exponent {fitted}, {theory_says} {exponent_:g}")
        return " ".join(["; ".join(said) + ".", *self._of_chance()])

    def _of_chance(self) -> list[str]:
        """What is to be said where the error is that of the distribution."""
        if not self.chance:
            return []
        said = []
        for name, curve in (("EM", self.em), ("ML-EM", self.mlem)):
            if apart := fallen(curve):
                said.append(
                    f"While {name}'s distribution error falls from {apart.coarse:.3g} to {apart.fine:.3g}, the strong error of "
                    f"its cheapest runs goes from {apart.coarse_strong:.3g} to {apart.fine_strong:.3g}."
                )
                if apart.fine > curve.frontier[0][0]:
                    said.append(f"Below {apart.fine:.3g} chance hides which run of {name} is the cheapest.")
        said.append(f"Two samples of one law that share no noise, of as many paths, differ by {self.chance.independent:.3g}.")
        return said


@dataclass(frozen=True)
class Fall:
    """Distribution and strong errors of a method's cheapest runs, at the coarsest and at the finest target that are reached."""

    coarse: float
    fine: float
    coarse_strong: float
    fine_strong: float


def fallen(curve: Curve) -> Fall | None:
    """How strong errors fall while distribution errors do; None where that is not known."""
    both = [(error, rmse_) for (error, _), rmse_ in zip(curve.frontier, curve.strong, strict=False) if math.isfinite(rmse_)]
    if len(both) < 2:
        return None
    (fine, fine_strong), (coarse, coarse_strong) = both[0], both[-1]
    return Fall(coarse, fine, coarse_strong, fine_strong)


def run(params: ConvergenceParams, report: Report | None = None) -> ConvergenceResult:
    """Runs the whole sweep, then prices it."""
    return judge(params, params.sweep().whole(report))


def judge(params: ConvergenceParams, part: Part) -> ConvergenceResult:
    """Curves from the runs there are, which may be part of a sweep. Raises ValueError before both methods have a run that is
    told from chance."""
    sides = {method: [run for run in part.runs if run.piece.method == method] for method in METHODS}
    told = {method: [run for run in side if is_told(run, params.error)] for method, side in sides.items()}
    if not all(told.values()):
        raise ValueError("judge takes runs of both methods")
    untold = {method: [run for run in side if not is_told(run, params.error)] for method, side in sides.items()}
    hidden = {method: _priced(params, side) if side else None for method, side in untold.items()}
    priced = {method: _priced(params, side) for method, side in told.items()}
    targets = params.targets()
    envelopes = {method: _envelope(params, priced[method], hidden[method], targets) for method in METHODS}
    ratios = [(float(t), speedup(envelopes["em"], envelopes["mlem"], float(t))) for t in targets]
    gamma = 0.0 if params.unit == "evaluations" else params.gamma  # a call counts as one, whatever its level
    by_theory = predicted(params, part.model, [params.gamma]) if params.unit == "cost" else {}
    strong = {method: _strong(params, told[method], envelopes[method]) for method in METHODS}
    curves = {method: _curve(envelopes[method], by_theory.get(method), strong[method]) for method in METHODS}
    chance = Chance(part.independent, hidden["em"], hidden["mlem"]) if params.error == "distribution" else None
    return ConvergenceResult(
        unit=params.unit,
        error=params.error,
        em=curves["em"],
        mlem=curves["mlem"],
        theory={"em": theory.em_exponent(gamma), "mlem": theory.mlem_exponent(gamma)},
        breakeven=breakeven(envelopes["em"], envelopes["mlem"]),
        speedup=tuple((t, ratio) for t, ratio in ratios if ratio is not None),
        runs=tuple(row for side in sides.values() for row in _rows(side, params)),
        reference="exact solution" if part.exact else "Euler–Maruyama, 20,160 steps of the true drift",
        chance=chance,
        em_runs=priced["em"],
        mlem_runs=priced["mlem"],
    )


def is_told(run: Run, error: str) -> bool:
    """Whether a run's error of that kind is told from chance, as every strong error is."""
    return error == "strong" or is_told_from_chance(_root(run.transport), run.chance)


def gather(runs: Sequence[Run], error: str = "strong") -> Runs:
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
        squared=np.stack([run_.squared if error == "strong" else run_.transport for run_ in runs], axis=1),
    )


def _priced(params: ConvergenceParams, runs: Sequence[Run]) -> Runs:
    """``runs`` with the errors that are asked for, and FLOPs where the levels have them."""
    side = gather(runs, params.error)
    return replace(side, flops=spectral_flops(params.gamma, params.levels)) if params.kind == "spectral" else side


def _envelope(params: ConvergenceParams, told: Runs, hidden: Runs | None, targets: Float[np.ndarray, " targets"]) -> Envelope:
    curve = envelope(told, prices(told, params.unit, params.gamma), targets)
    return known(curve, hidden.errors, prices(hidden, params.unit, params.gamma)) if hidden else curve


def _strong(params: ConvergenceParams, runs: Sequence[Run], curve: Envelope) -> list[float]:
    """The RMSE of the cheapest run that reaches each target by its distribution error."""
    if params.error == "strong":
        return []
    side, rmses = _priced(params, runs), np.array([_root(run.squared) for run in runs])
    costs = np.where(side.errors[:, None] <= curve.targets, prices(side, params.unit, params.gamma)[:, None], np.inf)
    return np.where(np.isfinite(curve.costs) & np.isfinite(costs.min(0)), rmses[costs.argmin(0)], np.nan).tolist()


def _root(squared: Float[np.ndarray, " paths"]) -> float:
    return math.sqrt(max(0.0, float(squared.mean())))


def _curve(curve: Envelope, by_theory: Float[np.ndarray, "one targets"] | None, strong: Sequence[float]) -> Curve:
    low, high = curve.band()
    return Curve(
        frontier=tuple(zip(curve.targets.tolist(), curve.costs.tolist(), strict=True)),
        band=tuple(zip(low.tolist(), high.tolist(), strict=True)),
        slope=exponent(curve) if len(curve.finite) >= 2 else None,
        predicted=() if by_theory is None else tuple(by_theory[0].tolist()),
        cautions=cautions(curve),
        strong=tuple(strong),
    )


def predicted(
    params: ConvergenceParams, model: ErrorModel, gammas: Sequence[float]
) -> dict[str, Float[np.ndarray, "gammas targets"]]:
    """Model costs at the targets by the measured terms of the strong error; none for other errors, nor for nested coins."""
    if params.firing == "nested" or params.error != "strong":
        return {}
    targets = params.targets()
    return {"em": theory.em_costs(model, gammas, targets), "mlem": theory.mlem_costs(model, gammas, targets)}


def _rows(runs: Sequence[Run], params: ConvergenceParams) -> Iterator[Row]:
    side = _priced(params, runs)
    for run_, error, cost in zip(runs, rmses(side.squared), prices(side, params.unit, params.gamma), strict=True):
        row: Row = {
            "method": "EM" if run_.piece.method == "em" else "ML-EM",
            "levels": run_.piece.levels,
            "steps": run_.piece.steps,
            "shape": run_.shape,
            "error": error.value,
            "error low": error.low,
            "error high": error.high,
            "cost": float(cost),
        }
        if params.error == "distribution":
            row |= {
                "strong error": _root(run_.squared),
                "by chance": run_.chance,
                "told from chance": "yes" if is_told(run_, params.error) else "no",
            }
        yield row


EXPERIMENT = Experiment(
    "convergence", "What does an accuracy cost? Both methods over all their parameters.", ConvergenceParams, run
)
