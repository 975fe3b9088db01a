"""A prediction that is made on a picture: a line is turned about its first point, or a mark is put on a line of numbers.

While it is dragged nothing is sent; when the user lets go, Python is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from mlem.ui.chart import component, payload
from mlem.ui.figure import Drawable
from mlem.ui.modes import modes


@dataclass(frozen=True)
class Stop:
    """A number that can be said: ``label`` stands at the mark, ``words`` under the picture and in a screen reader's voice."""

    value: float
    label: str
    words: str


@dataclass(frozen=True)
class Asked:
    """What is asked for. ``figure``: its last series is the prediction, which the browser puts in its place; its ranges are
    written out. ``stops`` ascend, and are slopes where there is a ``turning``: the line's first point, and its end's x.
    ``hint`` says what to do while nothing is said; ``label`` names what is said, ``alt`` the picture."""

    figure: Drawable
    stops: Sequence[Stop]
    label: str
    hint: str
    alt: str
    turning: tuple[float, float, float] | None = None

    def at(self, said: float | None) -> int:
        """The place of the stop that is nearest to what is ``said``, −1 for nothing."""
        return -1 if said is None else min(range(len(self.stops)), key=lambda k: abs(self.stops[k].value - said))

    def said(self, at: object) -> float | None:
        """What is said at a place that came from the browser; None for nothing, and for what is no place."""
        return self.stops[at].value if isinstance(at, int) and 0 <= at < len(self.stops) else None


def payload_of(asked: Asked, said: float | None, *, key: str, height: int, projector: bool = False) -> bytes:
    """What the browser gets: a chart's payload, and the stops with the place of what is ``said``."""
    return payload(
        asked.figure,
        key=key,
        alt=asked.alt,
        height=height,
        projector=projector,
        label=asked.label,
        hint=asked.hint,
        turning=asked.turning,
        values=[stop.value for stop in asked.stops],
        labels=[stop.label for stop in asked.stops],
        words=[stop.words for stop in asked.stops],
        at=asked.at(said),
    )


def predict(asked: Asked, said: float | None, *, key: str, height: int, on_said: Callable[[float | None], None]) -> None:
    """Show ``asked``, ``height`` CSS pixels high, with what is ``said`` so far. Before the script runs again, ``on_said`` is
    called with what the user has settled on, None for nothing."""

    def told() -> None:
        on_said(asked.said(st.session_state[key].get("at")))

    data = payload_of(asked, said, key=key, height=height, projector=modes().projector)
    _component(data=data, key=key, on_at_change=told)


_component = component("predict")
