"""The pool is stepped by hand, on a clock of the test's own, wherever that says enough."""

from __future__ import annotations

import ast
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlem import jobs
from mlem.jobs import PATIENCE, Abandoned, Factory, Pool, Snapshot, Step, sliced
from tests.conftest import Clock

LONG = 10  # s, to wait for another thread at most


def counting(log: list[str], name: str, parts: int = 3) -> Factory[str]:
    """Parts a0, a1, …, each a step; ``log`` keeps what was made, in order."""

    def steps(start: int) -> Iterator[Step[str]]:
        for n in range(start, parts):
            log.append(f"{name}{n}")
            yield (n + 1) / parts, f"{name}{n}"

    return steps


def run_out(pool: Pool) -> None:
    while pool.step():
        pass


def test_a_job_gives_its_parts_and_ends(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[str]()
    assert pool.poll("a", counting(log, "a")) == Snapshot(turn=1)
    assert pool.step()
    assert pool.poll("a", counting(log, "a")) == Snapshot(("a0",), 1 / 3, turn=1)
    run_out(pool)
    ended = pool.poll("a", counting(log, "a"))
    assert ended == Snapshot(("a0", "a1", "a2"), 1.0, finished=True)
    assert ended.over
    assert not pool.step()
    assert log == ["a0", "a1", "a2"]


def test_turns_go_round(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[str]()
    pool.poll("long", counting(log, "l", parts=5))
    pool.step()
    pool.poll("short", counting(log, "s", parts=2))
    pool.poll("late", counting(log, "t", parts=1))
    assert [pool.peek(key).turn for key in ("long", "short", "late")] == [3, 1, 2]  # the first has a part
    run_out(pool)
    assert log == ["l0", "s0", "t0", "l1", "s1", "l2", "l3", "l4"]


def test_jobs_that_begin_show_something_one_after_the_other(clock: Clock) -> None:
    """Each has its first part after ten steps: with fair turns all had waited for nearly all fifty."""
    pool, shown = Pool(0, patience=LONG, clock=clock), dict[str, float]()

    def steps(name: str) -> Iterator[Step[str]]:
        for n in range(1, 41):
            clock.now += 0.1
            if n == 10:
                shown[name] = clock.now
            yield n / 40, name if n % 10 == 0 else None

    names = ["a", "b", "c", "d", "e"]
    for _ in range(70):
        for name in names:
            pool.poll(name, lambda start, name=name: steps(name))  # type: ignore[misc]
        pool.step()
    assert shown == pytest.approx({name: 1.0 + n for n, name in enumerate(names)})


def test_a_job_that_shows_nothing_for_long_keeps_no_other_back(clock: Clock) -> None:
    pool, ended = Pool(0, patience=1000, clock=clock), dict[str, float]()

    def steps(name: str, seconds: int) -> Iterator[Step[str]]:
        for n in range(seconds):
            clock.now += 1.0
            yield n / seconds, None
        ended[name] = clock.now

    pool.poll("long", lambda start: steps("long", 50))
    pool.poll("short", lambda start: steps("short", 5))
    run_out(pool)
    assert ended["short"] <= 2 * 5 + 1


def test_who_has_taken_least_comes_first(clock: Clock) -> None:
    """A job that begins beside others has turns until it has had as much time as they."""
    pool, order = Pool(0, patience=LONG, clock=clock), list[str]()

    def steps(name: str) -> Iterator[Step[str]]:
        for n in range(6):
            clock.now += 1.0
            order.append(name)
            yield n / 6, None

    pool.poll("old", lambda start: steps("old"))
    for _ in range(3):
        pool.step()
    assert pool.poll("new", lambda start: steps("new")).turn == 1
    assert pool.peek("old").turn == 2
    for _ in range(5):
        pool.step()
    assert order == ["old"] * 3 + ["new"] * 3 + ["old", "new"]


def test_one_key_is_one_job_for_all(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[str]()
    pool.poll(("sweep", 1), counting(log, "a"))
    pool.step()
    assert pool.poll(("sweep", 1), counting(log, "b")).parts == ("a0",)
    run_out(pool)
    assert log == ["a0", "a1", "a2"]
    assert pool.poll(("sweep", 1), counting(log, "c")).parts[0] is pool.peek(("sweep", 1)).parts[0]


def test_who_looks_on_cannot_change_what_others_see(clock: Clock) -> None:
    pool = Pool(0, clock=clock)
    before = pool.poll("a", counting([], "a"))
    pool.step()
    assert before.parts == ()
    assert isinstance(pool.peek("a").parts, tuple)
    with pytest.raises(AttributeError):
        before.done = 1.0  # type: ignore[misc]


def test_a_job_that_nobody_polls_is_dropped_and_taken_up_where_it_stood(clock: Clock) -> None:
    pool, log, starts = Pool(0, clock=clock), list[str](), list[int]()

    def steps(start: int) -> Iterator[Step[str]]:
        starts.append(start)
        try:
            yield from counting(log, "a")(start)
        finally:
            log.append("closed")

    pool.poll("a", steps)
    pool.step()
    clock.now = PATIENCE
    pool.step()
    clock.now += 0.01
    assert pool.step()  # its turn, in which it is dropped
    assert not pool.step()
    assert log == ["a0", "a1", "closed"]
    assert pool.peek("a") == Snapshot(("a0", "a1"), 2 / 3)
    assert pool.poll("a", steps).turn == 1
    run_out(pool)
    assert pool.peek("a").parts == ("a0", "a1", "a2")
    assert starts == [0, 2]


def test_looking_is_not_polling(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[str]()
    assert pool.peek("a") == Snapshot()
    pool.poll("a", counting(log, "a"))
    clock.now = PATIENCE + 1
    pool.peek("a")
    run_out(pool)
    assert log == []


def test_other_watchers_keep_a_job_alive(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[str]()
    for _ in range(3):
        pool.poll("a", counting(log, "a"))
        pool.step()
        clock.now += PATIENCE
    run_out(pool)
    assert log == ["a0", "a1", "a2"]


def test_an_error_is_told_with_the_parts_before_it(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    pool, calls = Pool(0, clock=clock), list[int]()

    def steps(start: int) -> Iterator[Step[str]]:
        calls.append(start)
        yield 0.5, "one"
        raise ValueError("levels takes an integer ≥ 1, got 0")

    pool.poll("bad", steps)
    pool.poll("good", counting([], "g"))
    run_out(pool)
    told = pool.poll("bad", steps)
    assert told == Snapshot(("one",), 0.5, error="ValueError: levels takes an integer ≥ 1, got 0")
    assert told.over
    assert not pool.step()
    assert calls == [0]
    assert "Traceback" in caplog.text
    assert pool.peek("good").finished


def test_a_factory_that_fails_is_told_too(clock: Clock) -> None:
    pool = Pool(0, clock=clock)

    def steps(start: int) -> Iterator[Step[str]]:
        raise KeyError("no such problem")

    pool.poll("bad", steps)
    run_out(pool)
    assert pool.peek("bad").error == "KeyError: 'no such problem'"


def test_a_job_that_cannot_be_closed_harms_no_other(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(0, clock=clock)

    def steps(start: int) -> Iterator[Step[str]]:
        try:
            while True:
                yield 0.1, None
        finally:
            raise OSError("stuck")

    pool.poll("bad", steps)
    pool.step()
    clock.now = PATIENCE + 1
    pool.poll("good", counting([], "g"))
    run_out(pool)
    assert pool.peek("good").finished
    assert "stuck" in caplog.text


def test_a_job_has_only_so_many_seconds(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock, seconds=2.0), list[str]()

    def steps(start: int) -> Iterator[Step[str]]:
        for step in counting(log, "a", parts=9)(start):
            clock.now += 1.0
            yield step

    pool.poll("a", steps)
    pool.step()
    clock.now += 3.0  # seconds in which others have their turn do not count
    pool.poll("a", steps)
    run_out(pool)
    told = pool.peek("a")
    assert (told.seconds, told.parts) == (3.0, ("a0", "a1", "a2"))
    assert told.error == "no computation may take more than 2 s here, and this one did"


def test_steps_without_a_part_move_the_fraction_alone(clock: Clock) -> None:
    pool = Pool(0, clock=clock)
    pool.poll("a", lambda start: iter([(0.25, None), (0.5, "x")]))
    pool.step()
    assert pool.peek("a") == Snapshot((), 0.25, turn=1)
    pool.step()
    assert pool.peek("a") == Snapshot(("x",), 0.5, turn=1)


def test_only_so_many_jobs_are_kept_those_polled_last(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock, jobs=2), list[str]()
    for name in "ab":
        pool.poll(name, counting(log, name, parts=1))
    refused = pool.poll("c", counting(log, "c"))
    assert refused.error is not None
    assert refused.error.startswith("2 other computations are under way here")
    run_out(pool)
    pool.poll("a", counting(log, "a"))
    assert pool.poll("c", counting(log, "c", parts=1)).error is None
    assert pool.peek("b") == Snapshot()  # made room
    assert pool.peek("a").finished


def test_only_so_much_memory_is_kept(clock: Clock) -> None:
    def arrays(count: int) -> Factory[tuple[np.ndarray, ...]]:
        return lambda start: iter([(0.1, ({"x": np.zeros(64)},)) for _ in range(count)])  # type: ignore[misc]

    pool = Pool(0, clock=clock, memory=4 * 512)
    pool.poll("a", arrays(2))
    run_out(pool)
    pool.poll("b", arrays(2))
    run_out(pool)
    assert (pool.peek("a").finished, pool.peek("b").finished) == (True, True)
    pool.poll("c", arrays(1))
    run_out(pool)
    assert pool.peek("a") == Snapshot()  # was polled before b
    assert pool.peek("b").finished
    pool.poll("d", arrays(9))
    run_out(pool)
    told = pool.peek("d").error
    assert told is not None
    assert "MiB for results" in told


def test_parts_are_weighed_wherever_their_arrays_are(clock: Clock) -> None:
    import torch

    from mlem.errors import Estimate
    from mlem.jobs import _memory
    from mlem.planning import ErrorModel

    model = ErrorModel(np.zeros(3), 0.1, np.zeros(2), np.zeros(2), np.zeros(3), 1)
    assert _memory([model, {"final": torch.zeros(5, 2)}, Estimate(1.0, 0.0, 2.0), "text"]) == 10 * 8 + 10 * 4


def test_workers_are_daemons_that_begin_with_the_first_job() -> None:
    before = set(threading.enumerate())
    pool = Pool(2)
    assert set(threading.enumerate()) == before
    made = queue.Queue[str]()

    def steps(start: int) -> Iterator[Step[str]]:
        for n in range(start, 3):
            made.put(threading.current_thread().name)
            yield n / 3, f"part {n}"

    for key in ("a", "b"):
        pool.poll(key, steps)
    names = {made.get(timeout=LONG) for _ in range(6)}
    assert names == {"mlem-jobs"}
    new = [thread for thread in threading.enumerate() if thread.name == "mlem-jobs" and thread not in before]
    assert len(new) == 2
    assert all(thread.daemon for thread in new)


def test_two_workers_never_share_a_job() -> None:
    pool, inside, ended = Pool(2), threading.Semaphore(1), threading.Event()

    def steps(start: int) -> Iterator[Step[int]]:
        for n in range(start, 200):
            assert inside.acquire(blocking=False)
            inside.release()
            yield n / 200, n
        ended.set()

    pool.poll("a", steps)
    pool.poll("b", lambda start: iter([(0.0, None)] * 200))
    assert ended.wait(LONG)
    assert pool.peek("a").error is None
    assert pool.peek("a").parts == tuple(range(200))


def test_held_jobs_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_LONGEST_HOLD", LONG)
    pool, ended = Pool(1), threading.Event()

    def steps(start: int) -> Iterator[Step[str]]:
        yield 0.5, "one"
        ended.set()

    with pool.hold(), pool.hold():
        pool.poll("a", steps)
        assert not ended.wait(0.05)
    assert ended.wait(LONG / 2)


def test_a_long_hold_lets_jobs_have_a_turn_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_LONGEST_HOLD", 0.01)
    pool, ended = Pool(1), threading.Event()

    def steps(start: int) -> Iterator[Step[str]]:
        yield 0.5, "one"
        ended.set()

    with pool.hold():
        pool.poll("a", steps)
        assert ended.wait(LONG)


def test_a_hold_ends_with_an_error() -> None:
    pool = Pool(0)
    with pytest.raises(KeyError), pool.hold():
        raise KeyError
    assert pool._held == 0


def test_jobs_need_nothing_but_python() -> None:
    source = Path(jobs.__file__).read_text(encoding="utf-8")
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    names = {alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names}
    assert modules | names <= sys.stdlib_module_names | {"__future__", "collections.abc"}


def work(report: object, log: list[float]) -> str:
    for done in (0.25, 0.5, 0.75):
        log.append(done)
        report(done)  # type: ignore[operator]
    return "made"


def test_sliced_work_stands_still_between_slices() -> None:
    log = list[float]()
    slices = sliced(lambda report: work(report, log), seconds=0.0)
    assert next(slices) == (0.25, None)
    assert log == [0.25]
    assert next(slices) == (0.5, None)
    assert log == [0.25, 0.5]
    assert next(slices) == (0.75, None)
    with pytest.raises(StopIteration) as ended:
        next(slices)
    assert ended.value.value == "made"


def test_sliced_work_can_be_a_share_of_a_job() -> None:
    slices = sliced(lambda report: work(report, []), begin=0.5, end=0.75, seconds=0.0)
    assert list(slices) == [(0.5625, None), (0.625, None), (0.6875, None)]


def test_short_work_is_not_cut() -> None:
    slices = sliced(lambda report: work(report, []), seconds=float(LONG))
    with pytest.raises(StopIteration) as ended:
        next(slices)
    assert ended.value.value == "made"


def test_an_error_in_sliced_work_is_the_generators() -> None:
    def fails(report: object) -> None:
        raise ValueError("steps must divide 20160")

    with pytest.raises(ValueError, match="steps must divide"):
        next(sliced(fails, seconds=0.0))


def test_closing_ends_the_work() -> None:
    log, raised, threads = list[float](), list[type[BaseException]](), list[threading.Thread]()

    def watched(report: object) -> str:
        threads.append(threading.current_thread())
        try:
            return work(report, log)
        except BaseException as error:
            raised.append(type(error))
            raise

    slices = sliced(watched, seconds=0.0)
    next(slices)
    slices.close()
    assert log == [0.25]
    assert raised == [Abandoned]
    assert not threads[0].is_alive()


def test_a_dropped_job_ends_its_sliced_work(clock: Clock) -> None:
    pool, log = Pool(0, clock=clock), list[float]()

    def steps(start: int) -> Iterator[Step[str]]:
        made = yield from sliced(lambda report: work(report, log), seconds=0.0)
        yield 1.0, made

    pool.poll("a", steps)
    pool.step()
    clock.now = PATIENCE + 1
    run_out(pool)
    assert log == [0.25]
    pool.poll("a", steps)
    run_out(pool)
    assert pool.peek("a").parts == ("made",)
    assert log == [0.25, 0.25, 0.5, 0.75]
