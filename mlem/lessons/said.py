"""What somebody predicted, and what was measured then: kept short enough for a link, so that a reload loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlem.experiments.params import as_text, to_number
from mlem.lessons.lesson import MAX_STEPS, Question
from mlem.lessons.questions import Truth

_BETWEEN, _WITHIN = "_", "~"  # entries, and fields of an entry


@dataclass(frozen=True)
class Said:
    """A prediction, and the truth as far as it has been shown: numbers; of a choice, the places of options (from 0)."""

    prediction: float
    value: float | None = None
    low: float | None = None
    high: float | None = None

    def with_truth(self, question: Question, truth: Truth) -> Said:
        """With what was measured, to 3 significant digits."""
        if isinstance(truth.value, str):
            return Said(self.prediction, float(question.options.index(truth.value)))
        return Said(self.prediction, *(None if x is None else _short(x) for x in (truth.value, truth.low, truth.high)))


def to_said(said: Mapping[str, Said]) -> str:
    """``said`` by step (from "1") or by page, for a link."""
    return _BETWEEN.join(_entry(key, one) for key, one in said.items())


def from_said(text: str) -> dict[str, Said]:
    """What :func:`to_said` wrote; what is not understood is passed over."""
    found = dict[str, Said]()
    for entry in text[:1500].split(_BETWEEN)[:MAX_STEPS]:
        key, *fields = entry.split(_WITHIN)
        numbers = [to_number(field) for field in fields[:4]]
        if key and numbers and numbers[0] is not None:
            found[key[:20]] = Said(numbers[0], *numbers[1:])
    return found


def _entry(key: str, one: Said) -> str:
    numbers = (one.prediction, one.value, one.low, one.high)
    return _WITHIN.join([key, *(as_text(x) for x in numbers)]).rstrip(_WITHIN)


def _short(value: float) -> float:
    return float(f"{value:.3g}")
