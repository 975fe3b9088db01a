"""Error against cost on a ladder of networks: EM, ML-EM and the usual samplers, all on the same pictures.

Pictures are drawn in groups; a group shares its noise among all runs, and is judged by the same reference: the largest network
with very many steps. Runs of the SDE are judged by the SDE's reference, those of the probability-flow ODE by the ODE's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath, RememberedPath
from mlem.errors import NonFiniteStep, squared_errors
from mlem.hierarchy import Hierarchy
from mlem.images.checkpoint import Ladder, device_of_ladder
from mlem.images.diffusion import Denoise
from mlem.images.pilot import Effects, Plan, plan, power_law_at
from mlem.images.process import denoise_of, levels_of
from mlem.images.samplers import SAMPLERS, sample
from mlem.march import Report, Solution
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

FINE = 1536
"""Steps of the reference: many divisors, four times the finest run."""

ODE_REFERENCE = 1000
"""Evaluations of the ODE's reference, by DPM-Solver++(2M), whose error is far below that of as many Euler steps."""

GROUP = 8
"""Pictures that are drawn together."""

METHODS = {
    "em": "EM",
    "paper": "ML-EM, coins, the paper's rule",
    "mlem": "ML-EM, even calls, levels and pₖ(t) from a pilot",
    **SAMPLERS,
}

PAPER_GAMMA = 2.5
"""γ in the paper's rule, as the paper measures it on CelebA."""

_EM_STEPS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
_MLEM_STEPS = (48, 96, 192, 384)
_BUDGETS = (1.5, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0)  # in evaluations of the top level used
_FEWEST_LEVELS = 3
_EVALUATIONS = {
    "ddim": (5, 8, 10, 20, 25, 40, 50, 100),
    "heun": (6, 10, 16, 24, 32, 48, 64, 96),
    "dpm++": (5, 8, 12, 16, 24, 32, 48, 64),
}
_TIMED = 5  # evaluations, of which the median counts


@dataclass(frozen=True)
class Piece:
    """One run: ``levels`` is EM's and the samplers' level, or the dearest of ML-EM's, which may leave out others; ``steps`` of
    the solver, evaluations of a sampler; ``cost`` the GFLOP per picture that ML-EM is given."""

    method: str
    levels: int
    steps: int
    cost: float = 0.0


@dataclass(frozen=True, eq=False)
class Run:
    """What a piece gave for some pictures: distinct evaluations (K,) per picture, and squared errors of each."""

    piece: Piece
    evaluations: Float[np.ndarray, " levels"]
    squared: Float[np.ndarray, " pictures"]


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one group of pictures, and each level's bias on it: squared distances (pictures, K) of EM's ends with level k
    from those with the finest, at the finest number of steps."""

    runs: tuple[Run, ...]
    bias: Float[np.ndarray, "pictures levels"]


def pieces(costs: Float[np.ndarray, " levels"], process: str) -> list[Piece]:
    """All runs of a sweep. Samplers solve the ODE."""
    count = len(costs)
    found = [Piece("em", k, steps) for k in range(1, count + 1) for steps in _EM_STEPS]
    for levels in range(min(_FEWEST_LEVELS, count), count + 1):
        for steps in _MLEM_STEPS:
            for budget in _BUDGETS:
                cost = budget * float(costs[levels - 1])
                if steps * float(costs[0]) < cost < steps * float(costs[levels - 1]):
                    found += [Piece(method, levels, steps, cost) for method in ("paper", "mlem")]
    if process == "ode":
        found += [Piece(name, count, n) for name, all_n in _EVALUATIONS.items() for n in all_n]
    return found


def sweep(
    ladder: Ladder,
    process: str,
    effects: Effects,
    *,
    first: int,
    seed: int,
    precision: str,
    pictures: int = GROUP,
    report: Report | None = None,
) -> Group:
    """All runs for pictures ``first`` and on. A run that leaves the finite numbers is left out."""
    levels = levels_of(ladder, process, precision=precision)
    ground = _Ground(ladder, levels, process, first=first, pictures=pictures, seed=seed, precision=precision)
    wanted = pieces(levels.costs, process)
    work = np.cumsum([_work(piece, levels.costs) for piece in wanted])
    runs, finest = list[Run](), dict[int, Tensor]()
    for piece, done in zip(wanted, work / work[-1], strict=True):
        try:
            evaluations, final = ground.run(piece, effects)
        except NonFiniteStep:
            continue
        if piece.method == "em" and piece.steps == max(_EM_STEPS):
            finest[piece.levels] = final
        runs.append(Run(piece, evaluations, squared_errors(final, ground.end)))
        if report:
            report(float(done))
    top = finest[len(levels)]
    bias = np.stack([squared_errors(finest[k], top) for k in range(1, len(levels) + 1)], axis=1)
    return Group(tuple(runs), bias)


class _Ground:
    """What all runs of a group share: the noise, the initial states and where the reference ends."""

    def __init__(
        self, ladder: Ladder, levels: Hierarchy, process: str, *, first: int, pictures: int, seed: int, precision: str
    ) -> None:
        self._ladder, self._levels, self._seed, self._precision = ladder, levels, seed, precision
        sde, device = levels.sde, device_of_ladder(ladder)
        path = BrownianPath(pictures, sde.shape, FINE, sde.horizon, seed, first=first, dtype=torch.float32, device=device)
        self._path = path if sde.is_ode else RememberedPath(path)
        self._initial = sde.initial(pictures, seed, first=first, dtype=torch.float32, device=device)
        if process == "ode":
            self.end = self._sampled("dpm++", len(levels), ODE_REFERENCE)
        else:
            self.end = self._euler(len(levels), FINE).final

    def run(self, piece: Piece, effects: Effects) -> tuple[Float[np.ndarray, " levels"], Tensor]:
        """Evaluations per picture, and the end."""
        count = np.zeros(len(self._levels))
        if piece.method == "em":
            count[piece.levels - 1] = piece.steps
            return count, self._euler(piece.levels, piece.steps).final
        if piece.method in SAMPLERS:
            count[piece.levels - 1] = piece.steps
            return count, self._sampled(piece.method, piece.levels, piece.steps)
        found, firing = rule(piece, self._levels.costs[: piece.levels], effects)
        solution = self._multilevel(piece, found, firing)
        return found.spread(solution.evaluations, len(count)), solution.final

    def _euler(self, level: int, steps: int) -> Solution:
        sde = self._levels.sde
        return euler_maruyama(sde, self._levels[level - 1], steps=steps, path=self._path, initial=self._initial)

    def _sampled(self, name: str, level: int, evaluations: int) -> Tensor:
        denoise = denoise_of(self._ladder.levels[level - 1], self._precision)
        return sample(name, denoise, self._ladder.schedule, self._initial, evaluations=evaluations)

    def _multilevel(self, piece: Piece, found: Plan, firing: str) -> Solution:
        return multilevel_euler_maruyama(
            self._levels.sde,
            found.chosen(self._levels),
            found.probabilities,
            steps=piece.steps,
            path=self._path,
            initial=self._initial,
            firing=firing,
            draws="per-path",
            seed=self._seed,
        )


def rule(piece: Piece, costs: Float[np.ndarray, " levels"], effects: Effects) -> tuple[Plan, str]:
    """Plan and firing of an ML-EM piece."""
    if piece.method == "paper":
        return papers_plan(costs, steps=piece.steps, cost=piece.cost), "bernoulli"
    return plan(effects, costs, steps=piece.steps, cost=piece.cost, firing="systematic"), "systematic"


def papers_plan(costs: Float[np.ndarray, " levels"], *, steps: int, cost: float) -> Plan:
    """The paper's rule with its γ: all levels, at all times alike."""
    p = power_law_at(costs, PAPER_GAMMA, steps=steps, cost=cost)
    return Plan(tuple(range(1, len(costs) + 1)), p.expand(steps, -1))


def _work(piece: Piece, costs: Float[np.ndarray, " levels"]) -> float:
    return piece.cost or piece.steps * float(costs[piece.levels - 1])


@torch.no_grad()
def seconds_of(ladder: Ladder, *, pictures: int = GROUP, precision: str = "float32") -> Float[np.ndarray, " levels"]:
    """Seconds of one evaluation for one picture, by level: warm medians in a batch of ``pictures``."""
    found = []
    for level in ladder.levels:
        y = torch.zeros(pictures, 3, ladder.size, ladder.size, device=device_of_ladder(ladder))
        found.append(median(_timed(denoise_of(level, precision), y)) / pictures)
    return np.array(found)


def _timed(denoise: Denoise, y: Tensor) -> Iterator[float]:
    for n in range(_TIMED + 2):
        began = time.perf_counter()
        denoise(y, 0.5)
        if y.is_cuda:
            torch.cuda.synchronize(y.device)
        if n >= 2:
            yield time.perf_counter() - began
