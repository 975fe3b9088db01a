"""Faces: do real networks obey? A ladder of UNets measured: error against cost of every method, and the ladder's own γ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mlem.errors import Estimate, rmse, rmses
from mlem.experiments import faces_store, fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.faces_store import Measured
from mlem.experiments.params import Params, choice, integer
from mlem.experiments.result import Result, Row, unexported
from mlem.fits import cost_exponent, exponent_with_floor
from mlem.frontier import Envelope, Runs, envelope, speedup
from mlem.images.devices import DEVICES, device_of
from mlem.images.process import GFLOP, PRECISIONS, PROCESSES
from mlem.images.samplers import SAMPLERS
from mlem.images.sweep import FINE, GROUP, METHODS, ODE_REFERENCE, Piece
from mlem.march import Report

UNITS = {"flops": "GFLOP per picture", "seconds": "seconds per picture"}
"""What a run may be priced in."""

TARGETS = 17
_EDGE = 1.02  # targets keep this far from the ends of EM's envelope


def precision() -> Any:
    """In what the networks compute."""
    help = "In which the larger networks compute; states stay in single."
    return choice("bfloat16", choices=PRECISIONS, label="Precision", help=help)


def device() -> Any:
    """Where the networks compute."""
    help = "Where the networks compute. Noise is drawn on the processor, so that it is the same on all devices."
    return choice("auto", choices=DEVICES, label="Device", help=help)


def mend_device(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Takes the default for CUDA where there is none."""
    if values.get("device") != "cuda" or torch.cuda.is_available():
        return dict(values), []
    return {**values, "device": FacesParams.device}, [f"There is no CUDA device here. Device is now {FacesParams.device}."]


@dataclass(frozen=True)
class FacesParams(Params):
    """What is measured."""

    process: str = choice(
        "sde",
        choices=PROCESSES,
        label="Process",
        help="The reverse SDE, or its probability-flow ODE, where the usual samplers compete.",
    )
    pictures: int = integer(
        8,
        low=GROUP,
        high=256,
        offered=(8, 16, 32),
        label="Pictures",
        help="Over which errors are averaged; more make bands narrower.",
    )
    precision: str = precision()
    device: str = device()
    seed: int = fields.seed("Of the pictures, the noise on the way and the calls.")
    fresh: str = choice(
        "no",
        choices={"no": "Take what is stored", "yes": "Measure anew"},
        label="Measure anew",
        help="The default's measurement is stored with the package; anew it takes most of an hour on two cores.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        device_of(self.device)  # which raises for one that is not there
        if self.pictures % GROUP:
            raise ValueError(f"pictures takes a multiple of {GROUP}, got {self.pictures}")

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Rounds pictures to whole groups, and takes a device that is there."""
        values, notices = mend_device(values)
        if (asked := values.get("pictures", cls.pictures)) % GROUP:
            values["pictures"] = asked // GROUP * GROUP
            notices.append(f"pictures takes a multiple of {GROUP}, got {asked}. It is now {values['pictures']}.")
        return values, notices


@dataclass(frozen=True)
class LevelFacts:
    """One network. ``error`` is the RMSE, over pictures, that using it instead of the finest makes at the end; ``held_out`` its
    mean weighted loss on held-out pictures, with its standard error; ``seconds`` of one evaluation for one picture."""

    level: int
    parameters: int
    flops: int
    seconds: float
    error: Estimate | None
    held_out: float
    held_out_error: float
    images: int


@dataclass(frozen=True)
class Saving:
    """How many times cheaper than EM's envelope a method is at one RMSE; None where one of the two does not reach it."""

    target: float
    flops: Estimate | None
    seconds: Estimate | None


@dataclass(frozen=True)
class MethodFacts:
    """A method's frontier [[RMSE, GFLOP], …] and what it saves against EM at each target."""

    title: str
    frontier: tuple[tuple[float, float], ...]
    savings: tuple[Saving, ...]
    best: Saving | None


@dataclass(frozen=True)
class FacesResult(Result):
    """The ladder and what each method makes of it. ``gamma``: by unit of cost, from the error at the end of all levels but the
    finest, to which they are compared; ``gamma_held_out`` from the held-out loss with a fitted floor, in FLOPs."""

    levels: tuple[LevelFacts, ...]
    gamma: dict[str, Estimate]
    gamma_held_out: Estimate | None
    methods: dict[str, MethodFacts]
    runs: tuple[Row, ...]
    pictures: int
    reference: str
    device: str
    measured: Measured = unexported()  # noqa: RUF009  # a field, not a value

    def rows(self) -> list[Row]:
        """One line per level."""
        return [
            {
                "level": level.level,
                "parameters": level.parameters,
                "GFLOP": level.flops / GFLOP,
                "seconds": level.seconds,
                "error": level.error.value if level.error else float("nan"),
                "error low": level.error.low if level.error else float("nan"),
                "error high": level.error.high if level.error else float("nan"),
                "held-out loss": level.held_out,
                "images seen": level.images,
            }
            for level in self.levels
        ]

    def summary(self) -> str:
        """γ and the savings in words."""
        g, s = self.gamma["flops"], self.gamma["seconds"]
        said = [
            f"γ is {g.value:.2f} in FLOPs ({g.low:.2f} to {g.high:.2f}) and {s.value:.2f} in seconds "
            f"({s.low:.2f} to {s.high:.2f})."
        ]
        for name in ("paper", "mlem"):
            best = self.methods[name].best
            if best and best.flops:
                said.append(
                    f"{self.methods[name].title}: at best {_in_words(best.flops)} in FLOPs than EM's cheapest way, at RMSE "
                    f"{best.target:.3g}" + (f", and {_in_words(best.seconds)} in seconds there." if best.seconds else ".")
                )
        return " ".join(said)


def _in_words(ratio: Estimate) -> str:
    if ratio.value >= 1:
        return f"{ratio.value:.3g} × cheaper ({ratio.low:.3g} to {ratio.high:.3g})"
    return f"{1 / ratio.value:.3g} × dearer ({1 / ratio.high:.3g} to {1 / ratio.low:.3g})"


def run(params: FacesParams, report: Report | None = None) -> FacesResult:
    """The measurement of the shipped ladder: the stored one where there is one for ``params``, unless it is to be made anew."""
    measured = None if params.fresh == "yes" else faces_store.load(params)
    return judge(measured or faces_store.measure(params, report))


def judge(measured: Measured) -> FacesResult:
    """Everything that a measurement says."""
    flops, seconds = measured.flops / GFLOP, measured.seconds
    by_method = {name: runs for name in METHODS if (runs := gather(measured, name)) is not None}
    targets = _targets(by_method["em"])
    curves = {
        unit: {name: envelope(runs, runs.evaluations @ prices, targets) for name, runs in by_method.items()}
        for unit, prices in (("flops", flops), ("seconds", seconds))
    }
    methods = {name: _facts(name, curves, targets) for name in by_method}
    below = slice(0, len(flops) - 1)  # the finest level is what the others are compared with
    gamma = {
        unit: cost_exponent(measured.bias[:, below], prices[below]) for unit, prices in (("flops", flops), ("seconds", seconds))
    }
    losses, errors = measured.held_out.T
    known = np.isfinite(losses).all()
    return FacesResult(
        levels=_levels(measured),
        gamma=gamma,
        gamma_held_out=exponent_with_floor(flops, losses, errors) if known and len(flops) > 3 else None,
        methods=methods,
        runs=tuple(_rows(measured)),
        pictures=len(measured.bias),
        reference=(
            f"the largest network, {FINE} steps of EM on the same noise"
            if measured.process == "sde"
            else f"the largest network, {ODE_REFERENCE} evaluations of {SAMPLERS['dpm++']}"
        ),
        device=measured.device,
        measured=measured,
    )


def gather(measured: Measured, method: str) -> Runs | None:
    """Runs of one method; a family of EM shares the level, one of ML-EM levels and steps."""
    chosen = [n for n, piece in enumerate(measured.pieces) if piece.method == method]
    if not chosen:
        return None
    keys: dict[tuple[int, ...], int] = {}
    family = [keys.setdefault(_family(measured.pieces[n]), len(keys)) for n in chosen]
    return Runs(
        family=np.array(family),
        evaluations=measured.evaluations[chosen],
        seconds=measured.evaluations[chosen] @ measured.seconds,
        squared=measured.squared[:, chosen],
    )


def called(evaluations: Float[np.ndarray, " levels"]) -> tuple[int, ...]:
    """The levels, counted from 1, that were evaluated at all."""
    return tuple((np.flatnonzero(evaluations) + 1).tolist())


def _family(piece: Piece) -> tuple[int, ...]:
    return (piece.levels, piece.steps) if piece.method in ("paper", "mlem") else (piece.levels,)


def _targets(em: Runs) -> Float[np.ndarray, " targets"]:
    return np.geomspace(em.errors.min() * _EDGE, em.errors.max() / _EDGE, TARGETS)


def _facts(name: str, curves: dict[str, dict[str, Envelope]], targets: Float[np.ndarray, " targets"]) -> MethodFacts:
    savings = tuple(
        Saving(float(t), *(speedup(curves[unit]["em"], curves[unit][name], float(t)) for unit in UNITS)) for t in targets
    )
    reached = [saving for saving in savings if saving.flops is not None]
    best = max(reached, key=lambda saving: saving.flops.low if saving.flops else 0.0, default=None)
    flops = curves["flops"][name]
    frontier = tuple((float(t), float(c)) for t, c in zip(targets, flops.costs, strict=True) if np.isfinite(c))
    return MethodFacts(METHODS[name], frontier, savings, best if name != "em" else None)


def _levels(measured: Measured) -> tuple[LevelFacts, ...]:
    count = len(measured.flops)
    return tuple(
        LevelFacts(
            level=k + 1,
            parameters=int(measured.parameters[k]),
            flops=int(measured.flops[k]),
            seconds=float(measured.seconds[k]),
            error=rmse(measured.bias[:, k]) if k < count - 1 else None,
            held_out=float(measured.held_out[k, 0]),
            held_out_error=float(measured.held_out[k, 1]),
            images=int(measured.images[k]),
        )
        for k in range(count)
    )


def _rows(measured: Measured) -> Sequence[Row]:
    rows = list[Row]()
    for n, (piece, error) in enumerate(zip(measured.pieces, rmses(measured.squared), strict=True)):
        rows.append(
            {
                "method": METHODS[piece.method],
                "levels": ", ".join(map(str, called(measured.evaluations[n]))),
                "steps": piece.steps,
                "mse": error.value**2,
                "rmse": error.value,
                "rmse low": error.low,
                "rmse high": error.high,
                "GFLOP": float(measured.evaluations[n] @ measured.flops) / GFLOP,
                "seconds": float(measured.evaluations[n] @ measured.seconds),
                **{f"calls of f{k}": float(calls) for k, calls in enumerate(measured.evaluations[n], start=1)},
            }
        )
    return rows


EXPERIMENT = Experiment("faces", "Do real networks obey? A ladder of UNets, measured.", FacesParams, run)
