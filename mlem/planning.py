"""From a target ε to the cheapest configuration of each method that meets it.

A pilot measures the three terms of the mean square error (method, section 4) on the problem itself:

    MSE ≈ e_k² + 2ρ e_k s(N) + s(N)² + Σ_k Q_k (n_k^−r − N^−r),

the bias of the top level, the step error (the two correlate by ρ), and what rare calls add, n_k = p_k N being the calls of
level k. None of them depends on γ: only prices do. The plan that the model suggests is then tried and corrected by simulation,
since a model is not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.errors import NonFiniteStep
from mlem.hierarchy import Hierarchy
from mlem.ledger import Firing, expected_evaluations
from mlem.march import Report
from mlem.probabilities import call_prices, error_order, power_law_within, water_filling
from mlem.sde import SDE, Drift
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
_STEP_SIZES = (3, 6, 12, 21, 42, 84, 168, 252)  # at which the step error is measured
_WITHIN_REACH = 1.6  # times the finest level's error: what both methods can be planned for
_RUINOUS = 1e6  # the mean square of a run that left the finite numbers
_TRIALS = 8  # of a number of steps, or of a constant


class Unreachable(ValueError):
    """The target ``epsilon`` cannot be met with these levels; ``nearest`` can."""

    def __init__(self, epsilon: float, nearest: float) -> None:
        self.epsilon, self.nearest = epsilon, nearest
        super().__init__(
            f"epsilon takes a number ≥ {nearest:.3g} with these levels, got {epsilon:g}: add levels or ask for less"
        )


@dataclass(frozen=True)
class ErrorModel:
    """Measured terms: ``bias`` e_k (K,), step error s(N) at ``steps`` and its ``correlation`` ρ with the bias, ``kicks`` Q_k
    (K,) of one kind of firing with its order r."""

    bias: Float[np.ndarray, " levels"]
    correlation: float
    steps: Float[np.ndarray, " sizes"]
    step_error: Float[np.ndarray, " sizes"]
    kicks: Float[np.ndarray, " levels"]
    order: int

    def step(self, steps: float) -> float:
        """s(N): interpolated in log-log, of order one beyond the finest measured."""
        log_n, log_s = np.log(self.steps), np.log(self.step_error)
        x = math.log(steps)
        return math.exp(log_s[-1] - (x - log_n[-1]) if x > log_n[-1] else np.interp(x, log_n, log_s))

    def floor(self, level: int, steps: float) -> float:
        """Mean square error of Euler–Maruyama with level ``level`` (from 1): what no firing can improve."""
        bias, step = float(self.bias[level - 1]), self.step(steps)
        return bias**2 + 2 * self.correlation * bias * step + step**2

    def step_left(self, level: int, epsilon: float) -> float:
        """The step error that makes up ``epsilon`` with the bias of ``level``; negative where the bias alone exceeds it."""
        bias = float(self.bias[level - 1])
        if bias >= epsilon:
            return -1.0
        return -self.correlation * bias + math.sqrt((self.correlation * bias) ** 2 + epsilon**2 - bias**2)


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


def allowed_steps(sde: SDE, wanted: float, beside: int | None = None) -> int:
    """The number of steps nearest to ``wanted`` that divides whatever grid it would be judged on. ``beside`` is the number of
    steps that it is to be raced against: where the solution is exact, a multiple of half of that keeps their grid coarse."""
    if sde.exact is None:
        return divisor_near(wanted, reference_grid(sde, math.ceil(wanted)))
    if beside is None:
        return max(1, round(wanted))
    unit = beside // 2 if beside % 2 == 0 else beside
    return unit * round(wanted / unit) if wanted >= unit else divisor_near(wanted, beside)


def common_grid(sde: SDE, euler_steps: int, multilevel_steps: int) -> int:
    """The coarsest grid of the path on which both methods can be raced and judged."""
    if sde.exact is not None:
        return math.lcm(euler_steps, multilevel_steps)
    return max(reference_grid(sde, euler_steps), reference_grid(sde, multilevel_steps))


def reference(sde: SDE, path: BrownianPath, initial: Tensor, indices: Sequence[int], report: Report | None = None) -> Tensor:
    """X at fine steps ``indices`` of ``path``: exact where the SDE has a solution, else Euler–Maruyama on the fine grid, which
    ``report`` is told of."""
    if sde.exact is not None:
        return sde.exact(path, initial, indices)
    drift, steps = sde.drift, path.steps
    states = euler_maruyama(sde, drift, steps=steps, path=path, initial=initial, save=indices, report=report).states
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


@lru_cache(maxsize=64)
def trials(sde: SDE, fine: int) -> Trials:
    """The trials of ``sde`` on ``fine``; made once."""
    return Trials(sde, fine)


@lru_cache(maxsize=64)
def _step_errors(sde: SDE) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """s(N) of the true drift at a few N up to what the coarsest fine grid can judge; it never rises with N, so that where few
    steps are right by accident they are not trusted."""
    pilot = trials(sde, FINE_GRIDS[0])
    sizes, errors = [], []
    for n in _STEP_SIZES:
        try:
            end = euler_maruyama(sde, sde.drift, steps=n, path=pilot.path, initial=pilot.initial).final
        except NonFiniteStep:
            continue
        sizes.append(float(n))
        errors.append(max(1e-12, float(pilot.squared(end).mean().sqrt())))
    return np.array(sizes), np.maximum.accumulate(errors[::-1])[::-1]


@lru_cache(maxsize=64)
def measure(sde: SDE, levels: Hierarchy, firing: str) -> ErrorModel:
    """The error model of ``levels`` for one kind of firing: bias and kicks against the finest level on the rough grid."""
    pilot, steps = trials(sde, FINE_GRIDS[0]), _rough_steps(sde)
    euler = partial(euler_maruyama, sde, steps=steps, path=pilot.path, initial=pilot.initial)
    exact = euler(sde.drift).final
    ends = [euler(level).final for level in levels]
    bias = np.array([float(pilot.squared(end, exact).mean().sqrt()) for end in ends])
    by_drift, by_step = ends[0] - exact, exact - pilot.end
    correlation = float((by_drift * by_step).sum() / (by_drift.norm() * by_step.norm()).clamp(min=1e-300))
    sizes, step_error = _step_errors(sde)
    kicks = _measure_kicks(sde, levels, firing, pilot, steps, ends[-1])
    return ErrorModel(bias, max(0.0, correlation), sizes, step_error, kicks, error_order(firing))


def _measure_kicks(
    sde: SDE, levels: Hierarchy, firing: str, pilot: Trials, steps: int, finest: Tensor
) -> Float[np.ndarray, " levels"]:
    """Q_k: level k alone fires at p < 1, all others always, so that the excess over the ``finest`` level is level k's own."""
    multilevel = partial(
        multilevel_euler_maruyama, sde, levels, steps=steps, path=pilot.path, initial=pilot.initial, firing=firing
    )

    def excess(k: int, p: float) -> float:
        q = [p if j == k else 1.0 for j in range(len(levels))]
        try:
            end = multilevel(q, draws="per-path").final
        except NonFiniteStep:
            return _RUINOUS
        return float(pilot.squared(end, finest).mean())

    order, p = error_order(firing), min(0.5, _PILOT_CALLS / steps)
    one = np.array([p**-order - 1.0 for p in [0.5] + [p] * (len(levels) - 1)]) * float(steps) ** -order
    if firing == "held" or len(levels) == 1:
        return np.array([excess(k, 0.5 if k == 0 else p) for k in range(len(levels))]) / one
    # One run for all but the coarsest level, whose kicks are large: row i of the batch fires level k(i) rarely.
    rows = torch.arange(pilot.batch) % (len(levels) - 1) + 1
    rare = torch.ones(1, len(levels), pilot.batch, dtype=torch.float64)
    rare[0, rows, torch.arange(pilot.batch)] = p
    squared = pilot.squared(multilevel(rare, draws="per-path").final, finest)
    return np.array([excess(0, 0.5)] + [float(squared[rows == k].mean()) for k in range(1, len(levels))]) / one


def plan_euler(sde: SDE, levels: Hierarchy, model: ErrorModel, epsilon: float) -> EulerPlan:
    """The cheapest (level, N) with RMSE ε: the model suggests two levels, trials find N for each."""
    suggestions = []
    for k in range(len(levels)):
        left = model.step_left(k + 1, epsilon)
        if left > 0:
            steps = steps_at(model, left)
            suggestions.append((steps * levels.costs[k], k, steps))
    if not suggestions:
        raise Unreachable(epsilon, _WITHIN_REACH * float(model.bias.min()))
    found = [(k, _fewest_steps(sde, levels[k].drift, steps, epsilon)) for _, k, steps in sorted(suggestions)[:2]]
    k, steps = min(found, key=lambda plan: plan[1] * levels.costs[plan[0]])
    return EulerPlan(k + 1, steps)


@lru_cache(maxsize=1024)
def _fewest_steps(sde: SDE, drift: Drift, guess: float, epsilon: float) -> int:
    """The number of steps whose RMSE in trials is nearest to ε, on the first branch from below. It does not depend on γ."""

    def error(wanted: float) -> float:
        steps = allowed_steps(sde, wanted)
        pilot = trials(sde, reference_grid(sde, steps))
        try:
            end = euler_maruyama(sde, drift, steps=steps, path=pilot.path, initial=pilot.initial).final
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


def plan_multilevel(
    sde: SDE,
    levels: Hierarchy,
    model: ErrorModel,
    epsilon: float,
    *,
    firing: str,
    beside: int,
    gamma: float | None = None,
) -> MultilevelPlan:
    """The cheapest (K, N, p) with RMSE ε, by the model; then p is scaled by trial. ``beside`` as in :func:`allowed_steps`.

    p has the optimal shape, or with ``gamma`` that of the paper's power law. Raises Unreachable.
    """
    aim = epsilon
    for _ in range(3):
        steps, raw = _cheapest(sde, levels, model, aim, firing, beside, gamma)
        fitted = _scaled_to(sde, levels[: len(raw)], steps, raw, epsilon, firing)
        if fitted is not None:
            return MultilevelPlan(steps, tuple(fitted.tolist()))
        aim *= 0.8  # bias and step error alone exceed the target: leave them less
    raise Unreachable(epsilon, _WITHIN_REACH * float(model.bias.min()))


_FACTORS = (1.05, 1.15, 1.3, 1.5, 1.8, 2.2, 3.0, 4.0)  # of the fewest steps that could do
_TIE = 1.05  # fewer steps are preferred to a cost that is this little lower: every step has an overhead that no model prices


def _cheapest(
    sde: SDE, levels: Hierarchy, model: ErrorModel, epsilon: float, firing: str, beside: int, gamma: float | None
) -> tuple[int, Float[np.ndarray, " levels"]]:
    """Steps and p before it is clamped at 1."""
    best: tuple[float, int, Float[np.ndarray, " levels"]] | None = None
    prices = call_prices(levels.costs, firing)
    lowest = steps_at(model, epsilon)
    for steps in sorted({allowed_steps(sde, lowest * factor, beside) for factor in _FACTORS}):
        for top in range(1, len(levels) + 1):
            budget = epsilon**2 - model.floor(top, steps)
            if budget <= 0.02 * epsilon**2:
                continue
            effect = np.maximum(model.kicks[:top], 1e-300) * float(steps) ** -model.order
            if gamma is None:
                raw = _optimal_shape(effect, steps * prices[:top], budget, model.order)
            else:
                raw = power_law_within(effect, 1 + gamma / 2, budget, model.order)
            cost = _expected_cost(firing, np.minimum(raw, 1.0), steps, levels.costs[:top])
            if best is None or cost * _TIE < best[0]:
                best = (cost, steps, raw)
    if best is None:
        raise Unreachable(epsilon, _WITHIN_REACH * float(model.bias.min()))
    return best[1], best[2]


def _optimal_shape(
    effect: Float[np.ndarray, " levels"], price: Float[np.ndarray, " levels"], budget: float, order: int
) -> Float[np.ndarray, " levels"]:
    """The optimal allocation with f¹ at every step; not clamped at 1, so that it can be scaled."""
    raw = np.full(len(effect), np.inf)
    if len(effect) > 1:
        p = water_filling(effect[1:], price[1:], error=budget, order=order)
        shape = (effect[1:] / price[1:]) ** (1 / (order + 1))
        raw[1:] = shape * (p / shape).max()
    return raw


def _scaled_to(
    sde: SDE, levels: Hierarchy, steps: int, raw: Float[np.ndarray, " levels"], epsilon: float, firing: str
) -> Float[np.ndarray, " levels"] | None:
    """p = min(1, m·raw) with the m for which the RMSE is ε; None if no m is enough.

    Trials of several multiples at once show how the error falls; then the constant is tried on all paths and corrected.
    """
    multiples = np.repeat(_MULTIPLES, _PILOT_PATHS // len(_MULTIPLES))
    squared = _try(sde, levels, steps, _scale(raw, multiples), firing)
    fit = _fit_kicks(squared.reshape(len(_MULTIPLES), -1).mean(1))
    guess = fit.multiple(epsilon)
    if guess is None:
        return None

    def error(m: float) -> float:
        return math.sqrt(_try(sde, levels, steps, _scale(raw, np.full(1, m)), firing).mean())

    return _scale(raw, np.full(1, _search(error, guess, epsilon, order=fit.order / 2, tolerance=0.03)))[:, 0]


def _scale(raw: Float[np.ndarray, " levels"], multiples: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "levels rows"]:
    """min(1, m·raw) for each m."""
    return np.minimum(1.0, raw[:, None] * multiples)


def _try(
    sde: SDE, levels: Hierarchy, steps: int, p: Float[np.ndarray, "levels rows"], firing: str
) -> Float[np.ndarray, " paths"]:
    """Squared errors in trials of probabilities that are the same for all paths (one row) or each path's own."""
    pilot = trials(sde, reference_grid(sde, steps))
    multilevel = partial(
        multilevel_euler_maruyama,
        sde,
        levels,
        steps=steps,
        path=pilot.path,
        initial=pilot.initial,
        firing=firing,
        draws="per-path",
        seed=_PILOT_SEED,
    )
    rows = np.unique(p, axis=1).T

    def one(row: Float[np.ndarray, " levels"]) -> Float[np.ndarray, " paths"]:
        try:
            return pilot.squared(multilevel(row).final).numpy()
        except NonFiniteStep:
            return np.full(pilot.batch, _RUINOUS)

    if len(rows) == 1:
        return one(rows[0])
    if firing != "held":  # which has no coins, and so takes a solve for each row
        share = p[:, np.linspace(0, p.shape[1] - 1, pilot.batch).round().astype(int)]
        with suppress(NonFiniteStep):  # then one by one, to see which
            return pilot.squared(multilevel(torch.from_numpy(share)[None]).final).numpy()
    return np.concatenate([one(row)[: pilot.batch // len(rows)] for row in rows])


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


def steps_at(model: ErrorModel, step_error: float) -> float:
    """The number of steps N at which the step error s(N) is ``step_error``."""
    log_n, log_s = np.log(model.steps), np.log(model.step_error)
    wanted = math.log(step_error)
    if wanted <= log_s[-1]:
        return math.exp(log_n[-1] + log_s[-1] - wanted)
    return float(np.exp(np.interp(wanted, log_s[::-1], log_n[::-1])))


def _rough_steps(sde: SDE) -> int:
    return divisor_near(sde.resolution, FINE_GRIDS[0])


@lru_cache(maxsize=64)
def _divisors(fine: int) -> tuple[int, ...]:
    return tuple(n for n in range(1, fine + 1) if fine % n == 0)


def divisor_near(wanted: float, fine: int) -> int:
    """The divisor of ``fine`` nearest to ``wanted`` in ratio."""
    return min(_divisors(fine), key=lambda n: abs(math.log(n / wanted)))
