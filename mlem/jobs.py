"""Jobs that run while others look on, on a server that many share.

A job is a key and a factory of steps. Jobs have turns of one step each, always the one that has taken the least time so far, so
that a short job never waits for a long one to end. But those that begin go first, one after the other, so that each soon has
something to show. Whoever polls the same key sees the same job: a class of thirty on one page computes it once. A job that
nobody polls any more is dropped; it is taken up where it stood when somebody polls it again.

A step should be well under a second: what takes longer is cut by :func:`sliced`.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Step: TypeAlias = tuple[float, T | None]
"""The fraction of the job that is done, and the part that was finished: None where the step has finished none."""

Factory: TypeAlias = Callable[[int], Iterator[Step[T]]]
"""n -> the job's steps from its part number n on. It has to give the same parts each time."""

PATIENCE = 4.5  # s: with the step in progress a job ends within 5 s of the last look at it
SLICE = 0.02  # s: what a turn takes of work that is sliced
BEGINNING = 3.0  # s of a job that has no part yet, in which it goes before those that have
_LONGEST_HOLD = 0.25  # s: after which jobs have one turn

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """A job as it was when it was looked at. ``done``: the fraction; ``seconds``: what its turns have taken; ``turn``: 0 while
    it has its turn, n if n − 1 others come before it, None if it has none to come, being finished, failed or dropped."""

    parts: tuple[T, ...] = ()
    done: float = 0.0
    finished: bool = False
    error: str | None = None
    seconds: float = 0.0
    turn: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.finished or self.error is not None


@dataclass(eq=False)
class _Job:
    factory: Factory[Any]
    polled: float = 0.0
    parts: list[Any] = field(default_factory=list)
    done: float = 0.0
    finished: bool = False
    error: str | None = None
    seconds: float = 0.0
    memory: int = 0
    busy: bool = False
    steps: Iterator[Step[Any]] | None = None

    @property
    def over(self) -> bool:
        return self.finished or self.error is not None


class Pool:
    """Works on jobs by turns, in ``workers`` threads that begin with the first job; without any, :meth:`step` has to be called.

    ``patience``: seconds without a poll after which a job is dropped. ``seconds``: what one job may take. ``jobs`` and
    ``memory`` (bytes of parts): the most that is kept. Jobs that have no turn to come make room, the longest not polled first.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        patience: float = PATIENCE,
        seconds: float = 900.0,
        jobs: int = 64,
        memory: int = 2**28,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._patience, self._seconds, self._clock = workers, patience, seconds, clock
        self._most_jobs, self._most_memory = jobs, memory
        self._jobs = OrderedDict[Hashable, _Job]()  # the one polled last is last
        self._queue = list[_Job]()
        self._threads = list[threading.Thread]()
        self._held = 0
        self._changed = threading.Condition()

    def poll(self, key: Hashable, factory: Factory[T]) -> Snapshot[T]:
        """What there is of the job, which goes on for another while. It begins, or is taken up again, if it is not at work."""
        with self._changed:
            job = self._jobs.get(key) or self._admit(key, factory)
            if job is None:
                return Snapshot(error=f"{self._most_jobs} other computations are under way here; try again in a minute")
            job.polled = self._clock()
            self._jobs.move_to_end(key)
            if not (job.over or job.busy or job in self._queue):
                self._queue.append(job)
                self._wake()
            return self._snapshot(job)

    def peek(self, key: Hashable) -> Snapshot[Any]:
        """What there is of the job, which is left as it is."""
        with self._changed:
            return self._snapshot(self._jobs[key]) if key in self._jobs else Snapshot()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Meanwhile jobs stand still from their next step on, for what somebody waits for; if that takes long, they have a turn
        now and then. Two threads of small steps hinder each other more than they share: the interpreter is handed over at each
        operation."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def step(self) -> bool:
        """One turn of the next job; False if there is none."""
        with self._changed:
            if not self._queue:
                return False
            job = min(self._queue, key=_place)
            self._queue.remove(job)
            job.busy = True
            watched = self._clock() - job.polled <= self._patience
        if watched:
            self._advance(job)
        if job.over or not watched:
            self._close(job)
        with self._changed:
            job.busy = False
            if job.steps is not None:
                self._queue.append(job)
        return True

    def _advance(self, job: _Job) -> None:
        """The job's next step. Whatever it raises is told to who looks on, and logged."""
        began, step, error = self._clock(), None, None
        try:
            if job.steps is None:
                job.steps = job.factory(len(job.parts))
            step = next(job.steps, None)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            _log.exception("a job failed")
        with self._changed:
            job.seconds += self._clock() - began
            job.error, job.finished = error, step is None and error is None
            if step is not None:
                job.done, part = step
                self._keep(job, part)
            if not job.over and job.seconds > self._seconds:
                job.error = f"no computation may take more than {self._seconds:.0f} s here, and this one did"
            if job.finished:
                job.done = 1.0

    def _keep(self, job: _Job, part: object) -> None:
        if part is None:
            return
        job.parts.append(part)
        job.memory += _memory(part)
        while sum(kept.memory for kept in self._jobs.values()) > self._most_memory:
            if not self._evict():
                job.error = f"there are only {self._most_memory / 2**20:.0f} MiB for results here, and they are full"
                return

    def _admit(self, key: Hashable, factory: Factory[Any]) -> _Job | None:
        if len(self._jobs) >= self._most_jobs and not self._evict():
            return None
        return self._jobs.setdefault(key, _Job(factory))

    def _evict(self) -> bool:
        """Forgets the job that was not polled for longest, among those that have no turn to come."""
        for key, job in self._jobs.items():
            if not job.busy and job not in self._queue:
                del self._jobs[key]
                return True
        return False

    def _snapshot(self, job: _Job) -> Snapshot[Any]:
        turn = None
        if not job.over:
            turn = 0 if job.busy else sorted(self._queue, key=_place).index(job) + 1 if job in self._queue else None
        return Snapshot(tuple(job.parts), job.done, job.finished, job.error, job.seconds, turn)

    def _close(self, job: _Job) -> None:
        if isinstance(job.steps, Generator):
            try:
                job.steps.close()
            except Exception:
                _log.exception("a job could not be closed")
        job.steps = None

    def _wake(self) -> None:
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._work, name="mlem-jobs", daemon=True))
            self._threads[-1].start()
        self._changed.notify()

    def _work(self) -> None:
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # the states are small, and the server has other things to do
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                self._changed.wait_for(lambda: not self._held, _LONGEST_HOLD)
            self.step()


class Abandoned(BaseException):
    """Raised in sliced work that is not wanted any more. No error: nothing should catch it but to clean up."""


def sliced(
    work: Callable[[Callable[[float], None]], T], *, begin: float = 0.0, end: float = 1.0, seconds: float = SLICE
) -> Generator[tuple[float, None], None, T]:
    """Cuts ``work(report)``, which calls ``report`` with the fraction done every now and then, into slices of ``seconds``.

    Yields a step for each, of a job that the work brings from ``begin`` to ``end``, and returns what the work returns. The work
    has a thread of its own that stands still between slices, inside ``report``; there :class:`Abandoned` is raised if the
    generator is closed. An exception of the work is raised by the generator.
    """
    go, stand = threading.Semaphore(0), threading.Semaphore(0)
    result, errors = list[T](), list[BaseException]()
    said, until, abandoned = 0.0, 0.0, False

    def report(done: float) -> None:
        nonlocal said
        if time.monotonic() >= until:
            said = max(said, done)  # work that begins anew is not told
            stand.release()
            go.acquire()
        if abandoned:
            raise Abandoned

    def run() -> None:
        go.acquire()
        try:
            result.append(work(report))
        except BaseException as error:  # raised again by whoever asks for the next slice
            errors.append(error)
        stand.release()

    thread = threading.Thread(target=run, name="mlem-sliced", daemon=True)
    thread.start()
    try:
        while True:
            until = time.monotonic() + seconds
            go.release()
            stand.acquire()
            if result:
                return result[0]
            if errors:
                raise errors[0]
            yield begin + (end - begin) * said, None
    finally:
        abandoned = True
        go.release()
        thread.join()


def _place(job: _Job) -> tuple[bool, float]:
    """Lowest for who comes next: of jobs that begin the one that has come farthest, then the one that has taken the least."""
    begins = not job.parts and job.seconds < BEGINNING
    return (False, -job.seconds) if begins else (True, job.seconds)


def _memory(value: Any) -> int:
    """Bytes of the arrays in ``value``."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, Mapping):
        return sum(map(_memory, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_memory, value))
    return _memory(vars(value)) if is_dataclass(value) else 0
