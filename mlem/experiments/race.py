"""Race: Euler–Maruyama and ML-EM to the same accuracy on the same noise. Who pays less?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import mlem
from mlem.brownian import BrownianPath
from mlem.errors import Estimate, bootstrap_means, rmse, squared_errors
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice, integer, number
from mlem.experiments.plans import EPSILONS, LEVELS, RULES, SPECTRAL, Plans, Question, plans
from mlem.experiments.result import Result, Row, unexported
from mlem.firing import DRAWS, as_probabilities, calls_of_first_path
from mlem.hierarchy import Hierarchy
from mlem.march import Report, Solution
from mlem.planning import common_grid, reference
from mlem.probabilities import error_order
from mlem.sde import SDE, Drift
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

FRAMES, BINS, SHOWN_PATHS = 120, 480, 200
_GROUPS = 16  # of paths that share their coins: enough for an interval


@dataclass(frozen=True)
class RaceParams(Params):
    """What is raced."""

    sde: str = fields.sde("forced-ou", more={SPECTRAL: "Sum of many modes: real work"})
    gamma: float = fields.gamma()
    epsilon: float = number(
        0.05,
        low=1e-3,
        high=0.5,
        offered=EPSILONS,
        label="Target error ε",
        help="The RMSE at T that both methods are planned to reach, each in its cheapest way.",
    )
    firing: str = fields.firing()
    rule: str = choice(
        "optimal",
        choices=RULES,
        label="Probabilities pₖ",
        help="The shape of pₖ over levels. Its scale is found from the target error.",
    )
    levels: int = fields.levels(LEVELS, "Levels on offer; each method uses what it needs.")
    residual: str = fields.residual()
    draws: str = choice(
        "per-path",
        choices=dict(zip(reversed(DRAWS), ("Per path", "Shared by a batch"), strict=True)),
        label="Coins",
        help="Own coins for each path, or one set for a batch, as a GPU likes it.",
    )
    paths: int = integer(
        256, low=16, high=4096, offered=(64, 256, 1024), label="Paths", help="Number of paths over which the error is measured."
    )
    seed: int = fields.seed("Of the initial states, the noise and the coins.")
    dim: int | None = integer(
        None, low=1, high=256, label="Dimension", help="Of the state, for an SDE that has the choice; empty means its own."
    )
    noise: float | None = number(
        None,
        low=0.0,
        high=2.0,
        label="Noise",
        help="The noise coefficient, for an SDE that has the choice; empty means its own.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws == "shared" and self.paths % _GROUPS:
            raise ValueError(f"paths takes a multiple of {_GROUPS} where coins are shared, got {self.paths}")
        options = self.question().options
        if self.sde == SPECTRAL:
            fields.check_spectral_levels(self.gamma, self.levels)
            if options:
                raise ValueError(f"{options[0][0]} is not an option of {SPECTRAL}, which takes none")
        else:
            mlem.problems.get(self.sde, **dict(options))  # raises for an option that the SDE does not have

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Drops options that the SDE does not have, and rounds paths to whole groups."""
        notices = list[str]()
        values = dict(values)
        sde = values.get("sde", cls.sde)
        known = () if sde == SPECTRAL else mlem.problems.options(sde)
        if sde == SPECTRAL:
            values, notices = fields.mend_spectral_levels(values, cls.gamma, cls.levels)
        for option in ("dim", "noise"):
            if values.get(option) is not None and option not in known:
                notices.append(f"{option} is not an option of {sde}. It is left out.")
                del values[option]
        if values.get("draws") == "shared" and values.get("paths", cls.paths) % _GROUPS:
            values["paths"] = max(_GROUPS, values["paths"] // _GROUPS * _GROUPS)
            notices.append(f"paths takes a multiple of {_GROUPS} where coins are shared. It is now {values['paths']}.")
        return values, notices

    def question(self) -> Question:
        """What has to be planned."""
        given = {name: getattr(self, name) for name in ("dim", "noise") if getattr(self, name) is not None}
        return Question(
            self.sde, self.gamma, self.epsilon, self.firing, self.rule, self.levels, self.residual, tuple(given.items())
        )


@dataclass(frozen=True)
class Runner:
    """What one method did, per path. ``levels`` are the numbers (from 1) of the levels that it used; ``evaluations``,
    ``expected`` and ``z`` belong to them."""

    levels: tuple[int, ...]
    steps: int
    probabilities: tuple[float, ...]
    evaluations: tuple[float, ...]
    expected: tuple[float, ...]
    z: tuple[float, ...]
    cost: float
    rmse: Estimate
    seconds: float


@dataclass(frozen=True)
class Playback:
    """What the stage shows: positions (frames + 1, paths, dim) by method, the first path's calls (bins, levels) and the bills
    (frames + 1, levels) in units of one evaluation of f¹."""

    horizon: float
    axes: tuple[str, ...]
    paths: dict[str, Float[np.ndarray, "frames paths dim"]]
    raster: dict[str, Float[np.ndarray, "bins levels"]]
    bills: dict[str, Float[np.ndarray, "frames levels"]]


@dataclass(frozen=True)
class RaceResult(Result):
    """Both methods at the target. ``speedup`` is EM's cost over ML-EM's; its interval says how well it is known that the errors
    are equal, with the local exponents of cost in error that are 1 for EM and 2 (coins) or 1 (even calls) for ML-EM.
    ``speedup_in_seconds`` is measured, overhead included: it means something where levels do real work, on spectral ones."""

    target: float
    em: Runner
    mlem: Runner
    speedup: Estimate
    speedup_in_seconds: float
    reference: str
    playback: Playback = unexported()  # noqa: RUF009  # a field, not a value

    def rows(self) -> list[Row]:
        """One line per method and level."""
        return [
            {
                "method": name,
                "level": level,
                "steps": runner.steps,
                "p": p,
                "evaluations": n,
                "expected": expected,
                "z": z,
                "rmse": runner.rmse.value,
                "rmse low": runner.rmse.low,
                "rmse high": runner.rmse.high,
                "cost": runner.cost,
            }
            for name, runner in (("EM", self.em), ("ML-EM", self.mlem))
            for level, p, n, expected, z in zip(
                runner.levels, runner.probabilities, runner.evaluations, runner.expected, runner.z, strict=True
            )
        ]

    def summary(self) -> str:
        """The outcome in a sentence."""
        s = self.speedup
        how = f"{s.value:.3g} × cheaper" if s.value >= 1 else f"{1 / s.value:.3g} × dearer"
        low, high = (s.low, s.high) if s.value >= 1 else (1 / s.high, 1 / s.low)
        return (
            f"At a target RMSE of {self.target:g}, ML-EM (RMSE {self.mlem.rmse.value:.3g}) is {how} than EM "
            f"(RMSE {self.em.rmse.value:.3g}); between {low:.3g} and {high:.3g} × allowing for both errors' intervals."
        )


def run(params: RaceParams, report: Report | None = None) -> RaceResult:
    """Plans both methods for the target, then runs them on fresh noise and judges them by one reference.

    Raises planning.Unreachable where the levels cannot meet the target, NonFiniteStep where a run blows up.
    """
    tell = report or (lambda done: None)
    question = params.question()
    sde, levels, plan = question.problem(), question.hierarchy(), plans(question)
    tell(0.3)
    grid = common_grid(sde, plan.em.steps, plan.mlem.steps)
    em = _run_em(sde, levels[plan.em.level - 1].drift, plan.em.steps, params.paths, grid, params.seed)
    tell(0.5)
    used = levels[: len(plan.mlem.probabilities)]
    multi = _run_multilevel(params, sde, used, plan, grid)
    tell(0.7)
    states = _reference_states(sde, params.paths, grid, params.seed)
    tell(1.0)
    return _judge(params, sde, levels, plan, grid, em, multi, states)


@lru_cache(maxsize=16)
def _run_em(sde: SDE, drift: Drift, steps: int, paths: int, grid: int, seed: int) -> Solution:
    """Euler–Maruyama, whose evaluations are counted, not priced: where γ alone moves, so do prices alone."""
    path = BrownianPath(paths, sde.shape, grid, sde.horizon, seed)
    return euler_maruyama(sde, drift, steps=steps, path=path, initial=sde.initial(paths, seed), save=_saved(steps))


def _run_multilevel(params: RaceParams, sde: SDE, used: Hierarchy, plan: Plans, grid: int) -> list[Solution]:
    """One solution, or where coins are shared one for each group that shares them."""
    groups = 1 if params.draws == "per-path" else _GROUPS
    batch = params.paths // groups
    solve = partial(
        multilevel_euler_maruyama,
        sde,
        used,
        plan.mlem.probabilities,
        steps=plan.mlem.steps,
        firing=params.firing,
        draws=params.draws,
        save=_saved(plan.mlem.steps),
    )
    return [
        solve(
            path=BrownianPath(batch, sde.shape, grid, sde.horizon, params.seed, first=g * batch),
            initial=sde.initial(batch, params.seed, first=g * batch),
            seed=params.seed + g * (fields.MAX_SEED + 1),
        )
        for g in range(groups)
    ]


@lru_cache(maxsize=16)
def _reference_states(sde: SDE, paths: int, grid: int, seed: int) -> Float[Tensor, "frames paths *shape"]:
    """The reference at the frames' times. A control that leaves the noise alone finds it made."""
    path = BrownianPath(paths, sde.shape, grid, sde.horizon, seed)
    fine = np.linspace(0, grid, FRAMES + 1)
    indices = sorted({int(n) for x in fine for n in (math.floor(x), math.ceil(x))})
    return _at_frames(reference(sde, path, sde.initial(paths, seed), indices), indices, grid)


def _saved(steps: int) -> list[int]:
    """The steps around each frame's time."""
    return sorted({int(n) for x in np.linspace(0, steps, FRAMES + 1) for n in (math.floor(x), math.ceil(x))})


def _at_frames(states: Tensor, saved: Sequence[int], steps: int) -> Float[Tensor, "frames paths *shape"]:
    """States at the frames' times, linear between steps, as the scheme itself is."""
    at = np.linspace(0, steps, FRAMES + 1)
    place = {n: i for i, n in enumerate(saved)}
    low = torch.tensor([place[math.floor(x)] for x in at])
    high = torch.tensor([place[math.ceil(x)] for x in at])
    share = torch.from_numpy(at - np.floor(at)).view(-1, *(1 for _ in states.shape[1:])).to(states)
    return torch.lerp(states[low], states[high], share)


def _judge(
    params: RaceParams,
    sde: SDE,
    levels: Hierarchy,
    plan: Plans,
    grid: int,
    em: Solution,
    multi: list[Solution],
    states: Tensor,
) -> RaceResult:
    final = torch.cat([part.final for part in multi])
    squared = {"em": squared_errors(em.final, states[-1]), "mlem": squared_errors(final, states[-1])}
    shared = len(multi) if len(multi) > 1 else None
    calls = np.mean([part.ledger.calls for part in multi], axis=0)
    evaluations = calls.sum(0)
    ledger = multi[0].ledger
    top = len(plan.mlem.probabilities)
    runners = {
        "em": Runner(
            levels=(plan.em.level,),
            steps=plan.em.steps,
            probabilities=(1.0,),
            evaluations=tuple(em.evaluations.tolist()),
            expected=tuple(em.ledger.expected.tolist()),
            z=tuple(em.ledger.z.tolist()),
            cost=float(em.evaluations[0] * levels.costs[plan.em.level - 1]),
            rmse=rmse(squared["em"]),
            seconds=em.seconds,
        ),
        "mlem": Runner(
            levels=tuple(range(1, top + 1)),
            steps=plan.mlem.steps,
            probabilities=plan.mlem.probabilities,
            evaluations=tuple(evaluations.tolist()),
            expected=tuple(ledger.expected.tolist()),
            z=tuple((np.sum([part.ledger.z for part in multi], axis=0) / math.sqrt(len(multi))).tolist()),
            cost=float(evaluations @ levels.costs[:top]),
            rmse=rmse(squared["mlem"], groups=shared),
            seconds=sum(part.seconds for part in multi),
        ),
    }
    spread = bootstrap_means(np.stack([_units(squared["em"], shared), _units(squared["mlem"], shared)], axis=1))
    relative = np.sqrt(spread / np.array([squared["em"].mean(), squared["mlem"].mean()]))
    ratio = runners["em"].cost / runners["mlem"].cost
    low, high = np.quantile(ratio * relative[:, 0] / relative[:, 1] ** (2 / error_order(params.firing)), [0.025, 0.975])
    return RaceResult(
        target=params.epsilon,
        em=runners["em"],
        mlem=runners["mlem"],
        speedup=Estimate(ratio, float(low), float(high)),
        speedup_in_seconds=runners["em"].seconds / runners["mlem"].seconds,
        reference="exact solution" if sde.exact is not None else f"Euler–Maruyama, {grid} steps of the true drift",
        playback=_playback(params, sde, levels, plan, grid, em, multi, calls, states),
    )


def _units(squared: Float[np.ndarray, " paths"], groups: int | None) -> Float[np.ndarray, " units"]:
    return squared if groups is None else squared.reshape(groups, -1).mean(1)


def _playback(
    params: RaceParams,
    sde: SDE,
    levels: Hierarchy,
    plan: Plans,
    grid: int,
    em: Solution,
    multi: list[Solution],
    calls: Float[np.ndarray, "rows levels"],
    states: Tensor,
) -> Playback:
    assert em.states is not None
    joined = torch.cat([part.states for part in multi if part.states is not None], dim=1)
    positions = {
        "reference": states,
        "em": _at_frames(em.states, em.saved, plan.em.steps),
        "mlem": _at_frames(joined, multi[0].saved, plan.mlem.steps),
    }
    shown = {name: x.flatten(2)[:, :SHOWN_PATHS, list(sde.view)].numpy().astype(np.float32) for name, x in positions.items()}
    # EM's columns begin at its own level and end at the dearest that either method uses, as the stage wants them.
    top = max(plan.em.level, len(plan.mlem.probabilities))
    em_calls = np.zeros((plan.em.steps, top - plan.em.level + 1))
    em_calls[:, 0] = 1.0
    p = as_probabilities(plan.mlem.probabilities, len(plan.mlem.probabilities), plan.mlem.steps, 1)
    own = calls_of_first_path(params.firing, p, steps=plan.mlem.steps, fine=grid, seed=params.seed).numpy()
    own, calls = (np.pad(table, ((0, 0), (0, top - table.shape[1]))) for table in (own, calls))
    costs = levels.costs[:top] / levels.costs[0]
    return Playback(
        horizon=sde.horizon,
        axes=sde.axes,
        paths=shown,
        raster={"em": _binned(em_calls), "mlem": _binned(own)},
        bills={"em": filling(em_calls * costs[plan.em.level - 1 :], FRAMES), "mlem": filling(calls * costs, FRAMES)},
    )


def _binned(calls: Float[np.ndarray, "rows levels"]) -> Float[np.ndarray, "bins levels"]:
    """The share of rows in each bin of time with a call."""
    bins = min(BINS, len(calls))
    edges = np.round(np.linspace(0, len(calls), bins + 1)).astype(int)
    total = np.concatenate([np.zeros((1, calls.shape[1])), np.minimum(calls, 1.0).cumsum(0)])
    return (total[edges[1:]] - total[edges[:-1]]) / np.diff(edges)[:, None]


def filling(cost: Float[np.ndarray, "rows levels"], frames: int) -> Float[np.ndarray, "{frames}+1 levels"]:
    """What has been paid at each of ``frames`` equal frames, from 0. A step is paid for when it begins."""
    total = np.concatenate([np.zeros((1, cost.shape[1])), cost.cumsum(0)])
    return total[np.ceil(np.linspace(0, len(cost), frames + 1)).astype(int)]


EXPERIMENT = Experiment("race", "EM and ML-EM to the same accuracy on the same noise: who pays less?", RaceParams, run)
