"""Turns of scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from mlem.ui import turns
from mlem.ui.turns import aside, turn

LONG = 10.0  # s, to wait for another thread at most


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of the test's own, which are waited for."""
    monkeypatch.setattr(turns, "_PATIENCE", LONG)
    monkeypatch.setattr(turns, "_scripts", threading.Semaphore())
    monkeypatch.setattr(turns, "_computations", threading.Semaphore(2))


class Script:
    """A thread that runs a page: it begins when made, and ends when let."""

    def __init__(self, work: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self.runs, self.may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with turn():
            self.runs.set()
            self.may_end.wait(LONG)
            self._work()

    def end(self) -> None:
        self.may_end.set()
        self._thread.join(LONG)
        assert not self._thread.is_alive()


@pytest.fixture
def scripts() -> Iterator[Callable[..., Script]]:
    """Makes scripts, and ends them after all."""
    made = list[Script]()

    def make(work: Callable[[], None] = lambda: None) -> Script:
        made.append(Script(work))
        return made[-1]

    yield make
    for script in made:
        script.end()


def test_scripts_run_one_after_the_other(scripts: Callable[..., Script]) -> None:
    first = scripts()
    assert first.runs.wait(LONG)
    second = scripts()
    assert not second.runs.wait(0.05)
    first.end()
    assert second.runs.wait(LONG)


def test_who_steps_aside_lets_others_run(scripts: Callable[..., Script]) -> None:
    stands, goes_on = threading.Event(), threading.Event()

    def compute() -> None:
        with aside():
            stands.set()
            goes_on.wait(LONG)

    first = scripts(compute)
    first.may_end.set()
    assert stands.wait(LONG)
    second = scripts()
    assert second.runs.wait(LONG)
    second.end()
    goes_on.set()
    first.end()
    assert scripts().runs.wait(LONG)  # whose turn nobody has kept


def test_after_stepping_aside_the_turn_is_waited_for(scripts: Callable[..., Script]) -> None:
    stands, back = threading.Event(), threading.Event()

    def compute() -> None:
        with aside():
            stands.set()
            other.runs.wait(LONG)
        back.set()

    first = scripts(compute)
    other = scripts()
    first.may_end.set()
    assert stands.wait(LONG)
    assert other.runs.wait(LONG)
    assert not back.wait(0.05)
    other.end()
    assert back.wait(LONG)


def test_a_script_that_was_waited_for_long_enough_is_not_waited_for(
    scripts: Callable[..., Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_PATIENCE", 0.01)
    first = scripts()
    assert first.runs.wait(LONG)
    second = scripts()
    assert second.runs.wait(LONG)
    second.end()
    assert not turns._scripts.acquire(blocking=False)  # since it was the first one's all the time
    first.end()
    assert turns._scripts.acquire(blocking=False)


def test_a_part_of_a_script_has_its_turn_with_it() -> None:
    with turn():
        with turn():
            pass
        assert not turns._scripts.acquire(blocking=False)
    assert turns._scripts.acquire(blocking=False)


def test_an_error_leaves_no_turn_behind() -> None:
    for way in (turn, aside):
        with pytest.raises(ZeroDivisionError), way():
            raise ZeroDivisionError
    assert turns._scripts.acquire(blocking=False)
