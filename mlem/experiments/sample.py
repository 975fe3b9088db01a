"""Sample: faces forming under EM with the largest network, under ML-EM with the whole ladder, and under a fine reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.errors import Estimate, rmse, squared_errors
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.faces import FacesParams, device, mend_device, precision
from mlem.experiments.faces_store import load
from mlem.experiments.params import Params, choice, integer, number, to_key
from mlem.experiments.result import Result, Row, unexported
from mlem.firing import calls_of_first_path
from mlem.images.data import to_bytes
from mlem.images.devices import device_of
from mlem.images.ladders import LADDERS, ladder, own
from mlem.images.pilot import Effects, Plan, measure_effects, plan
from mlem.images.process import PROCESSES, levels_of
from mlem.images.sweep import papers_plan
from mlem.march import Report, Solution, stretch
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

GRID = 768
"""Steps of the reference, and of the noise that all share; steps of both methods divide it."""

STEPS = (24, 32, 48, 64, 96, 128, 192, 256, 384)

FRAMES = 32

METHODS = ("mlem", "em", "reference")
"""In the order in which they are computed: the quickest first."""

_pilots = dict[tuple[tuple[str, ...], str, str], Effects]()
"""By the hashes of a ladder's weights, process and precision: few, and small."""


@dataclass(frozen=True)
class SampleParams(Params):
    """What is drawn, and how much ML-EM may spend on it."""

    process: str = choice(
        "ode", choices=PROCESSES, label="Process", help="The reverse SDE, or its probability-flow ODE without noise on the way."
    )
    steps: int = integer(
        192, low=16, high=GRID // 2, offered=STEPS, label="ML-EM's steps", help="Each evaluates at least the smallest network."
    )
    budget: float = number(
        30.0,
        low=1.0,
        high=2000.0,
        offered=(7.5, 15.0, 30.0, 60.0, 120.0),
        label="Budget, GFLOP",
        help="GFLOP per picture that ML-EM plans to spend. One evaluation of the largest network takes about 2.5.",
    )
    firing: str = choice(
        "systematic",
        choices={kind: fields.FIRINGS[kind] for kind in ("systematic", "bernoulli")},
        label="Firing",
        help="Even calls of the levels and with the pₖ(t) that a pilot found best, or coins with the paper's rule.",
    )
    em_steps: int = integer(
        48, low=16, high=GRID // 2, offered=STEPS, label="EM's steps", help="Each evaluates the largest network."
    )
    pictures: int = integer(8, low=1, high=32, offered=(4, 8), label="Pictures", help="Each has noise of its own.")
    precision: str = precision()
    device: str = device()
    seed: int = fields.seed("Of the pictures, the noise on the way and the calls.")
    ladder: str = choice(
        "shipped",
        choices=LADDERS,
        label="Networks",
        help="The ladder of networks. One of your own is on offer where MLEM_LADDERS names its folder or its place on the Hub.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        device_of(self.device)  # which raises for one that is not there
        for name in ("steps", "em_steps"):
            if GRID % getattr(self, name):
                raise ValueError(
                    f"{name} takes a divisor of {GRID}, got {getattr(self, name)}: try {_divisor(getattr(self, name))}"
                )

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Takes the nearest numbers of steps that divide the noise."""
        values, notices = mend_device(values)
        for name in ("steps", "em_steps"):
            if GRID % (asked := values.get(name, getattr(cls, name))):
                values[name] = _divisor(asked)
                notices.append(f"{to_key(name)} takes a divisor of {GRID}, got {asked}. It is now {values[name]}.")
        if values.get("ladder") == "own" and own() is None:
            values["ladder"] = cls.ladder
            notices.append(f"No ladder but the shipped one is on offer here. Networks are now {cls.ladder}.")
        return values, notices


@dataclass(frozen=True, eq=False)
class Drawn:
    """What one method drew: frames (FRAMES + 1, pictures, size, size, 3) as bytes, the end of each path, calls of each level by
    step (of the first picture; EM calls the largest only), distinct evaluations per picture with what was expected and how far
    off that is, and what it cost."""

    method: str
    steps: int
    frames: UInt8[np.ndarray, "frames pictures size size 3"]
    final: Float[Tensor, "pictures 3 size size"]
    calls: Float[np.ndarray, "steps levels"]
    evaluations: tuple[float, ...]
    expected: tuple[float, ...]
    z: tuple[float, ...]
    cost: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A method against the reference: mean square error over pixels with its interval over pictures, and of each picture."""

    steps: int
    evaluations: tuple[float, ...]
    expected: tuple[float, ...]
    z: tuple[float, ...]
    cost: float
    seconds: float
    mse: Estimate
    mse_by_picture: tuple[float, ...]


@dataclass(frozen=True)
class SampleResult(Result):
    """Both methods on the same noise; costs in GFLOP per picture."""

    em: Outcome
    mlem: Outcome
    saving: float
    saving_in_seconds: float
    reference: str
    drawn: dict[str, Drawn] = unexported()  # noqa: RUF009  # a field, not a value

    def rows(self) -> list[Row]:
        """One line per method and level."""
        rows = list[Row]()
        for name, side in (("EM", self.em), ("ML-EM", self.mlem)):
            for k, (n, e, z) in enumerate(zip(side.evaluations, side.expected, side.z, strict=True), start=1):
                calls: Row = {"method": name, "level": k, "steps": side.steps, "evaluations": n, "expected": e, "z": z}
                mse: Row = {"mse": side.mse.value, "mse low": side.mse.low, "mse high": side.mse.high}
                rows.append(calls | mse | {"GFLOP": side.cost, "seconds": side.seconds})
        return rows

    def summary(self) -> str:
        """Both errors and bills."""
        return (
            f"ML-EM: MSE {self.mlem.mse.value:.3g} ({self.mlem.mse.low:.3g} to {self.mlem.mse.high:.3g}) for "
            f"{self.mlem.cost:.3g} GFLOP and {self.mlem.seconds:.3g} s a picture. EM with the largest network: MSE "
            f"{self.em.mse.value:.3g} ({self.em.mse.low:.3g} to {self.em.mse.high:.3g}) for {self.em.cost:.3g} GFLOP and "
            f"{self.em.seconds:.3g} s. Reference: {self.reference}."
        )


def run(params: SampleParams, report: Report | None = None) -> SampleResult:
    """Draws by all three and judges them."""
    ends = np.linspace(0.0, 1.0, len(METHODS) + 1).tolist()
    return judge(
        {method: draw(params, method, stretch(report, *part)) for method, part in zip(METHODS, pairwise(ends), strict=True)}
    )


def draw(params: SampleParams, method: str, report: Report | None = None) -> Drawn:
    """The pictures of one of ``METHODS``. Picture i does not depend on how many are drawn."""
    place = device_of(params.device)
    levels = levels_of(ladder(params.ladder, place), params.process, precision=params.precision)
    sde = levels.sde
    path = BrownianPath(params.pictures, sde.shape, GRID, sde.horizon, params.seed, dtype=torch.float32, device=place)
    steps = {"mlem": params.steps, "em": params.em_steps, "reference": GRID}[method]
    shown = [round(x) for x in np.linspace(0, steps, FRAMES + 1)]
    solve: Callable[..., Solution] = partial(euler_maruyama, sde, levels[-1])
    found = Plan((len(levels),), torch.ones(steps, 1, dtype=torch.float64))  # the largest at each step
    calls = found.spread(np.ones((steps, 1)), len(levels))
    if method == "mlem":
        found = planned(params, levels.costs, stretch(report, 0.0, 0.0))  # a pilot is no part of the drawing
        used, p = found.chosen(levels), found.probabilities
        solve = partial(multilevel_euler_maruyama, sde, used, p, firing=params.firing, draws="shared", seed=params.seed)
        calls = planned_calls(params, found, len(levels))
    initial = sde.initial(params.pictures, params.seed, dtype=torch.float32, device=place)
    done = solve(steps=steps, path=path, initial=initial, save=sorted(set(shown)), report=report)
    assert done.states is not None
    at = {n: i for i, n in enumerate(done.saved)}
    frames = to_bytes(done.states[[at[n] for n in shown]]).permute(0, 1, 3, 4, 2).cpu().numpy()
    return Drawn(
        method=method,
        steps=steps,
        frames=frames,
        final=done.final.cpu(),
        calls=calls,
        evaluations=tuple(found.spread(done.evaluations, len(levels)).tolist()),
        expected=tuple(found.spread(done.ledger.expected, len(levels)).tolist()),
        z=tuple(found.spread(done.ledger.z, len(levels)).tolist()),
        cost=done.cost,
        seconds=done.seconds / params.pictures,
    )


def planned(params: SampleParams, costs: Float[np.ndarray, " levels"], report: Report | None = None) -> Plan:
    """For even calls the levels and the p_k(t_n) that the pilot says are best; for coins the paper's rule with all levels.
    ``report`` is told of a pilot that has to be run, and may raise to cancel it."""
    if params.firing == "bernoulli":
        most = params.steps * float(costs[-1])
        return papers_plan(costs, steps=params.steps, cost=min(params.budget, 0.999 * most))
    return plan(effects(params, report), costs, steps=params.steps, cost=params.budget, firing=params.firing)


def planned_calls(params: SampleParams, found: Plan, count: int) -> Float[np.ndarray, "steps levels"]:
    """Evaluations of each of ``count`` levels by step: known from the seed, before any network is evaluated."""
    p = found.probabilities.unsqueeze(-1)
    calls = calls_of_first_path(params.firing, p, steps=params.steps, fine=GRID, seed=params.seed)
    return found.spread(calls.numpy(), count)


def effects(params: SampleParams, report: Report | None = None) -> Effects:
    """The pilot of the stored measurement, or one that is run now and kept."""
    if params.ladder == "shipped" and (measured := load(FacesParams(process=params.process))):
        return measured.effects
    networks = ladder(params.ladder, place := device_of(params.device))
    key = (tuple(level.sha256 for level in networks.levels), params.process, params.precision)
    if key not in _pilots:
        _pilots[key] = measure_effects(
            levels_of(networks, params.process, precision=params.precision), device=place, report=report
        )
    return _pilots[key]


def judge(drawn: dict[str, Drawn]) -> SampleResult:
    """Errors against the reference."""
    em, mlem = (_outcome(drawn[name], drawn["reference"]) for name in ("em", "mlem"))
    return SampleResult(
        em=em,
        mlem=mlem,
        saving=em.cost / mlem.cost,
        saving_in_seconds=em.seconds / mlem.seconds,
        reference=f"EM with the largest network, {GRID} steps on the same noise",
        drawn=drawn,
    )


def _outcome(side: Drawn, reference: Drawn) -> Outcome:
    squared = squared_errors(side.final, reference.final)
    root = rmse(squared)
    mse = Estimate(root.value**2, root.low**2, root.high**2)
    same = {name: getattr(side, name) for name in ("steps", "evaluations", "expected", "z", "cost", "seconds")}
    return Outcome(**same, mse=mse, mse_by_picture=tuple(squared.tolist()))


def _divisor(wanted: int) -> int:
    divisors = [n for n in range(16, GRID // 2 + 1) if GRID % n == 0]
    return min(divisors, key=lambda n: abs(math.log(n / max(wanted, 1))))


EXPERIMENT = Experiment("sample", "Faces under EM and ML-EM on the same noise.", SampleParams, run)
