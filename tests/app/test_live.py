"""A job on a page, without a browser: there fragments run with the whole page, and no clock runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.store import swept
from mlem.jobs import PATIENCE, Pool, Step
from mlem.planning import ErrorModel
from mlem.sweeps import Part
from mlem.ui import live
from tests.conftest import Clock


def letters(start: int) -> Iterator[Step[str]]:
    """A job of four parts."""
    for n in range(start, 4):
        yield (n + 1) / 4, "abcd"[n]


def failing(start: int) -> Iterator[Step[str]]:
    """A job that fails after its first part."""
    yield 0.25, "a"
    raise ValueError("levels takes an integer ≥ 1, got 0")


def page(factory: Callable[[int], Iterator[Step[str]]], key: str) -> AppTest:
    """A page of one job, which shows its parts as text."""

    def script(factory, key):  # type: ignore[no-untyped-def]  # run by its source, without this file's imports
        import streamlit as st

        from mlem.ui.live import live

        def draw(parts, done):  # type: ignore[no-untyped-def]
            st.text(" ".join(parts) + (" ." if done else ""))
            return "".join(parts) if done else None

        st.text(live(key, factory, draw, page="test"))

    return AppTest.from_function(script, args=(factory, key), default_timeout=60)


def shown(app: AppTest) -> str:
    assert not app.exception
    return str(app.text[0].value)


def progress(app: AppTest) -> str:
    return str(app.get("progress")[0].proto.text)


def test_it_fills_in_and_ends(pool: Pool) -> None:
    app = page(letters, "fills").run()
    assert shown(app) == ""
    pool.step()
    pool.step()
    assert shown(app.run()) == "a b"
    assert app.text[1].value == "None", "the page has no result yet"
    assert progress(app) == "Computing: 50% after 0.0 s"
    while pool.step():
        pass
    assert shown(app.run()) == "a b c d ."
    assert app.text[1].value == "abcd"
    assert not app.get("progress")
    assert not app.button
    assert "for all who look" in app.caption[0].value


def test_two_sessions_see_one_job(pool: Pool) -> None:
    made = list[int]()

    def steps(start: int) -> Iterator[Step[str]]:
        made.append(start)
        yield from letters(start)

    first, second = page(steps, "shared").run(), page(steps, "shared").run()
    pool.step()
    assert shown(first.run()) == shown(second.run()) == "a"
    while pool.step():
        pass
    assert shown(second.run()) == "a b c d ."
    assert made == [0]


def test_stop_and_resume(pool: Pool, clock: Clock) -> None:
    app = page(letters, "stops").run()
    pool.step()
    app.button(key="test.switch").click().run()
    assert progress(app) == "Stopped: 25% after 0.0 s"
    assert app.button[0].label == "Resume"
    clock.now = PATIENCE + 1
    assert shown(app.run()) == "a"  # runs of the page do not keep it alive
    while pool.step():
        pass
    assert shown(app.run()) == "a"
    app.button(key="test.switch").click().run()
    while pool.step():
        pass
    assert shown(app.run()) == "a b c d ."


def test_who_stops_leaves_the_job_to_the_others(pool: Pool) -> None:
    one, other = page(letters, "others").run(), page(letters, "others").run()
    one.button(key="test.switch").click().run()
    while pool.step():
        pass
    assert shown(other.run()) == "a b c d ."


def test_another_key_is_another_job_and_goes_on_at_once(pool: Pool) -> None:
    stopped, moved = page(letters, "first").run(), page(letters, "second")
    stopped.button(key="test.switch").click().run()
    moved.session_state["test.stopped"] = stopped.session_state["test.stopped"]
    assert moved.run().button(key="test.switch").label == "Stop"


def test_an_error_is_told_with_what_there_is(pool: Pool) -> None:
    app = page(failing, "fails").run()
    while pool.step():
        pass
    assert shown(app.run()) == "a"
    assert app.error[0].value == "The computation ended early: ValueError: levels takes an integer ≥ 1, got 0."


def test_the_queue_is_told_while_there_is_nothing_to_see(pool: Pool) -> None:
    pool.poll("before", letters)
    app = page(letters, "waits").run()
    assert progress(app) == "Waiting for its turn, number 2"


def test_a_fragment_looks_while_the_job_goes_on_and_no_longer(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[float | None]()

    def fragment(*, run_every: float | None) -> Callable[[Callable[[], None]], Callable[[], None]]:
        asked.append(run_every)
        return lambda shown: shown

    monkeypatch.setattr("streamlit.fragment", fragment)
    app = page(letters, "looks").run()
    for _ in range(3):
        pool.step()
    app.run()
    while pool.step():
        pass
    app.run()
    assert asked == [live.SOON, live.EVERY, None]
    assert live.EVERY >= 0.5


def test_a_job_that_ends_during_a_run_of_the_page_has_it_run_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fragment sees when its job has ended since the page was run."""
    app, poll = page(letters, "ends"), pool.poll

    def ends_after_the_first_look(*arguments: object) -> object:
        seen = poll(*arguments)  # type: ignore[arg-type]
        while pool.step():
            pass
        return seen

    monkeypatch.setattr(pool, "poll", ends_after_the_first_look)
    assert shown(app.run()) == "a b c d ."


def test_a_stored_sweep_is_drawn_without_a_job(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = np.ones(1)
    stored, drawn = Part(True, ErrorModel(one, 0.0, one, one, one, order=1), 0.1, ()), list[tuple[Sequence[Part], bool]]()
    monkeypatch.setattr(live, "load", lambda params: stored)
    live.sweep(ConvergenceParams(), lambda parts, done: drawn.append((parts, done)), page="test")
    assert drawn == [([stored], True)]
    assert not pool.step()


def test_what_only_prices_neither_restarts_the_job_nor_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = list[object]()

    def told(key: object, factory: partial[object], draw: object, *, page: str) -> None:
        keys.append(key)
        assert factory.args == ("sweep", key)

    monkeypatch.setattr(live, "load", lambda params: None)
    monkeypatch.setattr(live, "live", told)
    params = ConvergenceParams(paths=64)
    for same in (params, replace(params, gamma=4.0), replace(params, unit="evaluations")):
        live.sweep(same, lambda parts, done: None, page="test")
    live.sweep(replace(params, seed=1), lambda parts, done: None, page="test")
    assert keys[0] == keys[1] == keys[2] == swept(params)
    assert keys[3] != keys[0]


def test_a_demo_gives_a_session_so_many_jobs_at_a_time(pool: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLEM_DEMO", "1")
    monkeypatch.setattr("mlem.experiments.limits.JOBS", 2)
    asked = [page(letters, f"many {n}") for n in range(3)]
    for n, app in enumerate(asked):  # one session that goes from job to job
        if n:
            app.session_state["live.asked"] = asked[n - 1].session_state["live.asked"]
        app.run()
    assert [pool.peek(f"many {n}").turn for n in range(3)] == [1, 2, None]
    assert asked[2].get("progress")[0].proto.text.startswith("Waiting: each visitor has 2 computations at a time here")
    clock.now = PATIENCE + 1
    while pool.step():
        pass
    asked[2].run()
    assert pool.peek("many 2").turn == 1, "those that were left have made room"


def test_a_demo_tells_no_details_of_an_error(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLEM_DEMO", "1")
    app = page(failing, "fails in a demo").run()
    while pool.step():
        pass
    assert app.run().error[0].value == "The computation ended early. Try again in a minute, or ask for less."
