"""How numbers are written: 3 significant digits, no powers of ten in prose; signs and units stay on the number's line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mlem.errors import Estimate

_GLUE = "\N{NO-BREAK SPACE}"
_VERBATIM = re.compile(r"(\$[^$]*\$|`[^`]*`)")
_GAPS = re.compile(
    r"(?<=\d) (?=[×%])|(?<=×) (?=\d)"  # 22 ×, × 4
    r"| (?=[=≈])|(?<=[=≈]) |(?<=MSE) (?=\d)"  # γ = 1, RMSE 0.1
    r"|(?<=\d) (?=to [−\d])|(?<=\d to) (?=[−\d])"  # 0.1 to 0.2
)
_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))

SURE = f"95{_GLUE}%"
"""Of all intervals."""


def digits(value: float) -> str:
    """3 significant digits; thousands by commas, millions in words."""
    if not math.isfinite(value):
        return "not finite"
    for size, word in _LARGE:
        if abs(value) >= 0.9995 * size:
            return f"{_plain(value / size)}{_GLUE}{word}"
    return _plain(value)


def _plain(value: float) -> str:
    if value == 0.0:
        return "0"
    rounded = float(f"{value:.2e}")
    decimals = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def measure(value: float, unit: str) -> str:
    """With its unit: "16.4 ms"."""
    return f"{digits(value)}{_GLUE}{unit}"


def percent(share: float) -> str:
    """0.1 → "10.0 %"."""
    return f"{digits(100 * share)}{_GLUE}%"


def fold(ratio: float) -> str:
    """How many times as much: "14.2 ×"."""
    return f"{digits(ratio)}{_GLUE}×"


def unbroken(text: str) -> str:
    """A whole text in Markdown: no line ends between a number and its sign, or in a range. Formulas and code stay as they are;
    and so do words with hyphens, which a reader is to find and to copy as they are written."""
    return "".join(part if part[:1] in "$`" else _GAPS.sub(_GLUE, part) for part in _VERBATIM.split(text) if part)


def estimate(value: Estimate) -> str:
    """A number with its 95 % interval: 0.0199 (0.0184 to 0.0215)."""
    return f"{digits(value.value)} ({digits(value.low)} to {digits(value.high)})"


def times(ratio: float) -> str:
    """A ratio of costs in words: "14.2 × cheaper", "1.38 × dearer"."""
    if abs(ratio - 1.0) < 0.005:
        return "as dear"
    return f"{fold(ratio)} cheaper" if ratio > 1.0 else f"{fold(1 / ratio)} dearer"


def superscript(number: int) -> str:
    """12 → ¹²."""
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def level_name(level: int) -> str:
    """3 → f³."""
    return f"f{superscript(level)}"


def level_names(levels: Sequence[int]) -> str:
    """[1, 2, 5] → f¹, f² and f⁵."""
    *others, last = map(level_name, levels)
    return f"{', '.join(others)} and {last}" if others else last


def whole(number: int) -> str:
    """All digits of a whole number, thousands by commas."""
    return f"{number:,}"
