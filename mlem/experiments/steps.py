"""Steps: does halving the step double the bill? Cost at a fixed error against the step size, for both methods."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

import mlem
from mlem.brownian import BrownianPath, RememberedPath
from mlem.errors import Estimate, bootstrap_means, rmse, squared_errors
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.measured import terms, unpriced
from mlem.experiments.params import Params, integer, number
from mlem.experiments.result import Result, Row, to_json
from mlem.fits import slopes
from mlem.hierarchy import Hierarchy
from mlem.jobs import Step, sliced
from mlem.march import Report
from mlem.planning import ErrorModel, reference, steps_at
from mlem.probabilities import call_prices, water_filling
from mlem.sde import SDE
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

GAMMAS = (1.0, 2.5, 4.0)
"""Below the kink, near the networks of the paper, and deep above it."""

DOUBLINGS = 6
_STORE = Path(__file__).with_name("steps.json")
_FIRINGS = ("bernoulli", "systematic", "nested")
_KICKS_SPREAD = (3.0, 1.7, 1.0, 0.6, 0.3)  # of the mean square that may be added, around which the target lies
_STEP_SHARE, _BIAS_SHARE = 0.25, 0.45  # of ε, for the coarsest step and for the bias of the top level


@dataclass(frozen=True)
class StepsParams(Params):
    """At what error, and over which steps."""

    sde: str = fields.sde("forced-ou")
    epsilon: float = number(
        0.05,
        low=0.01,
        high=0.2,
        offered=(0.02, 0.05, 0.1),
        label="Error ε",
        help="The RMSE at T that both methods keep while the step shrinks.",
    )
    firing: str = fields.firing(_FIRINGS)
    doublings: int = integer(DOUBLINGS, low=2, high=8, label="Halvings of h", help="How often the step is halved.")
    residual: str = fields.residual()
    paths: int = fields.swept_paths()
    seed: int = fields.seed("Of the initial states, the noise and the coins.")


@dataclass(frozen=True)
class Point:
    """ML-EM at one step size: the ``cost`` at which its RMSE is ε, in f¹ evaluations, by interpolation between runs around it;
    EM's cost with the same step, and calls per unit time of each level."""

    gamma: float
    steps: int
    firing: str
    cost: Estimate
    em_cost: float
    calls: tuple[float, ...]


@dataclass(frozen=True)
class StepsResult(Result):
    """``slopes``: by γ, the exponent of ML-EM's cost in 1/h; EM's is 1. ``limit``: the Poisson solver
    with the finest step, by γ. ``em_rmse`` and ``levels`` say at which error and with which top level EM ran."""

    epsilon: float
    horizon: float
    levels: int
    em_rmse: tuple[tuple[int, Estimate], ...]
    points: tuple[Point, ...]
    limit: tuple[Point, ...]
    slopes: dict[str, Estimate]

    def rows(self) -> list[Row]:
        """One line per γ and step size."""
        return [
            {
                "gamma": p.gamma,
                "firing": p.firing,
                "steps": p.steps,
                "h": self.horizon / p.steps,
                "ML-EM": p.cost.value,
                "low": p.cost.low,
                "high": p.cost.high,
                "EM": p.em_cost,
            }
            for p in (*self.points, *self.limit)
        ]

    def summary(self) -> str:
        """How both costs grow, by γ."""
        said = [f"γ = {gamma}: {s.value:.3f} ({s.low:.3f} to {s.high:.3f})" for gamma, s in self.slopes.items()]
        return f"At RMSE {self.epsilon:g}, EM's cost grows with 1/h by exponent 1; ML-EM's by " + ", ".join(said) + "."


def run(params: StepsParams, report: Report | None = None) -> StepsResult:
    """All step sizes for all γ. A run's error does not depend on γ but its best probabilities do, so each γ has its own."""
    sde = mlem.problems.get(params.sde)
    top = math.ceil(-math.log2(_BIAS_SHARE * params.epsilon))
    levels = unpriced(sde, top, params.residual)
    model = terms(sde, top, params.residual, params.firing)
    first = math.ceil(steps_at(model, _STEP_SHARE * params.epsilon))
    ground = _Ground(sde, levels, params, first)
    points, limit, em_rmse = [], [], []
    for n in range(params.doublings + 1):
        steps = first * 2**n
        em_rmse.append((steps, ground.euler(steps)))
        points += [ground.point(model, gamma, steps, params.firing) for gamma in GAMMAS]
        if report:
            report((n + 1) / (params.doublings + 2))
    poisson = model if params.firing == "bernoulli" else terms(sde, top, params.residual, "bernoulli")
    limit = [ground.point(poisson, gamma, first * 2**params.doublings, "poisson") for gamma in GAMMAS]
    if report:
        report(1.0)
    fitted = {f"{gamma:g}": _slope([p for p in points if p.gamma == gamma], sde.horizon) for gamma in GAMMAS}
    return StepsResult(params.epsilon, sde.horizon, top, tuple(em_rmse), tuple(points), tuple(limit), fitted)


def steps(params: StepsParams, start: int = 0) -> Generator[Step[StepsResult], None, None]:
    """The experiment as a job of one part."""
    result = yield from sliced(partial(run, params))
    yield 1.0, result


def load(params: StepsParams) -> StepsResult | None:
    """The result that ships with the package, if it is of ``params``."""
    stored = _stored()
    return stored[1] if stored and stored[0] == params else None


def rebuild() -> Iterator[float]:
    """Makes and writes the result that ships, that of the defaults."""
    params = StepsParams()
    _STORE.write_text(to_json("steps", params, run(params)), encoding="utf-8")
    yield 1.0


@cache
def _stored() -> tuple[StepsParams, StepsResult] | None:
    if not _STORE.exists():
        return None
    content = json.loads(_STORE.read_text(encoding="utf-8"))
    result = content["result"]

    def point(made: dict[str, Any]) -> Point:
        return Point(**{**made, "cost": Estimate(**made["cost"]), "calls": tuple(made["calls"])})

    restored = StepsResult(
        epsilon=result["epsilon"],
        horizon=result["horizon"],
        levels=result["levels"],
        em_rmse=tuple((steps, Estimate(**error)) for steps, error in result["em_rmse"]),
        points=tuple(map(point, result["points"])),
        limit=tuple(map(point, result["limit"])),
        slopes={gamma: Estimate(**slope) for gamma, slope in result["slopes"].items()},
    )
    return StepsParams(**content["params"]), restored


class _Ground:
    """The paths that all runs share, and the runs."""

    def __init__(self, sde: SDE, levels: Hierarchy, params: StepsParams, first: int) -> None:
        self._sde, self._levels, self._params = sde, levels, params
        finest = first * 2**params.doublings
        fine = finest if sde.exact is not None else 4 * finest
        path = BrownianPath(params.paths, sde.shape, fine, sde.horizon, params.seed)
        self._initial = sde.initial(params.paths, params.seed)
        self._end = reference(sde, path, self._initial, [fine])[-1]
        self._path = RememberedPath(path)
        self._coins = 0  # sets of coins that have been thrown: each point has its own

    def euler(self, steps: int) -> Estimate:
        """EM's RMSE with the top level."""
        end = euler_maruyama(self._sde, self._levels[-1], steps=steps, path=self._path, initial=self._initial).final
        return rmse(squared_errors(end, self._end))

    def point(self, model: ErrorModel, gamma: float, steps: int, firing: str) -> Point:
        """Runs with several amounts of added error, and the cost at ε between them."""
        epsilon, paths, top = self._params.epsilon, self._params.paths, len(self._levels)
        prices = 2.0 ** (gamma * np.arange(top))
        effect = np.maximum(model.kicks, 1e-300) * float(steps) ** -model.order
        budget = epsilon**2 - model.floor(top, steps)
        price = steps * call_prices(prices, firing)
        p = np.stack([water_filling(effect, price, error=b * budget, order=model.order) for b in _KICKS_SPREAD])
        copies = len(p)
        done = multilevel_euler_maruyama(
            self._sde,
            self._levels,
            torch.from_numpy(p).repeat_interleave(paths, dim=0).T.unsqueeze(0),
            steps=steps,
            path=self._path.copies(copies, first=self._coins),
            initial=self._initial.repeat(copies, *(1 for _ in self._sde.shape)),
            firing=firing,
            draws="per-path",
            seed=self._params.seed,
        )
        self._coins += copies * paths
        squared = squared_errors(done.final, self._end.repeat(copies, *(1 for _ in self._sde.shape))).reshape(copies, paths)
        counts = done.ledger.by_coins.reshape(top, copies, paths).mean(2)
        cost, weights = _at_error(squared.T, prices @ counts, epsilon)
        calls = counts @ weights / self._sde.horizon
        return Point(gamma, steps, firing, cost, float(steps * prices[-1]), tuple(calls.tolist()))


def _at_error(
    squared: Float[np.ndarray, "paths runs"], costs: Float[np.ndarray, " runs"], epsilon: float
) -> tuple[Estimate, Float[np.ndarray, " runs"]]:
    """The cost at RMSE ε by a straight line through the runs in log–log, its interval from resampled paths; and how much each
    run counts, for what else is to be read at ε."""
    x = 0.5 * np.log(np.vstack([squared.mean(0), bootstrap_means(squared)])) - math.log(epsilon)
    y = np.log(costs)
    centred = x - x.mean(1, keepdims=True)
    slope = (centred @ (y - y.mean())) / np.square(centred).sum(1)
    at = np.exp(y.mean() - slope * x.mean(1))
    low, high = np.quantile(at[1:], [0.025, 0.975])
    nearness = np.exp(-np.square(x[0]) / (2 * 0.1**2))
    return Estimate(float(at[0]), float(low), float(high)), nearness / nearness.sum()


def _slope(points: list[Point], horizon: float) -> Estimate:
    """The exponent of cost in 1/h. Runs of different step sizes have their own coins, so that their errors are independent."""
    x = np.log([p.steps / horizon for p in points])
    y = np.log([p.cost.value for p in points])
    deviation = np.array([math.log(p.cost.high / p.cost.low) for p in points]) / (2 * 1.96)
    value = float(slopes(x, y[None])[0])
    spread = 1.96 * float(np.sqrt(np.square(deviation * (x - x.mean())).sum()) / np.square(x - x.mean()).sum())
    return Estimate(value, value - spread, value + spread)


EXPERIMENT = Experiment("steps", "Does halving the step double the bill? Cost at a fixed error.", StepsParams, run)
