"""Checks of arguments: each names the argument, says what it got and what it takes, and raises ValueError."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")


def check_integer(name: str, value: object, *, low: int = 1, high: int | None = None) -> int:
    """``value`` as an int in [low, high]; a bool or a fraction is refused."""
    takes = f"an integer ≥ {low}" if high is None else f"an integer from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} takes {takes}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} takes {takes}, got {number}")
    return number


def check_positive(name: str, value: object) -> float:
    """``value`` as a finite float > 0."""
    return check_number(name, value, low=0.0, open_low=True)


def check_number(name: str, value: object, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False) -> float:
    """``value`` as a finite float in [low, high], or (low, high] with ``open_low``."""
    bounds = []
    if low > -math.inf:
        bounds.append(f"{'>' if open_low else '≥'} {low:g}")
    if high < math.inf:
        bounds.append(f"≤ {high:g}")
    takes = " ".join(["a number", " and ".join(bounds)]).strip()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} takes {takes}, got {value!r}")
    number = float(value)
    if number < low or number > high or (open_low and number == low):
        raise ValueError(f"{name} takes {takes}, got {number:g}")
    return number


def check_choice(name: str, value: T, choices: Collection[T]) -> T:
    """``value`` if it is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} takes one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def check_divides(name: str, steps: object, fine: int) -> int:
    """``fine // steps`` if ``steps`` divides ``fine``; else the error names the nearest numbers that do."""
    count = check_integer(name, steps, high=fine)
    if fine % count:
        below = next(n for n in range(count, 0, -1) if fine % n == 0)
        above = next(n for n in range(count, fine + 1) if fine % n == 0)
        raise ValueError(f"{name} must divide the {fine} fine steps of the Brownian path, got {count}: try {below} or {above}")
    return fine // count
