"""Hierarchy: what does accuracy cost? The path errors of f^1, …, f^K, their prices, and the exponent γ read off both."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import mlem
from mlem.brownian import BrownianPath
from mlem.errors import Estimate, rmse, squared_errors
from mlem.experiments import fields
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice, integer
from mlem.experiments.result import Result, Row, digits, unexported
from mlem.fits import cost_exponent
from mlem.hierarchy import Hierarchy
from mlem.march import Report, Solution
from mlem.solvers import euler_maruyama
from mlem.synthetic import spectral_hierarchy, spectral_twins, synthetic_hierarchy

CURVE_POINTS = 201

_HIERARCHY_SEED = 0
_FIRST_SEED = 1_000_000
_TIMES = 12  # at which drifts are compared; the horizon's middle is among them


@dataclass(frozen=True)
class HierarchyParams(Params):
    """Which levels are measured, and on what."""

    kind: str = choice("synthetic", choices=fields.KINDS, label="Kind", help="How the levels are made.")
    sde: str = fields.sde(
        "double-well", help="The equation dX = f(X, t) dt + s(t) dW. Spectral levels have one of their own and ignore this."
    )
    gamma: float = fields.gamma()
    levels: int = fields.levels(6, help="How many levels are measured. Spectral levels with a large γ allow fewer.")
    residual: str = fields.residual(
        help="Whether the errors of all levels have one shape, or each level its own. Spectral levels ignore this."
    )
    paths: int = integer(
        256, low=16, high=4096, offered=(64, 256, 1024), label="Paths", help="Number of paths over which errors are measured."
    )
    seed: int = fields.seed("Of the initial states and the noise. The levels do not depend on it.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "spectral":
            fields.check_spectral_levels(self.gamma, self.levels)

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Leaves out the levels that a spectral hierarchy cannot have."""
        if values.get("kind", cls.kind) != "spectral":
            return values, []
        return fields.mend_spectral_levels(values, cls.gamma, cls.levels)


@dataclass(frozen=True)
class MeasuredLevel:
    """Level ``level`` (from 1): ``error``, the RMSE at T of replacing f by it; ``drift_error``, the root mean square of f^k − f
    along paths; ``cost`` of one evaluation, model units."""

    level: int
    error: Estimate
    drift_error: Estimate
    cost: float


@dataclass(frozen=True)
class Curves:
    """The drifts over ``x`` (points,) at the time ``t``: ``drift`` f (points,), ``levels`` f^k and ``residuals`` f^k − f
    (K, points). A state of several dimensions moves along coordinate ``coordinate`` (from 0) through the mean state, and that
    coordinate of the drift is shown."""

    t: float
    coordinate: int
    x: Float[np.ndarray, " points"]
    drift: Float[np.ndarray, " points"]
    levels: Float[np.ndarray, "levels points"]
    residuals: Float[np.ndarray, "levels points"]


@dataclass(frozen=True)
class HierarchyResult(Result):
    """``gamma`` is the slope of log cost against log(1/error), None where one level alone has none. ``sde`` and ``steps`` say
    on what the errors were measured."""

    levels: tuple[MeasuredLevel, ...]
    gamma: Estimate | None
    sde: str
    steps: int
    curves: Curves = unexported()  # noqa: RUF009  # a field, not a value

    def rows(self) -> list[Row]:
        """One line per level."""
        return [
            {
                "level": m.level,
                "error": m.error.value,
                "error low": m.error.low,
                "error high": m.error.high,
                "drift error": m.drift_error.value,
                "drift error low": m.drift_error.low,
                "drift error high": m.drift_error.high,
                "cost": m.cost,
            }
            for m in self.levels
        ]

    def summary(self) -> str:
        """The outcome in a sentence or two."""
        first, last = self.levels[0], self.levels[-1]
        if self.gamma is None:
            return f"{self.sde}: one level has no slope, so γ is not fitted. Its path error is {first.error.value:.3g}."
        g = self.gamma
        return (
            f"{self.sde}: from level {first.level} to level {last.level} the path error falls from {first.error.value:.3g} to "
            f"{last.error.value:.3g}, and an evaluation gets {digits(last.cost / first.cost)} × dearer. The slope is γ = "
            f"{g.value:.4g}, between {g.low:.4g} and {g.high:.4g}: halving the error costs {2**g.value:.3g} × as much."
        )


def run(params: HierarchyParams, report: Report | None = None) -> HierarchyResult:
    """Measures every level against f itself on the same noise, at the SDE's rough resolution: the error of the step, which they
    share, is no part of it.

    Raises NonFiniteStep where a run blows up.
    """
    tell = report or (lambda done: None)
    levels, simulated, errors = levels_of(params), _what_is_simulated(params), []
    for k in range(params.levels):
        tell((k + 1) / (params.levels + 2))
        errors.append(_errors(simulated, k))
    squared = np.stack([path for path, _ in errors], axis=1)
    result = HierarchyResult(
        levels=tuple(
            MeasuredLevel(k, rmse(path), rmse(drift), float(cost))
            for k, ((path, drift), cost) in enumerate(zip(errors, levels.costs, strict=True), start=1)
        ),
        gamma=cost_exponent(squared, levels.costs) if params.levels > 1 else None,
        sde=levels.sde.title,
        steps=levels.sde.resolution,
        curves=_curves(simulated),
    )
    tell(1.0)
    return result


def _what_is_simulated(params: HierarchyParams) -> HierarchyParams:
    """The parameters without what changes no path: γ only prices synthetic levels, and spectral ones have their own SDE."""
    if params.kind == "spectral":
        return dataclasses.replace(params, sde=HierarchyParams.sde, residual=HierarchyParams.residual)
    return dataclasses.replace(params, gamma=HierarchyParams.gamma)


def levels_of(params: HierarchyParams) -> Hierarchy:
    """The levels that are measured. Spectral ones without their work, which a measurement on many paths need not take."""
    if params.kind == "spectral":
        return _spectral_levels(params.gamma, params.levels)
    return synthetic_hierarchy(
        mlem.problems.get(params.sde), gamma=params.gamma, levels=params.levels, residual=params.residual, seed=_HIERARCHY_SEED
    )


def path_seed(params: HierarchyParams) -> int:
    """The seed of the paths, none of which a level was calibrated on."""
    return _FIRST_SEED + params.seed


@lru_cache(maxsize=16)
def _spectral_levels(gamma: float, levels: int) -> Hierarchy:
    return spectral_twins(spectral_hierarchy(gamma=gamma, levels=levels, seed=_HIERARCHY_SEED))


@lru_cache(maxsize=8)
def _paths(simulated: HierarchyParams) -> tuple[BrownianPath, Tensor, Solution]:
    """The noise, the initial states, and Euler–Maruyama with f itself, saved at ``_TIMES`` equally spaced steps."""
    sde = levels_of(simulated).sde
    path = BrownianPath(simulated.paths, sde.shape, sde.resolution, sde.horizon, path_seed(simulated))
    initial = sde.initial(simulated.paths, path.seed)
    save = [path.steps * m // _TIMES for m in range(_TIMES)]
    return path, initial, euler_maruyama(sde, sde.drift, steps=path.steps, path=path, initial=initial, save=save)


@lru_cache(maxsize=128)
def _errors(simulated: HierarchyParams, k: int) -> tuple[Float[np.ndarray, " paths"], Float[np.ndarray, " paths"]]:
    """Squared errors of each path: of its end when f^k (k from 0) replaces f, and of the drift along it, averaged over time."""
    levels = levels_of(simulated)
    sde, drift = levels.sde, levels[k].drift
    path, initial, exact = _paths(simulated)
    end = euler_maruyama(sde, drift, steps=path.steps, path=path, initial=initial).final
    assert exact.states is not None
    times = (n * sde.horizon / path.steps for n in exact.saved)
    along = [squared_errors(drift(x, t), sde.drift(x, t)) for x, t in zip(exact.states, times, strict=True)]
    return squared_errors(end, exact.final), np.mean(along, axis=0)


def _curves(simulated: HierarchyParams) -> Curves:
    """f and its levels over the range of the paths at mid-horizon."""
    levels = levels_of(simulated)
    sde, (path, _, exact) = levels.sde, _paths(simulated)
    assert exact.states is not None
    states, coordinate = exact.states[_TIMES // 2].flatten(1), sde.view[0]
    t = exact.saved[_TIMES // 2] * sde.horizon / path.steps
    x = torch.linspace(*states[:, coordinate].aminmax(), CURVE_POINTS, dtype=states.dtype)
    along = states.mean(0).repeat(CURVE_POINTS, 1)
    along[:, coordinate] = x
    along = along.view(CURVE_POINTS, *sde.shape)
    curves = [drift(along, t).flatten(1)[:, coordinate].numpy() for drift in (sde.drift, *(level.drift for level in levels))]
    f, approximations = curves[0], np.stack(curves[1:])
    return Curves(t, coordinate, x.numpy(), f, approximations, approximations - f)


EXPERIMENT = Experiment("hierarchy", "What does accuracy cost?", HierarchyParams, run)
