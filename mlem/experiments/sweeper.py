"""Sweeps in a process beside the server's. An interpreter works at one thing at a time, so that whoever moves a control would
wait for the sweeps of all others.

The process is asked by lines of JSON: for the next step of a job, or to forget a job. For a step it answers with such a line,
and with the arrays of the part that the step finished, if any. It ends when its input does, which is when the server ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import IO, Any

import safetensors.numpy
import torch

from mlem.experiments import store
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.packing import Arrays, pack, unpack
from mlem.jobs import Step
from mlem.sweeps import Part

_ROOT = Path(__file__).parents[2]
_FRUGAL = {"MALLOC_ARENA_MAX": "1"}  # else glibc keeps freed memory for each of the threads that do slices
_NICE = 5  # the server goes first where there are not enough processors for both

_log = logging.getLogger(__name__)


class Sweeper:
    """The process, which is started when it is first wanted, and again where it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = count()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the process, if there is none; it is ready a second or two later."""
        if self._ended():
            with self._lock:
                self._running()

    def steps(self, params: ConvergenceParams, start: int = 0) -> Generator[Step[Part], None, None]:
        """As ``store.steps``, with the same numbers. If the process has ended, the job goes on in another one, after its last
        part. Raises RuntimeError where that ends, too, or the sweep fails."""
        job, parts = next(self._jobs), start
        try:
            while True:
                told, arrays = self._ask({"job": job, "params": asdict(params), "parts": parts})
                if "error" in told:
                    raise RuntimeError(told["error"])
                if "done" not in told:
                    return
                part = unpack(Part, told["part"], arrays.__getitem__) if told["part"] else None
                parts += part is not None
                yield told["done"], part
        finally:
            self._forget(job)

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
        """The answer to a request, asked again of a new process if the one that was asked has ended."""
        with self._lock:
            for _ in range(2):
                process = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                with suppress(BrokenPipeError, EOFError):
                    _write(process.stdin, request)
                    return _read(process.stdout)
                process.communicate()  # closes the pipes
                _log.warning("the process that computes sweeps has ended, with status %d", process.returncode)
        raise RuntimeError("the process that computes sweeps has ended, twice; there may be too little memory")

    def _forget(self, job: int) -> None:
        with self._lock:
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


SWEEPER = Sweeper()
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
    jobs = dict[int, Generator[Step[Part], None, None]]()
    while True:
        try:
            request, _ = _read(asked)
        except EOFError:
            return
        if "forget" in request:
            if (job := jobs.pop(request["forget"], None)) is not None:
                job.close()
            continue
        arrays = Arrays()
        try:
            told = _step(jobs, request, arrays)
        except Exception as error:
            _log.exception("a sweep failed")
            told = {"error": f"{type(error).__name__}: {error}"}
        _write(answers, told, arrays)


def _step(jobs: dict[int, Generator[Step[Part], None, None]], request: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The next step of a job, which begins if it is not known; nothing where it has none."""
    if request["job"] not in jobs:
        jobs[request["job"]] = store.steps(ConvergenceParams(**request["params"]), request["parts"])
    step = next(jobs[request["job"]], None)
    if step is None:
        return {}
    done, part = step
    return {"done": done, "part": None if part is None else pack(part, arrays)}


def main() -> None:
    """The process."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anything prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is meant for the server, whose end is the end of this
    if hasattr(os, "nice"):
        os.nice(_NICE)
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
