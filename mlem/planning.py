"""From a target ε to the cheapest configuration of each method that meets it.

A pilot measures the three terms of the mean square error (method, section 4) on the problem itself:

    MSE ≈ e_k² + s(N)² + Σ_k Q_k (n_k^−r − N^−r),

the bias of the top level, the step error, and what rare calls add, n_k = p_k N being the calls of level k. None of them depends
on γ: only prices do. The plan that the model suggests is then tried and corrected by simulation, since a model is not a
measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.errors import NonFiniteStep
from mlem.hierarchy import Hierarchy, Level
from mlem.ledger import Firing, expected_evaluations
from mlem.probabilities import call_prices, error_order, water_filling
from mlem.sde import SDE
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

FINE_GRIDS = (5040, 10080, 20160, 40320)
"""Fine grids with many divisors, so that a number of steps can be near any wish; each divides the next."""

_PILOT_SEED = (
    20_260_324  # apart from any seed a user is likely to choose: plans are made on other paths than they are judged on
)
_PILOT_PATHS, _PILOT_PATHS_HIGH_DIMENSION = 1024, 256  # in many dimensions one path is a sample of many coordinates
_PILOT_CALLS = 12  # calls of a level at which its kicks are measured: near what plans use
_REFERENCE_RATIO = 20  # a reference by Euler–Maruyama is this much finer than what it judges: its own error is 5 %
_MULTIPLES = np.geomspace(0.25, 4.0, 8)  # of the planned p, tried at once
_TRIALS = 8  # of a number of steps, or of a constant


class Unreachable(ValueError):
    """The target cannot be met with these levels; ``nearest`` can."""

    def __init__(self, epsilon: float, nearest: float) -> None:
        self.nearest = nearest
        super().__init__(
            f"epsilon takes a number ≥ {nearest:.3g} with these levels, got {epsilon:g}: add levels or ask for less"
        )


@dataclass(frozen=True)
class ErrorModel:
    """Measured terms: ``bias`` e_k (K,), step error s(N) at ``steps``, ``kicks`` Q_k (K,) of one kind of firing with its order r."""

    bias: Float[np.ndarray, " levels"]
    steps: Float[np.ndarray, " sizes"]
    step_error: Float[np.ndarray, " sizes"]
    kicks: Float[np.ndarray, " levels"]
    order: int

    def step(self, steps: float | Float[np.ndarray, " any"]) -> Float[np.ndarray, " any"]:
        """s(N): interpolated in log-log, of order one beyond the finest measured."""
        log_n, log_s = np.log(self.steps), np.log(self.step_error)
        x = np.log(steps)
        return np.exp(np.where(x > log_n[-1], log_s[-1] - (x - log_n[-1]), np.interp(x, log_n, log_s)))


@dataclass(frozen=True)
class EulerPlan:
    """Euler–Maruyama: ``level`` (1-based) and ``steps``."""

    level: int
    steps: int


@dataclass(frozen=True)
class MultilevelPlan:
    """ML-EM: ``steps`` and ``probabilities`` of the levels used; what is above is left out."""

    steps: int
    probabilities: tuple[float, ...]


def reference_grid(sde: SDE, steps: int) -> int:
    """The coarsest grid of the path on which ``steps`` steps can be judged: their own where the solution is exact, else one
    ``_REFERENCE_RATIO`` times finer."""
    if sde.exact is not None:
        return steps
    return next((fine for fine in FINE_GRIDS if fine >= _REFERENCE_RATIO * steps and fine % steps == 0), FINE_GRIDS[-1])


def allowed_steps(sde: SDE, wanted: float, grid: int | None = None) -> int:
    """The number of steps nearest to ``wanted`` in ratio that divides ``grid``, or whatever grid it would be judged on."""
    if grid is None and sde.exact is not None:
        return max(1, round(wanted))
    return divisor_near(wanted, grid or reference_grid(sde, math.ceil(wanted)))


def common_grid(sde: SDE, model: ErrorModel, euler_steps: int, epsilon: float) -> int:
    """A grid of the path on which both methods can be raced. Where the solution is exact that is a multiple of Euler–Maruyama's
    steps with many divisors; else the reference that either method needs anyway, since a finer one is dear."""
    if sde.exact is not None:
        return euler_steps * (60 if euler_steps <= 400 else 12)
    fewest = math.ceil(_invert(model, epsilon) * _FACTORS[1])
    return max(reference_grid(sde, euler_steps), reference_grid(sde, allowed_steps(sde, fewest)))


def reference(sde: SDE, path: BrownianPath, initial: Tensor, indices: Sequence[int]) -> Tensor:
    """X at fine steps ``indices`` of ``path``: exact where the SDE has a solution, else Euler–Maruyama on the fine grid."""
    if sde.exact is not None:
        return sde.exact(path, initial, indices)
    states = euler_maruyama(sde, sde.drift, steps=path.steps, path=path, initial=initial, save=indices).states
    assert states is not None
    return states


class Trials:
    """Paths for pilots, with their reference, shared by all plans for one SDE and fine grid."""

    def __init__(self, sde: SDE, fine: int) -> None:
        self.batch = _PILOT_PATHS if sde.numel <= 4 else _PILOT_PATHS_HIGH_DIMENSION
        self.path = BrownianPath(self.batch, sde.shape, fine, sde.horizon, _PILOT_SEED)
        self.initial = sde.initial(self.batch, _PILOT_SEED)
        self.end = reference(sde, self.path, self.initial, [fine])[-1]

    def squared(self, final: Tensor, against: Tensor | None = None) -> Float[Tensor, " batch"]:
        """Squared errors of each path, against the reference unless told otherwise."""
        return (final - (self.end if against is None else against)).square().flatten(1).mean(1)


@cache
def trials(sde: SDE, fine: int) -> Trials:
    """The trials of ``sde`` on ``fine``; made once."""
    return Trials(sde, fine)


@cache
def _step_errors(sde: SDE) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """s(N) of the true drift at a few N up to what the coarsest fine grid can judge."""
    pilot = trials(sde, FINE_GRIDS[0])
    sizes = np.array([n for n in (21, 42, 84, 168, 252) if n >= sde.resolution // 4])
    errors = []
    for n in sizes:
        end = euler_maruyama(sde, sde.drift, steps=int(n), path=pilot.path, initial=pilot.initial).final
        errors.append(float(pilot.squared(end).mean().sqrt()))
    return sizes.astype(float), np.maximum(errors, 1e-12)


def measure(sde: SDE, levels: Hierarchy, firing: str) -> ErrorModel:
    """The error model of ``levels`` for one kind of firing: bias and kicks against the finest level on the rough grid."""
    pilot, steps = trials(sde, FINE_GRIDS[0]), _rough_steps(sde)
    solve = {"steps": steps, "path": pilot.path, "initial": pilot.initial}
    exact = euler_maruyama(sde, sde.drift, **solve).final
    ends = [euler_maruyama(sde, level, **solve).final for level in levels]
    bias = np.array([float(pilot.squared(end, exact).mean().sqrt()) for end in ends])
    # Row i of the batch fires one level k(i) at p, all others always: the excess over the finest level is level k's own.
    order, p = error_order(firing), min(0.5, _PILOT_CALLS / steps)
    rows = torch.arange(pilot.batch) % max(1, len(levels) - 1) + 1
    rare = torch.ones(1, len(levels), pilot.batch, dtype=torch.float64)
    kicks = np.full(len(levels), np.nan)
    if len(levels) > 1:
        if firing == "held":  # has no coins, so each level takes a run of its own
            for k in range(1, len(levels)):
                q = [1.0 if j != k else p for j in range(len(levels))]
                end = multilevel_euler_maruyama(sde, levels, q, firing=firing, **solve).final
                kicks[k] = float(pilot.squared(end, ends[-1]).mean())
        else:
            rare[0, rows, torch.arange(pilot.batch)] = p
            end = multilevel_euler_maruyama(sde, levels, rare, firing=firing, draws="per-path", **solve).final
            excess = pilot.squared(end, ends[-1])
            for k in range(1, len(levels)):
                kicks[k] = float(excess[rows == k].mean())
        kicks /= (p * steps) ** -float(order) - float(steps) ** -float(order)
    sizes, step_error = _step_errors(sde)
    return ErrorModel(bias, sizes, step_error, kicks, order)


def plan_euler(sde: SDE, levels: Hierarchy, model: ErrorModel, epsilon: float) -> EulerPlan:
    """The cheapest (level, N) with RMSE ε: the model suggests two levels, trials find N for each."""
    suggestions = []
    for k in range(len(levels)):
        budget = epsilon**2 - model.bias[k] ** 2
        if budget > 0:
            steps = _invert(model, math.sqrt(budget))
            suggestions.append((steps * levels.costs[k], k, steps))
    if not suggestions:
        raise Unreachable(epsilon, 1.2 * float(model.bias.min()))
    found = [(k, _fewest_steps(sde, levels[k], steps, epsilon)) for _, k, steps in sorted(suggestions)[:2]]
    k, steps = min(found, key=lambda plan: plan[1] * levels.costs[plan[0]])
    return EulerPlan(k + 1, steps)


def _fewest_steps(sde: SDE, level: Level, guess: float, epsilon: float) -> int:
    """The number of steps whose RMSE in trials is nearest to ε, on the first branch from below."""

    def error(wanted: float) -> float:
        steps = allowed_steps(sde, wanted)
        pilot = trials(sde, reference_grid(sde, steps))
        try:
            end = euler_maruyama(sde, level, steps=steps, path=pilot.path, initial=pilot.initial).final
        except NonFiniteStep:
            return 1e3 * epsilon
        return float(pilot.squared(end).mean().sqrt())

    return allowed_steps(sde, _search(error, guess, epsilon, order=1.0, tolerance=0.003, same=lambda x: allowed_steps(sde, x)))


def _search(
    error: Callable[[float], float],
    guess: float,
    epsilon: float,
    *,
    order: float,
    tolerance: float,
    same: Callable[[float], float] = float,
) -> float:
    """The x among those tried whose error, which falls about like x^−order, is nearest to ε: a bracket, then interpolation in
    logarithms. Stops within ``tolerance``, or where the next x is the ``same`` as one of the bracket."""
    below: tuple[float, float] | None = None  # (x, error/ε > 1)
    above: tuple[float, float] | None = None  # (x, error/ε ≤ 1)
    tried: list[tuple[float, float]] = []
    x = guess
    for _ in range(_TRIALS):
        ratio = error(x) / epsilon
        tried.append((abs(math.log(ratio)), x))
        if ratio <= 1.0:
            above = (x, ratio)
        else:
            below = (x, ratio)
        if abs(ratio - 1.0) <= tolerance:
            break
        if below and above:
            slope = math.log(above[1] / below[1]) / math.log(above[0] / below[0])
            x = below[0] * math.exp(-math.log(below[1]) / slope)
        else:
            x *= min(4.0, max(0.25, ratio ** (1 / order)))
        if any(end and same(end[0]) == same(x) for end in (below, above)):
            break
    return min(tried)[1]


def plan_multilevel(sde: SDE, levels: Hierarchy, model: ErrorModel, epsilon: float, firing: str, grid: int) -> MultilevelPlan:
    """The cheapest (K, N, p) with RMSE ε and N a divisor of ``grid``: by the model, then p scaled by trial."""
    aim = epsilon
    for _ in range(3):
        steps, p = _cheapest(sde, levels, model, aim, firing, grid)
        fitted = _scaled_to(sde, levels[: len(p)], steps, p, epsilon, firing)
        if fitted is not None:
            return MultilevelPlan(steps, tuple(fitted.tolist()))
        aim *= 0.8  # bias and step error alone exceed the target: leave them less
    raise Unreachable(epsilon, 1.5 * float(model.bias.min()))


def _cheapest(
    sde: SDE, levels: Hierarchy, model: ErrorModel, epsilon: float, firing: str, grid: int
) -> tuple[int, Float[np.ndarray, " levels"]]:
    best: tuple[float, int, Float[np.ndarray, " levels"]] | None = None
    prices = call_prices(levels.costs, firing)
    lowest = _invert(model, epsilon)
    candidates = {allowed_steps(sde, lowest * factor, grid) for factor in _FACTORS}
    candidates = {steps for steps in candidates if reference_grid(sde, steps) <= grid}
    for steps in sorted(candidates):
        for top in range(1, len(levels) + 1):
            budget = epsilon**2 - model.bias[top - 1] ** 2 - float(model.step(steps)) ** 2
            if budget <= 0.02 * epsilon**2:
                continue
            p = np.ones(top)
            if top > 1:
                effect = np.maximum(model.kicks[1:top], 1e-300) * float(steps) ** -model.order
                p[1:] = water_filling(effect, steps * prices[1:top], error=budget, order=model.order)
            cost = _expected_cost(firing, p, steps, levels.costs[:top])
            if best is None or cost < best[0]:
                best = (cost, steps, p)
    if best is None:
        raise Unreachable(epsilon, 1.5 * float(model.bias.min()))
    return best[1], best[2]


_FACTORS = (1.05, 1.15, 1.3, 1.5, 1.8, 2.2, 3.0, 4.0)  # of the fewest steps that could do


def _scaled_to(
    sde: SDE, levels: Hierarchy, steps: int, p: Float[np.ndarray, " levels"], epsilon: float, firing: str
) -> Float[np.ndarray, " levels"] | None:
    """p times the constant with which the RMSE is ε; None if no constant is enough.

    Trials of several multiples at once show how the error falls; then the constant is tried on all paths and corrected.
    """
    multiples = np.repeat(_MULTIPLES, _PILOT_PATHS // len(_MULTIPLES))
    squared = _try(sde, levels, steps, _scale(p, multiples), firing)
    fit = _fit_kicks(squared.reshape(len(_MULTIPLES), -1).mean(1))
    guess = fit.multiple(epsilon)
    if guess is None:
        return None

    def error(m: float) -> float:
        return math.sqrt(_try(sde, levels, steps, _scale(p, np.full(1, m)), firing).mean())

    return _scale(p, np.full(1, _search(error, guess, epsilon, order=fit.order / 2, tolerance=0.03)))[:, 0]


def _scale(p: Float[np.ndarray, " levels"], multiples: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "levels rows"]:
    """p·m for each m, at most 1; what always fires goes on doing so."""
    scaled = np.minimum(1.0, p[:, None] * multiples)
    scaled[p == 1.0] = 1.0
    return scaled


def _try(
    sde: SDE, levels: Hierarchy, steps: int, p: Float[np.ndarray, "levels rows"], firing: str
) -> Float[np.ndarray, " paths"]:
    """Squared errors in trials of probabilities that are the same for all paths (one row) or each path's own."""
    pilot = trials(sde, reference_grid(sde, steps))
    solve = {"steps": steps, "path": pilot.path, "initial": pilot.initial, "firing": firing, "seed": _PILOT_SEED}
    if firing == "held":  # has no coins: a solve for each different row
        rows = np.unique(p, axis=1)
        each = [pilot.squared(multilevel_euler_maruyama(sde, levels, row, **solve).final).numpy() for row in rows.T]
        return np.concatenate([e[: len(e) // len(each)] for e in each])
    share = p if p.shape[1] == 1 else p[:, np.linspace(0, p.shape[1] - 1, pilot.batch).round().astype(int)]
    end = multilevel_euler_maruyama(sde, levels, torch.from_numpy(share)[None], draws="per-path", **solve).final
    return pilot.squared(end).numpy()


@dataclass(frozen=True)
class _KickFit:
    """MSE(m) = floor + kick·m^−order over multiples m of a plan's probabilities."""

    floor: float
    kick: float
    order: float

    def multiple(self, epsilon: float) -> float | None:
        """The m with RMSE ε; None where the floor leaves no room, or far beyond what was tried."""
        room = epsilon**2 - self.floor
        if room <= 0.03 * epsilon**2:
            return None
        m = (self.kick / room) ** (1 / self.order)
        return None if m > 2 * _MULTIPLES[-1] else max(m, _MULTIPLES[0] / 2)


def _fit_kicks(mse: Float[np.ndarray, " multiples"]) -> _KickFit:
    """Least squares in logarithms, with an order between that of coins and of even calls."""
    x, y = np.log(_MULTIPLES), np.log(mse)

    def misfit(theta: Float[np.ndarray, " three"]) -> Float[np.ndarray, " multiples"]:
        return np.logaddexp(theta[0], theta[1] - theta[2] * x) - y

    start = (y[-1] - 1.0, y[len(y) // 2], 1.5)
    lowest = (y.min() - 12.0, y.min() - 12.0, 0.7)
    floor, kick, order = least_squares(misfit, start, bounds=(lowest, (y.max(), y.max() + 6.0, 2.5))).x
    return _KickFit(math.exp(floor), math.exp(kick), order)


def _expected_cost(firing: str, p: Float[np.ndarray, " levels"], steps: int, costs: Float[np.ndarray, " levels"]) -> float:
    grid = torch.from_numpy(p)[None, :, None]
    return float(expected_evaluations(Firing(firing, grid, steps, steps, 1)) @ costs)


def _invert(model: ErrorModel, step_error: float) -> float:
    """The N at which s(N) is ``step_error``."""
    log_n, log_s = np.log(model.steps), np.log(model.step_error)
    wanted = math.log(step_error)
    if wanted <= log_s[-1]:
        return math.exp(log_n[-1] + log_s[-1] - wanted)
    return float(np.exp(np.interp(wanted, log_s[::-1], log_n[::-1])))


def _rough_steps(sde: SDE) -> int:
    return divisor_near(sde.resolution, FINE_GRIDS[0])


@cache
def _divisors(fine: int) -> tuple[int, ...]:
    return tuple(n for n in range(1, fine + 1) if fine % n == 0)


def divisor_near(wanted: float, fine: int) -> int:
    """The divisor of ``fine`` nearest to ``wanted`` in ratio."""
    return min(_divisors(fine), key=lambda n: abs(math.log(n / wanted)))
