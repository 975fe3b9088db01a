"""Sweeps: many runs of both methods on the same paths, from which curves of cost against error are made.

Nothing here depends on γ: a run has errors and counts of evaluations, and only prices turn these into costs. The
probabilities of the ML-EM runs are power laws p_k = min(1, C·2^−sk) with several shapes s, among which each γ finds its own.

A sweep is a list of independent pieces. They give the same numbers in any order, so that a sweep can be stopped, gone on with,
and shown while it grows. Nor does it matter which probabilities are run in one batch: each has coins of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath, RememberedPath
from mlem.distribution import SlicedLaw
from mlem.errors import NonFiniteStep, squared_errors
from mlem.hierarchy import Hierarchy
from mlem.march import Report
from mlem.planning import ErrorModel, divisor_near, measure, reference, steps_at
from mlem.probabilities import error_order, power_law_within
from mlem.sde import SDE
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

FINE = 20160
"""Fine steps of a sweep's paths: many divisors, so that a number of steps can be near any wish."""

SHAPED_FOR = (0.5, 1.25, 2.0, 3.0, 4.0, 5.0)
"""The γ for which the shapes s of p_k would be best: √(v/c) for coins, ∛(v/c) for even calls."""

FIRINGS = ("bernoulli", "systematic", "nested")

_EULER_SPREAD = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # of the N at which the step error equals the bias
_STEPS_SPREAD = (2.0, 4.0)  # ML-EM's N, likewise; more than one only while that is quick
_QUICK = 1000  # steps
_KICKS_SPREAD = (4.0, 1.5, 0.6, 0.2)  # of the mean square that firing adds, in that of Euler–Maruyama
_KICKS_UNSEEN = (2.0, 0.5)  # likewise, in its root: kicks are noise, whose square is what the law of the ends sees of them
_KICKS = len(_KICKS_SPREAD) + len(_KICKS_UNSEEN)
_GROUPS = 128  # of paths, over which means are kept: enough for intervals
_MOST_GROUNDS = 4  # that are kept: paths are remembered at every fine step
_ASTRAY = 1e6  # RMSE of a run that is as good as infinite
_COARSEST = 3  # levels with an error of 2^−2 and more are not worth a curve
_REFERENCE_RATIO = 16  # a reference by Euler–Maruyama is this much finer than any run

Choice: TypeAlias = tuple[float, tuple[float, ...]]
"""A shape s and the probabilities p_k."""


@dataclass(frozen=True)
class Piece:
    """A part of a sweep: one Euler–Maruyama run, or the ML-EM runs with one (K, N) and all their probabilities."""

    method: str
    levels: int
    steps: int


@dataclass(frozen=True, eq=False)
class Run:
    """One run: its piece, the shape s and p_k (ML-EM), and what it gave per path: ``squared`` errors, and shares in the squared
    distance of the laws (``transport``); ``chance`` is the distance that chance alone gives. Of many paths both are means over
    groups."""

    piece: Piece
    shape: float
    probabilities: tuple[float, ...]
    evaluations: Float[np.ndarray, " levels"]
    seconds: float
    squared: Float[np.ndarray, " groups"]
    transport: Float[np.ndarray, " groups"]
    chance: float


@dataclass(frozen=True, eq=False)
class Part:
    """Runs of a sweep, and what it takes to judge them: the measured terms of the error, whether the reference is exact, and
    how far two independent samples of its law would be from each other."""

    exact: bool
    model: ErrorModel
    independent: float
    runs: tuple[Run, ...]


class Sweep:
    """Both methods on ``paths`` shared paths of one SDE."""

    def __init__(
        self,
        sde: SDE,
        levels: Hierarchy,
        *,
        firing: str,
        paths: int,
        seed: int,
        shaped_for: tuple[float, ...] = SHAPED_FOR,
        together: bool = True,
        model: ErrorModel | None = None,
        end: Tensor | None = None,
    ) -> None:
        """``model``: the terms of the error, which are measured where they are not given. ``end``: where the reference ends, if
        that is known. ``together``: all probabilities of a piece in one batch, which is quicker, but then seconds are those of
        a large batch; one by one they compare with Euler–Maruyama's."""
        self.sde, self.levels, self.firing, self.paths, self.seed = sde, levels, firing, paths, seed
        self._shaped_for, self._together, self._end = shaped_for, together, end
        self.model = model or measure(sde, levels, firing)
        self.pieces = _pieces(sde, self.model)
        self._ground: Ground | None = None

    @property
    def ground(self) -> Ground:
        """What all runs share. It is kept with the sweep, for whoever works on many sweeps by turns."""
        if self._ground is None:
            self.prepare()
        assert self._ground is not None
        return self._ground

    def prepare(self, report: Report | None = None) -> None:
        """Makes the ground, which else the first run does."""
        key = (self.sde, self.paths, self.seed)
        ground = _grounds.get(key) or _make_ground(*key, self._end, report)
        _grounds[key] = self._ground = ground
        _grounds.move_to_end(key)
        while len(_grounds) > _MOST_GROUNDS:
            _grounds.popitem(last=False)

    @property
    def preparation(self) -> int:
        """How much :meth:`prepare` is, in steps of a run."""
        return 0 if self.exact or self._end is not None else FINE

    @property
    def exact(self) -> bool:
        """Whether errors are against the exact solution."""
        return self.sde.exact is not None

    def part(self, runs: Iterable[Run]) -> Part:
        """``runs`` with what it takes to judge them."""
        return Part(self.exact, self.model, self.ground.law.independent, tuple(runs))

    def work(self, piece: Piece) -> int:
        """How much a piece is, in steps of a run."""
        return piece.steps * (1 if piece.method == "em" else len(self._shaped_for) * _KICKS)

    def run(self, piece: Piece, report: Report | None = None) -> list[Run]:
        """The runs of one piece; a run that leaves the finite numbers is left out. ``report`` is called while it works, and may
        raise to cancel."""
        if piece.method == "em":
            return self._euler(piece, report)
        choices = list(_probabilities(self.model, self.firing, piece, self._shaped_for))
        size = len(choices) if self._together else 1
        starts = range(0, len(choices), size)
        return [run for start in starts for run in self._multilevel(piece, choices[start : start + size], start, report)]

    def whole(self, report: Report | None = None) -> Part:
        """All pieces. ``report`` is told the fraction done after each."""
        runs = list[Run]()
        for n, piece in enumerate(self.pieces, start=1):
            runs += self.run(piece)
            if report:
                report(n / len(self.pieces))
        return self.part(runs)

    def _euler(self, piece: Piece, report: Report | None) -> list[Run]:
        level, ground = self.levels[piece.levels - 1], self.ground
        try:
            done = euler_maruyama(self.sde, level, steps=piece.steps, path=ground.path, initial=ground.initial, report=report)
        except NonFiniteStep:
            return []
        evaluations = np.zeros(len(self.levels))
        evaluations[piece.levels - 1] = piece.steps
        return self._judged(piece, 0.0, (1.0,), evaluations, done.seconds / self.paths, done.final)

    def _multilevel(self, piece: Piece, choices: Sequence[Choice], start: int, report: Report | None) -> list[Run]:
        """The choices that stay finite: where one in a batch does not, both halves are run by themselves."""
        try:
            return self._batch(piece, choices, start, report)
        except NonFiniteStep:
            half = len(choices) // 2
            parts = [(choices[:half], start), (choices[half:], start + half)] if half else []
            return [run for part, first in parts for run in self._multilevel(piece, part, first, report)]

    def _batch(self, piece: Piece, choices: Sequence[Choice], start: int, report: Report | None) -> list[Run]:
        """Several probabilities at once, number ``start`` of the piece and on: a copy of the paths for each, with coins of its
        own."""
        top, steps, ground = piece.levels, piece.steps, self.ground
        copies, paths = len(choices), self.paths
        p = torch.tensor([choice for _, choice in choices], dtype=torch.float64).repeat_interleave(paths, dim=0)
        done = multilevel_euler_maruyama(
            self.sde,
            self.levels[:top],
            p.T.unsqueeze(0),
            steps=steps,
            path=ground.path.copies(copies, first=start * paths),
            initial=ground.initial.repeat(copies, *(1 for _ in self.sde.shape)),
            firing=self.firing,
            draws="per-path",
            seed=self.seed,
            report=report,
        )
        ends = done.final.view(copies, paths, *self.sde.shape)
        counts = done.ledger.by_coins.reshape(top, copies, -1).mean(2)
        runs = list[Run]()
        for c, (shape, choice) in enumerate(choices):
            evaluations = np.pad(counts[:, c], (0, len(self.levels) - top))
            runs += self._judged(piece, shape, choice, evaluations, done.seconds / (copies * paths), ends[c])
        return runs

    def _judged(
        self,
        piece: Piece,
        shape: float,
        probabilities: tuple[float, ...],
        evaluations: Float[np.ndarray, " levels"],
        seconds: float,
        final: Float[Tensor, "paths *state"],
    ) -> list[Run]:
        """The run that ends in ``final``; none where that went astray."""
        squared, law = squared_errors(final, self.ground.end), self.ground.law
        if squared.mean() > _ASTRAY**2:
            return []
        squared, transport = (_in_groups(each) for each in (squared, law.shares(final)))
        return [Run(piece, shape, probabilities, evaluations, seconds, squared, transport, law.chance(final))]


@dataclass(frozen=True, eq=False)
class Ground:
    """What all runs of a sweep share: the path, the initial states, where the reference ends, and the law of that."""

    path: RememberedPath
    initial: Tensor
    end: Tensor
    law: SlicedLaw


_grounds = OrderedDict[tuple[SDE, int, int], Ground]()  # those used last


def _make_ground(sde: SDE, paths: int, seed: int, end: Tensor | None, report: Report | None) -> Ground:
    end = reference_end(sde, paths, seed, report) if end is None else end
    return Ground(RememberedPath(_path(sde, paths, seed)), sde.initial(paths, seed), end, SlicedLaw(end, seed))


def reference_end(sde: SDE, paths: int, seed: int, report: Report | None = None) -> Float[Tensor, "paths *state"]:
    """Where the reference of a sweep ends."""
    return reference(sde, _path(sde, paths, seed), sde.initial(paths, seed), [FINE], report)[-1]


def _path(sde: SDE, paths: int, seed: int) -> BrownianPath:
    return BrownianPath(paths, sde.shape, FINE, sde.horizon, seed)


def _in_groups(values: Float[np.ndarray, " paths"]) -> Float[np.ndarray, " groups"]:
    return values.reshape(_GROUPS, -1).mean(1) if len(values) % _GROUPS == 0 else values


def _pieces(sde: SDE, model: ErrorModel) -> list[Piece]:
    """From coarse to fine, so that what is cheap comes first, and one piece of each method before all others."""
    pieces = []
    for k in range(_COARSEST, len(model.bias) + 1):
        equal = steps_at(model, float(model.bias[k - 1]))  # the N at which the step error equals the bias
        em, ml = (sorted({divisor_near(equal * factor, FINE) for factor in by}) for by in (_EULER_SPREAD, _STEPS_SPREAD))
        ml = [steps for steps in ml if steps <= _QUICK] or ml[:1]
        both = [*_of("em", k, em[:1]), *_of("mlem", k, ml[:1]), *_of("em", k, em[1:]), *_of("mlem", k, ml[1:])]
        pieces += [piece for piece in both if _can_be_judged(sde, piece.steps)]
    return pieces


def _of(method: str, levels: int, steps: Iterable[int]) -> list[Piece]:
    return [Piece(method, levels, n) for n in steps]


def _can_be_judged(sde: SDE, steps: int) -> bool:
    return sde.exact is not None or steps * _REFERENCE_RATIO <= FINE


def _probabilities(model: ErrorModel, firing: str, piece: Piece, shaped_for: tuple[float, ...]) -> Iterator[Choice]:
    """(s, p) for every shape and every amount of added error, the largest first."""
    top, order = piece.levels, error_order(firing)
    effect = np.maximum(model.kicks[:top], 1e-300) * float(piece.steps) ** -order
    base = model.floor(top, piece.steps)
    added = sorted([share * base for share in _KICKS_SPREAD] + [share * base**0.5 for share in _KICKS_UNSEEN], reverse=True)
    for gamma in shaped_for:
        decay = (2 + gamma) / (1 + order)
        for budget in added:
            p = np.minimum(1.0, power_law_within(effect, decay, budget, order))
            yield decay, tuple(p.tolist())
