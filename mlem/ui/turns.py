"""Who goes first on a server that many share: a page's script, then what somebody waits for, then what somebody looks on.

Scripts run in threads of one interpreter, which hands over a few milliseconds at a time: side by side all would end late, and
while many can run, the thread that starts them and sends what they show has to queue with them. So scripts run one after the
other, in the order in which they came. What takes long steps aside; most of it is computed by another process (worker.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 1.0  # s: a script that waits longer runs beside the one before it, which must be doing something unforeseen
_COMPUTATIONS = 1  # at once: two of them hinder each other more than they share

_scripts, _computations = threading.Semaphore(), threading.Semaphore(_COMPUTATIONS)
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """For a page's script, or a part of it that runs by itself."""
    if getattr(_mine, "turn", False):  # a part that runs with the script
        yield
        return
    _take()
    try:
        yield
    finally:
        _leave()


@contextmanager
def aside() -> Iterator[None]:
    """For what takes long: meanwhile other scripts run."""
    had = _leave()
    try:
        with _computations:
            yield
    finally:
        if had:
            _take()


def _take() -> None:
    _mine.turn = _scripts.acquire(timeout=_PATIENCE)


def _leave() -> bool:
    """Whether there was a turn to leave."""
    had = getattr(_mine, "turn", False)
    _mine.turn = False
    if had:
        _scripts.release()
    return had
