"""A process beside the server's that computes for it. An interpreter works at one thing at a time, so that whoever moves a
control would wait for the sweeps, and the new results, of all others.

It is asked by lines of JSON: for a result, for the next step of a job, or to forget a job. It answers with such a line, and
with the arrays of what it has computed. It ends when its input does, which is when the server ends.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import safetensors.numpy
import torch

from mlem.errors import NonFiniteStep
from mlem.experiments import steps, store
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.experiment import Experiment, get
from mlem.experiments.packing import Arrays, pack, unpack
from mlem.experiments.params import Params
from mlem.experiments.result import Result
from mlem.experiments.steps import StepsParams, StepsResult
from mlem.jobs import Step
from mlem.planning import Unreachable
from mlem.sweeps import Part

Job: TypeAlias = Generator[Step[Any], None, None]

_JOBS: dict[str, tuple[Callable[[Any, int], Job], type[Params], type]] = {
    "sweep": (lambda params, start: store.steps(params, start), ConvergenceParams, Part),
    "steps": (lambda params, start: steps.steps(params, start), StepsParams, StepsResult),
}
"""By kind: (params, number of the first part) -> the job's steps, and of what types params and parts are."""

_RAISED = {kind.__name__: kind for kind in (NonFiniteStep, Unreachable)}  # pages tell these; their fields make them anew
_COMPUTED = ("race", "hierarchy", "diagnostics", "coin")  # on pages, while somebody waits for it
_ROOT = Path(__file__).parents[2]
_FRUGAL = {"MALLOC_ARENA_MAX": "1"}  # else glibc keeps freed memory for each of the threads that do slices
_SELDOM = 20  # jobs, after which freed memory is given back though others go on: to get it again takes long
_NICE = 5  # the server goes first where there are not enough processors for both

_log = logging.getLogger(__name__)


class WorkerEnded(RuntimeError):
    """The process has ended, and the one that was started in its place, too: it may be that there is too little memory."""


class Worker:
    """The process, which is started when it is first wanted, and again where it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = count()
        self._free, self._busy, self._awaited = threading.Condition(), False, 0

    def start(self) -> None:
        """Starts the process, if there is none; it is ready a second or two later."""
        if self._ended():
            with self._turn():
                self._running()

    def result(self, chosen: Experiment, params: Params) -> Result:
        """As ``chosen.run``, with the same numbers. Raises NonFiniteStep and Unreachable as that does, WorkerEnded, and
        RuntimeError for any other error."""
        told, arrays = self._ask({"run": chosen.name, "params": asdict(params)}, awaited=True)
        if "raised" in told:
            raise _RAISED[told["raised"]](**told["with"])
        result: Result = unpack(chosen.returns, told["result"], arrays.__getitem__)
        return result

    def steps(self, kind: Literal["sweep", "steps"], params: Params, start: int = 0) -> Job:
        """The steps of a job, with the same parts as here. If the process has ended, the job goes on in another one, after its
        last part. Raises WorkerEnded, and RuntimeError where the job fails."""
        job, parts = next(self._jobs), start
        try:
            while True:
                told, arrays = self._ask({"job": job, "kind": kind, "params": asdict(params), "parts": parts})
                if "done" not in told:
                    return
                part = unpack(_JOBS[kind][2], told["part"], arrays.__getitem__) if told["part"] else None
                parts += part is not None
                yield told["done"], part
        finally:
            self._forget(job)

    @contextmanager
    def _turn(self, *, awaited: bool = False) -> Iterator[None]:
        """One at a time; what somebody waits for comes before what somebody looks on."""
        with self._free:
            self._awaited += awaited
            self._free.wait_for(lambda: not self._busy and (awaited or not self._awaited))
            self._awaited -= awaited
            self._busy = True
        try:
            yield
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()

    def _ask(self, request: dict[str, Any], *, awaited: bool = False) -> tuple[dict[str, Any], Arrays]:
        """The answer to a request, asked again of a new process if the one that was asked has ended."""
        with self._turn(awaited=awaited):
            for _ in range(2):
                process = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                with suppress(BrokenPipeError, EOFError):
                    _write(process.stdin, request)
                    told, arrays = _read(process.stdout)
                    if "error" in told:
                        raise RuntimeError(told["error"])
                    return told, arrays
                process.communicate()  # closes the pipes
                _log.warning("the process that computes has ended, with status %d", process.returncode)
        raise WorkerEnded("the process that computes has ended, twice; there may be too little memory for this")

    def _forget(self, job: int) -> None:
        with self._turn():
            if self._process is not None and self._process.stdin is not None and not self._ended():
                with suppress(BrokenPipeError):
                    _write(self._process.stdin, {"forget": job})

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._ended():
            if self._process is not None:
                self._process.communicate()
            command = [sys.executable, "-m", __spec__.name]
            self._process = subprocess.Popen(
                command, cwd=_ROOT, env=os.environ | _FRUGAL, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        return self._process


WORKER = Worker()
"""The server's."""


def _write(stream: IO[bytes], told: dict[str, Any], arrays: Arrays | None = None) -> None:
    body = safetensors.numpy.save(arrays) if arrays else b""
    stream.write(json.dumps(told | {"bytes": len(body)}).encode() + b"\n" + body)
    stream.flush()


def _read(stream: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """What :func:`_write` wrote. Raises EOFError where the stream ends before that."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    told: dict[str, Any] = json.loads(line)
    body = stream.read(told["bytes"])
    if len(body) < told["bytes"]:
        raise EOFError
    return told, safetensors.numpy.load(body) if body else {}


def serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    """Answers requests as long as there are any."""
    jobs, ended = dict[int, Job](), 0
    while True:
        try:
            request, _ = _read(asked)
        except EOFError:
            return
        if "forget" in request:
            if (job := jobs.pop(request["forget"], None)) is not None:
                job.close()
                ended += 1
                if not jobs or ended % _SELDOM == 0:
                    _give_back_memory()
            continue
        arrays = Arrays()
        try:
            told = _result(request, arrays) if "run" in request else _step(jobs, request, arrays)
        except Exception as error:
            _log.exception("a computation failed")
            told = {"error": f"{type(error).__name__}: {error}"}
        _write(answers, told, arrays)


def _result(request: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The result of an experiment, or why it has none."""
    chosen = get(request["run"])
    try:
        return {"result": pack(chosen.run(chosen.params(**request["params"]), None), arrays)}
    except tuple(_RAISED.values()) as error:
        return {"raised": type(error).__name__, "with": vars(error)}


def _step(jobs: dict[int, Job], request: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The next step of a job, which begins if it is not known; nothing where it has none."""
    if request["job"] not in jobs:
        begin, params, _ = _JOBS[request["kind"]]
        jobs[request["job"]] = begin(params(**request["params"]), request["parts"])
    step = next(jobs[request["job"]], None)
    if step is None:
        return {}
    done, part = step
    return {"done": done, "part": None if part is None else pack(part, arrays)}


def _give_back_memory() -> None:
    """What C's library keeps of what was freed, where that is glibc: else it grows by megabytes with each sweep."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """The process."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anything prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is meant for the server, whose end is the end of this
    if hasattr(os, "nice"):
        os.nice(_NICE)
    torch.set_num_threads(1)
    for name in _COMPUTED:
        get(name)  # imports it
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
