"""What is made of a result, such as its figure, is kept with it: many sessions ask for the same, again and again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

MOST = 16
"""Things that are kept with one owner: the last ones that were made."""

_KEPT = "_kept"


def keep(owner: object, what: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` makes, once for as long as ``owner`` is there, of which it must depend alone, and on what ``what`` names.
    It is shared, so that nobody may change it."""
    kept: dict[Hashable, T] = vars(owner).setdefault(_KEPT, {})
    with suppress(KeyError):
        return kept[what]
    for oldest in list(kept)[: len(kept) - MOST + 1]:
        kept.pop(oldest, None)
    made = kept[what] = make()
    return made


def drawn_once(draw: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """A function of a result that keeps what it returns with the result."""

    @wraps(draw)
    def drawn(result: R, /, *more: P.args, **named: P.kwargs) -> T:
        return keep(result, (draw, more, *named.items()), lambda: draw(result, *more, **named))

    return drawn
