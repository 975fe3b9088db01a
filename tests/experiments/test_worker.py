"""What the worker computes are the numbers that this process would compute; it may be killed, and is not missed."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from functools import cache
from itertools import islice
from tempfile import TemporaryFile
from types import SimpleNamespace

import numpy as np
import pytest

from mlem.errors import NonFiniteStep
from mlem.experiments import coin, race, store, worker
from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams
from mlem.experiments.result import differences, plain
from mlem.experiments.worker import Worker, WorkerEnded, serve
from mlem.jobs import Step
from mlem.planning import ErrorModel, Unreachable
from mlem.sweeps import Part, Run

SMALL = ConvergenceParams(levels=4, paths=32)


@pytest.fixture
def own() -> Iterator[Worker]:
    """A process of the test's own, which ends with it."""
    one = Worker()
    yield one
    kill(one)


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    """A process of the tests that let it live."""
    one = Worker()
    yield one
    kill(one)


def kill(one: Worker) -> None:
    if (process := one._process) is not None:
        process.kill()
        process.communicate()


@cache
def here() -> tuple[Part, ...]:
    """The parts as this process computes them."""
    return tuple(parts(store.steps(SMALL)))


def parts(steps: Iterator[Step[Part]]) -> Iterator[Part]:
    return (part for _, part in steps if part is not None)


def same(one: object, other: object) -> bool:
    """But for the seconds of runs."""
    if isinstance(one, Part | Run | ErrorModel):
        names = [field.name for field in fields(one) if field.name != "seconds"]
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(
    ("chosen", "params"),
    [(coin.EXPERIMENT, CoinParams(draws=10)), (race.EXPERIMENT, RaceParams(sde="double-well", epsilon=0.2, paths=16))],
)
def test_results_are_the_same(shared: Worker, chosen: Experiment, params: Params) -> None:
    here, there = chosen.run(params, None), shared.result(chosen, params)
    assert type(here) is type(there)
    assert differences(plain(here), plain(there)) == []


@pytest.mark.parametrize(
    "error", [NonFiniteStep(7, 0.5, None, 3, 9.0), NonFiniteStep(7, 0.5, 2, 3, 1.0), Unreachable(0.1, 0.2)]
)
def test_why_there_is_no_result_is_raised_here(monkeypatch: pytest.MonkeyPatch, error: NonFiniteStep | Unreachable) -> None:
    def run(params: Params, report: None) -> None:
        raise error

    monkeypatch.setattr(worker, "get", lambda name: Experiment(name, "?", CoinParams, run))  # type: ignore[arg-type]
    (told,) = answered({"run": "coin", "params": asdict(CoinParams())})
    monkeypatch.setattr(Worker, "_ask", lambda *_, **__: (told, {}))
    with pytest.raises(type(error)) as raised:
        Worker().result(coin.EXPERIMENT, CoinParams())
    assert (str(raised.value), vars(raised.value)) == (str(error), vars(error))


def test_what_cannot_be_reached_is_told_by_the_process(shared: Worker) -> None:
    with pytest.raises(Unreachable, match="add levels or ask for less"):
        shared.result(race.EXPERIMENT, RaceParams(levels=3, epsilon=0.001))


def test_what_fails_there_is_raised_here(shared: Worker) -> None:
    with pytest.raises(RuntimeError, match="ValueError: experiment takes one of"):
        shared.result(replace(coin.EXPERIMENT, name="none"), CoinParams())


def test_parts_are_the_same(shared: Worker) -> None:
    assert same(tuple(islice(parts(shared.steps("sweep", SMALL)), 3)), here()[:3])
    assert not same(here()[:1], here()[1:2])


def test_it_begins_where_it_is_told_and_ends(shared: Worker) -> None:
    steps = list(shared.steps("sweep", SMALL, len(here()) - 2))
    assert same(tuple(parts(iter(steps))), here()[-2:])
    assert steps[-1][0] == 1.0


def test_a_sweep_goes_on_though_the_process_is_killed(own: Worker) -> None:
    seen = list[Part]()
    for part in islice(parts(own.steps("sweep", SMALL)), 3):
        seen.append(part)
        kill(own)
    assert same(tuple(seen), here()[:3])


def test_where_each_process_ends_the_sweep_fails(own: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "__spec__", SimpleNamespace(name="mlem.errors"))  # which ends at once
    with pytest.raises(WorkerEnded, match="has ended, twice; there may be too little memory"):
        next(own.steps("sweep", SMALL))


def test_two_sweeps_take_turns(shared: Worker) -> None:
    other = replace(SMALL, seed=1)
    one, two = parts(shared.steps("sweep", SMALL)), parts(shared.steps("sweep", other))
    for mine, yours in zip(islice(one, 2), islice(two, 2), strict=True):
        assert same(mine.runs[0].piece, yours.runs[0].piece)
        assert not same(mine.runs, yours.runs)


def test_what_is_waited_for_comes_before_jobs() -> None:
    one, order = Worker(), list[str]()

    def asks(name: str, awaited: bool) -> None:
        with one._turn(awaited=awaited):
            order.append(name)

    with one._turn():
        threads = [threading.Thread(target=asks, args=("job", False)) for _ in range(3)]
        threads.append(threading.Thread(target=asks, args=("result", True)))
        for thread in threads:
            thread.start()
        while one._awaited == 0:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == ["result", "job", "job", "job"]


def test_it_is_not_interrupted_with_the_server(own: Worker) -> None:
    """Whoever ends the server from a terminal interrupts both: the process ends when its input does."""
    steps = parts(own.steps("sweep", SMALL))
    next(steps)
    process = own._process
    assert process is not None
    process.send_signal(signal.SIGINT)
    assert same(next(steps), here()[1])
    assert process.poll() is None
    process.communicate()  # closes its input
    assert process.returncode == 0


def test_what_a_sweep_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(params: ConvergenceParams, start: int) -> Iterator[Step[Part]]:
        yield 0.5, None
        raise ValueError("no such thing")

    monkeypatch.setattr(store, "steps", fails)
    request = {"job": 0, "kind": "sweep", "params": asdict(SMALL), "parts": 0}
    assert answered(request, request) == [
        {"done": 0.5, "part": None, "bytes": 0},
        {"error": "ValueError: no such thing", "bytes": 0},
    ]


def test_a_job_that_is_forgotten_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = list[int]()

    def watched(params: ConvergenceParams, start: int) -> Iterator[Step[Part]]:
        try:
            yield 0.25, None
            yield 0.5, None
        finally:
            closed.append(start)

    monkeypatch.setattr(store, "steps", watched)
    ask = {"job": 0, "kind": "sweep", "params": asdict(SMALL), "parts": 7}
    told = answered(ask, ask, {"forget": 0}, {"forget": 5}, ask)
    assert [answer["done"] for answer in told] == [0.25, 0.5, 0.25]
    assert closed[0] == 7


def answered(*requests: dict[str, object]) -> list[dict[str, object]]:
    """What the process answers to ``requests``, in this one."""
    with TemporaryFile() as asked, TemporaryFile() as answers:
        for request in requests:
            worker._write(asked, request)
        asked.seek(0)
        serve(asked, answers)
        answers.seek(0)
        return [json.loads(line) for line in answers]
