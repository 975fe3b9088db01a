"""Bench app: does the app hold a class? Sessions join at once, move controls, run sweeps, leave and come back, on one server.

``python -m mlem bench app`` starts a server on this machine, or takes the one on ``--port``. Sessions speak Streamlit's
protocol (tab.py) and draw nothing: to their seconds a browser adds its painting, and a first visit the fetching of Streamlit's
own files. The tool runs on the same processors as the server and takes a share of them, which is told.

Phases, one after the other (classroom.py): the first visitor of each page, alone; all join at once; all move controls; so they
do while one, and then while ``sweeps`` of them, run sweeps that nobody has stored; those leave, and the server is watched until
it rests; all close their tabs and open their links again; and, if ``minutes`` are given, all that goes on for so long, so that
it shows whether memory stays where it is.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

import numpy as np

from mlem.experiments import fields
from mlem.experiments.bench import Machine
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, choice, integer, number
from mlem.experiments.result import Result, Row
from mlem.march import Report
from mlem.ui.classroom import Classroom, Sample
from mlem.ui.serving import serving

MOST_JOIN, MOST_MOVE, MOST_MOVE_BESIDE_SWEEPS = 2.0, 0.150, 0.300  # s
MOST_REST, MOST_GB = 5.0, 1.5

_ERRORS = 20  # different ones that are told


@dataclass(frozen=True)
class AppParams(Params):
    """How many sessions there are, and for how long."""

    sessions: int = integer(60, low=1, high=200, label="Sessions", help="All join at once.")
    sweeps: int = integer(5, low=0, high=20, label="Sweeps", help="Sessions that run sweeps while all others move controls.")
    seconds: float = number(60.0, low=1.0, high=3600.0, label="Seconds", help="How long each phase of moves is.")
    think: float = number(2.0, low=0.1, high=60.0, label="Seconds between moves", help="On average, of each session.")
    minutes: float = number(
        0.0, low=0.0, high=600.0, label="Minutes of coming and going", help="In the end, to see whether memory is flat."
    )
    moves: str = choice(
        "lesson",
        choices={"lesson": "γ and presets", "any": "Any control"},
        label="Moves",
        help="A lesson's γ and presets, which the server soon knows; or any control, which makes it compute nearly each time.",
    )
    port: int | None = integer(
        None, low=1, high=65535, label="Port", help="Of a running server on this machine; if not given, one is started."
    )
    seed: int = fields.seed("Of what sessions do.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sweeps and self.sweeps >= self.sessions:
            raise ValueError(f"sweeps takes less than the {self.sessions} sessions, got {self.sweeps}")


@dataclass(frozen=True)
class Timing:
    """Seconds of one kind of request in one phase: how many, median, 95th percentile, longest; the target in words, and whether
    it is met; empty and None where there is none."""

    phase: str
    what: str
    count: int
    p50: float
    p95: float
    longest: float
    target: str
    met: bool | None


@dataclass(frozen=True)
class AppResult(Result):
    """``rest``: seconds from the last sweep's leaving until the server rested, and ``memory``: [seconds, 10^9 bytes] of the
    server over time; None and empty where the server is not this tool's own. ``soak``: memory at start, middle and end of the
    minutes of coming and going, each the median of a tenth of them; empty where there were none. ``shares``: processors that
    the server kept busy, by phase; ``own_share``: those that this tool did. ``errors``: what went wrong, and how often."""

    timings: tuple[Timing, ...]
    errors: dict[str, int]
    rest: float | None
    memory: tuple[tuple[float, float], ...]
    soak: tuple[float, ...]
    shares: dict[str, float]
    own_share: float
    machine: Machine

    @property
    def peak(self) -> float | None:
        """The most memory, 10^9 bytes."""
        return max((size for _, size in self.memory), default=None)

    @property
    def growth(self) -> float | None:
        """How much more memory is taken at the end than when half of the time was over, 10^9 bytes."""
        half = len(self.memory) // 2
        return self.memory[-1][1] - self.memory[half][1] if half else None

    def rows(self) -> list[Row]:
        """One line per phase and kind of request; then errors, rest and memory."""
        lines = [
            _row(t.phase, f"{t.what}, ms", t.count, [1e3 * t.p50, 1e3 * t.p95, 1e3 * t.longest], t.target, t.met)
            for t in self.timings
        ]
        failed = sum(self.errors.values())
        lines.append(_row("all", "errors", failed, [], "0", failed == 0))
        if self.rest is not None:
            met = self.rest <= MOST_REST
            lines.append(_row("sweeps left", "until the server rests, s", 1, [self.rest], f"≤ {MOST_REST:g}", met))
        if self.peak is not None:
            lines.append(_row("all", "memory, GB", len(self.memory), [self.peak], f"≤ {MOST_GB:g}", self.peak <= MOST_GB))
        if self.growth is not None:
            lines.append(_row("all", "memory gained in the second half, GB", len(self.memory), [self.growth], "", None))
        for when, size in zip(("start", "middle", "end"), self.soak, strict=False):
            lines.append(_row("coming and going", f"memory at its {when}, GB", 1, [size], "", None))
        return lines

    def summary(self) -> str:
        """The outcome in a few sentences."""
        judged = [row for row in self.rows() if row["target"]]
        missed = [f"{row['what']} ({row['phase']})" for row in judged if row["verdict"] == "missed"]
        parts = [f"{len(judged) - len(missed)} of {len(judged)} targets met."]
        if missed:
            parts.append(f"Missed: {'; '.join(missed)}.")
        parts += [f"{count} × {text}." for text, count in self.errors.items()]
        if self.shares:
            busy = ", ".join(f"{share:.2f} ({phase})" for phase, share in self.shares.items())
            parts.append(f"Processors that the server kept busy: {busy}.")
        parts.append(
            f"This tool took {self.own_share:.2f} of {self.machine.processors} processors, whose load before the start was "
            f"{self.machine.load:.2g}."
        )
        return " ".join(parts)


def _row(phase: str, what: str, count: int, numbers: list[float], target: str, met: bool | None) -> Row:
    """``numbers`` are median, 95th percentile and longest, or the last one alone."""
    columns = dict.fromkeys(("p50", "p95", "longest"), "") | dict(
        zip(("longest", "p95", "p50"), reversed(numbers), strict=False)
    )
    verdict = {True: "met", False: "missed", None: "for information"}[met]
    return {"phase": phase, "what": what, "count": count, **columns, "target": target, "verdict": verdict}


def run(params: AppParams, report: Report | None = None) -> AppResult:
    """Drives the sessions. Raises ValueError where no server answers."""
    machine = Machine(os.cpu_count() or 1, os.getloadavg()[0], {})
    with serving(params.port) as server:
        began, own = time.perf_counter(), time.process_time()
        room = Classroom(
            server,
            sessions=params.sessions,
            sweeps=params.sweeps,
            seconds=params.seconds,
            think=params.think,
            minutes=params.minutes,
            any_control=params.moves == "any",
            seed=params.seed,
            tell=report or (lambda done: None),
        )
        asyncio.run(room.lesson())
        own_share = (time.process_time() - own) / (time.perf_counter() - began)
    return AppResult(
        timings=tuple(_timing(sample) for sample in room.samples.values()),
        errors=dict(room.errors.most_common(_ERRORS)),
        rest=room.rest,
        memory=tuple(room.memory),
        soak=_soak([size for second, size in room.memory if second >= room.soaked_from]) if params.minutes else (),
        shares=room.shares,
        own_share=own_share,
        machine=machine,
    )


def _soak(sizes: list[float]) -> tuple[float, ...]:
    """Medians of the first tenth, of that in the middle and of the last one; nothing where memory cannot be told."""
    tenth, middle = max(1, len(sizes) // 10), len(sizes) // 2
    parts = (sizes[:tenth], sizes[middle - tenth // 2 : middle + tenth // 2 + 1], sizes[-tenth:])
    return tuple(float(np.median(part)) for part in parts) if sizes else ()


def _timing(sample: Sample) -> Timing:
    """Joining is judged by the last to join, moves by their 95th percentile."""
    p50, p95, longest = np.quantile(sample.seconds, [0.5, 0.95, 1.0]).tolist()
    target, met = "", None
    if sample.what == "page" and sample.phase == "all join":
        target, met = f"longest ≤ {1e3 * MOST_JOIN:g}", longest <= MOST_JOIN
    if sample.what == "control → new figure":
        most = MOST_MOVE_BESIDE_SWEEPS if sample.sweeps > 1 else MOST_MOVE
        target, met = f"p95 ≤ {1e3 * most:g}", p95 <= most
    return Timing(sample.phase, sample.what, len(sample.seconds), p50, p95, longest, target, met)


EXPERIMENT = Experiment("bench app", "Does the app hold a class?", AppParams, run)
