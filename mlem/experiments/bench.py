"""Bench: how fast is the library? Ratios to named peers that do the same work in the same run, never seconds alone.

Rounds are interleaved (A B C A B C …), so that what else the machine does meets all alike. A ratio is formed within a round;
reported is its median over the rounds, with a 95 % interval that assumes no law. Everything runs on one thread of one
processor, and what is timed is the processor's time: waiting while other programs use it does not count.

ML-EM's overhead is what it does beside EM's work and beside evaluating drifts, in units of EM's time. With D the time of the
evaluations that a method makes, made alone: as many, of the same levels, on tensors of the same shapes,

    overhead = ((T_ML-EM − D_ML-EM) − (T_EM − D_EM)) / T_EM,

EM having the finest level, and the same steps, batch and noise. The drifts are single multiplications, so that EM's time is
little more than its noise. The target is for coins that the batch shares; coins of each path's own stand beside it.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import mlem
from mlem.brownian import BrownianPath
from mlem.errors import Estimate
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice, integer
from mlem.experiments.peers import NOISE, PEERS, SEED, Peer, Solve, Work, bare_loop
from mlem.experiments.result import Result, Row
from mlem.firing import DRAWS
from mlem.hierarchy import Hierarchy, Level
from mlem.march import Report
from mlem.probabilities import power_law
from mlem.sde import Drift
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama

CASES = {
    "all": "All but the memory",
    "em": "EM and a bare loop",
    "peers": "EM and other libraries",
    "overhead": "What ML-EM adds to EM",
    "memory": "Memory of a long run",
}
WORKS = (Work(dim=2, batch=4096, steps=1000), Work(dim=64, batch=256, steps=1000))
LONG = Work(dim=1, batch=100_000, steps=10_000)
MOST_OF_BARE, MOST_OVERHEAD, MOST_GB = 1.10, 0.20, 1.0

Seconds: TypeAlias = Float[np.ndarray, " rounds"]

_LEVELS, _GAMMA = 5, 2.5  # of the ML-EM that is timed
_TAIL = 0.025  # of a 95 % interval


@dataclass(frozen=True)
class BenchParams(Params):
    """What is measured, and how often."""

    cases: str = choice("all", choices=CASES, label="Cases", help="What is measured.")
    repeats: int = integer(
        15, low=6, high=1000, label="Rounds", help="Of all solvers in turn. From 6 rounds on a median has a 95 % interval."
    )
    memory: str = choice(
        "no",
        choices=("no", "yes"),
        label="Memory too",
        help=f"Whether to measure the memory of a long run ({LONG}) beside the cases chosen: it takes a minute.",
    )


@dataclass(frozen=True)
class Ratio:
    """One comparison. ``target`` in words, and whether the median has ``met`` it; empty and None where there is none.
    ``seconds`` of what was timed, medians, for information."""

    case: str
    work: str
    name: str
    value: Estimate
    target: str
    met: bool | None
    seconds: dict[str, float]


@dataclass(frozen=True)
class Missing:
    """A peer that is not installed, and the command that installs it."""

    name: str
    pip: str


@dataclass(frozen=True)
class Memory:
    """A long run in a process of its own: its peak resident memory, the states that it kept when not asked to keep any, and
    what keeping all would have taken. Units of 10^9 bytes."""

    work: str
    peak: float
    states_kept: int
    all_states: float
    target: str
    met: bool | None
    seconds: float


@dataclass(frozen=True)
class Machine:
    """Where it ran: ``load`` is the number of processes that wanted a processor, averaged over the minute before the start."""

    processors: int
    load: float
    versions: dict[str, str]


@dataclass(frozen=True)
class BenchResult(Result):
    """All comparisons."""

    ratios: tuple[Ratio, ...]
    missing: tuple[Missing, ...]
    memory: Memory | None
    machine: Machine

    def rows(self) -> list[Row]:
        """One line per comparison; one per peer that is missing."""
        lines = [_row(r.case, r.work, r.name, r.value, r.target, r.met) for r in self.ratios]
        if self.memory:
            peak = Estimate(self.memory.peak, self.memory.peak, self.memory.peak)
            lines.append(_row("memory", self.memory.work, "peak memory, GB", peak, self.memory.target, self.memory.met))
        missing = [_row("peers", "", peer.name, None, "", None) | {"verdict": _not_installed(peer)} for peer in self.missing]
        return lines + missing

    def summary(self) -> str:
        """The outcome in a few sentences."""
        judged = [row for row in self.rows() if row["target"]]
        missed = [f"{row['what']} at {row['work']} is {row['value']:.3g}" for row in judged if row["verdict"] == "missed"]
        parts = [f"{len(judged) - len(missed)} of {len(judged)} targets met."]
        if missed:
            parts.append(f"Missed: {'; '.join(missed)}.")
        if self.memory:
            kept = self.memory.states_kept
            parts.append(f"The long run kept {kept or 'no'} states; all would take {self.memory.all_states:.3g} GB.")
        parts += [f"{peer.name} is {_not_installed(peer)}." for peer in self.missing]
        software = ", ".join(f"{name} {number}" for name, number in self.machine.versions.items())
        parts.append(f"One thread; {self.machine.processors} processors with a load of {self.machine.load:.2g}; {software}.")
        return " ".join(parts)


def _row(case: str, work: str, what: str, value: Estimate | None, target: str, met: bool | None) -> Row:
    numbers = (value.value, value.low, value.high) if value else ("", "", "")
    return {
        "case": case,
        "work": work,
        "what": what,
        **dict(zip(("value", "low", "high"), numbers, strict=True)),
        "target": target,
        "verdict": {True: "met", False: "missed", None: "for information"}[met],
    }


def _not_installed(peer: Missing) -> str:
    return f"not installed: {peer.pip}"


def run(params: BenchParams, report: Report | None = None) -> BenchResult:
    """Measures the chosen cases."""
    tell = report or (lambda done: None)
    machine = Machine(os.cpu_count() or 1, os.getloadavg()[0], {"torch": torch.__version__})
    # First, since a new process is charged with what its parent holds: peers would weigh.
    memory = _memory(LONG) if params.cases == "memory" or params.memory == "yes" else None
    works = () if params.cases == "memory" else WORKS
    wanted = PEERS if params.cases in ("all", "peers") else ()
    peers = [peer for peer in wanted if peer.installed]
    machine.versions.update({name: version(name) for peer in peers for name in peer.packages})
    with _one_processor():
        solves = {work: _solves(work, params.cases, peers) for work in works}
        seconds = interleaved(solves, params.repeats, tell)
    ratios = tuple(ratio for work in works for ratio in compare(work, seconds[work], peers))
    missing = tuple(Missing(peer.name, peer.pip) for peer in wanted if not peer.installed)
    return BenchResult(ratios, missing, memory, machine)


def _solves(work: Work, cases: str, peers: Sequence[Peer]) -> dict[str, Solve]:
    """What is timed, by name."""
    levels = hierarchy(work)
    solves: dict[str, Solve] = {"em": partial(em, work, levels)}
    if cases in ("all", "em"):
        solves["bare"] = bare_loop(work)
    for peer in peers:
        solves[peer.name] = peer.make(work)
    if cases in ("all", "overhead"):
        solves["em drift"] = drift_alone(work, em)
        for draws in DRAWS:
            solve = partial(multilevel, draws=draws)
            solves |= {draws: partial(solve, work, levels), f"{draws} drift": drift_alone(work, solve)}
    return solves


def compare(work: Work, seconds: Mapping[str, Seconds], peers: Sequence[Peer]) -> Iterator[Ratio]:
    """What the seconds say."""
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    ours = seconds["em"]

    def ratio(
        case: str, what: str, values: Seconds, used: str, *, most: float | None = None, least: float | None = None
    ) -> Ratio:
        value = median(values)
        timed = {name: medians[name] for name in used.split(", ")}
        return Ratio(case, str(work), what, value, *_judge(value.value, most, least), timed)

    if "bare" in seconds:
        yield ratio("em", "EM / bare torch loop", ours / seconds["bare"], "em, bare", most=MOST_OF_BARE)
    for peer in peers:
        yield ratio("peers", f"{peer.name} / EM", seconds[peer.name] / ours, f"em, {peer.name}", least=peer.least)
    for draws, most in zip(DRAWS, (MOST_OVERHEAD, None), strict=True):
        if draws in seconds:
            used = f"em, em drift, {draws}, {draws} drift"
            share = ((seconds[draws] - seconds[f"{draws} drift"]) - (ours - seconds["em drift"])) / ours
            yield ratio("overhead", f"ML-EM's overhead / EM, {draws} coins", share, used, most=most)


def _judge(value: float, most: float | None = None, least: float | None = None) -> tuple[str, bool | None]:
    """The target in words, and whether the value meets it."""
    if most is not None:
        return f"≤ {most:g}", value <= most
    if least is not None:
        return f"≥ {least:g}", value >= least
    return "", None


def hierarchy(work: Work) -> Hierarchy:
    """Levels whose drifts are one multiplication each, the cheapest that there are: nothing hides the overhead. The last is
    the drift of the equation."""
    rates = [1.0 - 2.0**-k for k in range(1, _LEVELS)] + [1.0]
    drifts = [mlem.problems.get("ornstein-uhlenbeck", dim=work.dim, noise=NOISE, rate=rate).drift for rate in rates]
    return Hierarchy([Level(drift, 2.0 ** (_GAMMA * k)) for k, drift in enumerate(drifts, start=1)], sde=work.sde)


def em(work: Work, levels: Hierarchy) -> Tensor:
    """Our Euler–Maruyama with the last level; making the path and the initial states belongs to it."""
    path = BrownianPath(work.batch, work.sde.shape, work.steps, 1.0, SEED, dtype=torch.float32)
    initial = work.sde.initial(work.batch, SEED, dtype=torch.float32)
    return euler_maruyama(work.sde, levels[-1], steps=work.steps, path=path, initial=initial).final


def multilevel(work: Work, levels: Hierarchy, *, draws: str) -> Tensor:
    """Our ML-EM by the paper's rule with p_1 = 1: about 1.3 evaluations a step."""
    path = BrownianPath(work.batch, work.sde.shape, work.steps, 1.0, SEED, dtype=torch.float32)
    initial = work.sde.initial(work.batch, SEED, dtype=torch.float32)
    p = power_law(_GAMMA, 2.0 ** (1 + _GAMMA / 2))
    return multilevel_euler_maruyama(
        work.sde, levels, p, steps=work.steps, path=path, initial=initial, draws=draws, seed=SEED
    ).final


def drift_alone(work: Work, method: Callable[[Work, Hierarchy], Tensor]) -> Solve:
    """The evaluations of drifts that ``method`` makes, in number, order and shape, and nothing else."""
    calls, state, levels = list[tuple[Drift, int]](), torch.ones(work.batch, work.dim), hierarchy(work)

    def noted(drift: Drift) -> Drift:
        def noting(x: Tensor, t: float) -> Tensor:
            calls.append((drift, len(x)))
            return drift(x, t)

        return noting

    watched = Hierarchy([Level(noted(level.drift), level.cost) for level in levels], sde=work.sde)
    calls.clear()  # a hierarchy tries its drifts
    method(work, watched)
    evaluations = [(drift, state[:rows]) for drift, rows in calls]

    def solve() -> None:
        for drift, x in evaluations:
            drift(x, 0.0)

    return solve


def interleaved(solves: Mapping[Work, Mapping[str, Solve]], repeats: int, tell: Report) -> dict[Work, dict[str, Seconds]]:
    """Seconds of each solve in each round, after a round that does not count. Python's collector of garbage runs between
    rounds only: else it would charge one solve with what another left."""
    seconds = {work: {name: np.zeros(repeats + 1) for name in named} for work, named in solves.items()}
    for n in range(repeats + 1):
        gc.collect()
        gc.disable()
        try:
            for work, named in solves.items():
                for name, solve in named.items():
                    began = time.process_time()
                    solve()
                    seconds[work][name][n] = time.process_time() - began
        finally:
            gc.enable()
        tell((n + 1) / (repeats + 1))
    return {work: {name: times[1:] for name, times in named.items()} for work, named in seconds.items()}


def median(values: Seconds) -> Estimate:
    """Median with a 95 % interval between order statistics: as many values are cut off at each end as a fair coin, thrown
    once for each, would make so few heads of with probability ≤ 2.5 %. At least 6 values."""
    ordered, n = np.sort(values), len(values)
    chances = np.cumsum([math.comb(n, heads) * 0.5**n for heads in range(n)])
    cut = int((chances <= _TAIL).sum()) - 1
    return Estimate(float(np.median(ordered)), float(ordered[cut]), float(ordered[n - 1 - cut]))


@contextmanager
def _one_processor() -> Iterator[None]:
    """One thread of torch; and in effect of others, whose threads inherit the one processor (where the system can do that)."""
    threads, processors = torch.get_num_threads(), _processors()
    torch.set_num_threads(1)
    if processors:
        os.sched_setaffinity(0, {max(processors)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if processors:
            os.sched_setaffinity(0, processors)


def _processors() -> set[int]:
    """The processors that this thread may use; none where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _memory(work: Work) -> Memory:
    """Runs ``work`` in a new process, whose peak is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        peak, kept, seconds = pool.submit(long_run, work).result()
    every = 8e-9 * (work.steps + 1) * work.batch * work.dim
    return Memory(str(work), peak, kept, every, *_judge(peak, most=MOST_GB), seconds)


def long_run(work: Work) -> tuple[float, int, float]:
    """Runs EM in double precision. Returns this process's peak resident memory in 10^9 bytes, the states that were kept though
    none was asked for, and the seconds."""
    torch.set_num_threads(1)
    path = BrownianPath(work.batch, work.sde.shape, work.steps, 1.0, SEED)
    initial = work.sde.initial(work.batch, SEED)
    solution = euler_maruyama(work.sde, work.sde.drift, steps=work.steps, path=path, initial=initial)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    peak = 1e-9 * unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak, len(solution.saved), solution.seconds


EXPERIMENT = Experiment("bench", "How fast is the library, beside others that do the same work?", BenchParams, run)
