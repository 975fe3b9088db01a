"""Results are computed once for all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mlem.ui.results import Results

LONG = 10.0  # s, to wait for another thread at most


def test_a_result_is_made_once() -> None:
    results, made = Results(most=2), list[str]()

    def work() -> str:
        made.append("a")
        return "A"

    assert results.get("a") is None
    assert [results.make("a", work), results.make("a", work), results.get("a")] == ["A"] * 3
    assert made == ["a"]


def test_who_asks_for_what_is_being_made_waits_for_it() -> None:
    results, begun, may_end, got = Results(most=2), threading.Event(), threading.Event(), list[str]()

    def slow() -> str:
        begun.set()
        may_end.wait(LONG)
        return "A"

    def ask(work: Callable[[], str]) -> None:
        got.append(results.make("a", work))

    threads = [threading.Thread(target=ask, args=(work,), daemon=True) for work in (slow, lambda: "another")]
    threads[0].start()
    assert begun.wait(LONG)
    threads[1].start()
    threads[1].join(0.05)
    assert got == []
    may_end.set()
    for thread in threads:
        thread.join(LONG)
    assert got == ["A", "A"]


def test_what_failed_is_tried_again() -> None:
    results = Results(most=2)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        results.make("a", fail)
    assert results.make("a", lambda: "A") == "A"


def test_those_asked_for_last_are_kept() -> None:
    results = Results(most=2)
    for key in "ab":
        results.make(key, key.upper)
    results.get("a")
    results.make("c", "c".upper)
    assert [results.get(key) for key in "abc"] == ["A", None, "C"]
