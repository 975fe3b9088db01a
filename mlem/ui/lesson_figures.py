"""Pictures of a question: a slope that is drawn as a line, a number that is put on a line; both beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlem.errors import Estimate
from mlem.lessons.lesson import Question
from mlem.lessons.questions import Points
from mlem.lessons.said import Said
from mlem.ui.chart import ink
from mlem.ui.figure import Figure
from mlem.ui.figures import log_ticks
from mlem.ui.palette import DASHES, MARKERS
from mlem.ui.predict import Asked, Stop
from mlem.words import digits, estimate, fold

LINE_HEIGHT, SLOPE_HEIGHT = 120, 460  # CSS pixels

_HANDY = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # numbers within a decade that a mark stops at
_STEPS = 60  # about, that a mark has on a line that is not logarithmic
_MARGIN = {"l": 68, "r": 20, "t": 52, "b": 56}
_SHORT = 0.7  # decades, within which powers of ten and their simple multiples are too few
_METHODS = {"EM": "em", "ML-EM": "mlem"}
_CROSS = {"symbol": "x-thin", "size": 16, "line": {"width": 3, "color": ink("theory")}}
_LINE = {"color": ink("muted"), "width": 2}  # of numbers
_END = {"symbol": "circle", "size": [0, 16], "opacity": 1, "color": ink("theory")}


def asked_number(question: Question) -> Asked:
    """A line of numbers, on which a mark is to be put."""
    unit = f" {question.unit}" if question.unit else ""
    stops = handy_numbers(question.low, question.high) if question.log else even_numbers(question.low, question.high)
    name = f"Your prediction{f' ({question.unit})' if question.unit else ''}"
    return Asked(
        figure=_number_axis(question, []).add_scatter(
            name="you", mode="markers+text", textposition="top center", cliponaxis=False, marker=_CROSS, hoverinfo="skip"
        ),
        stops=[Stop(x, f"you {digits(x)}", f"Your prediction: {digits(x)}{unit}.") for x in stops],
        label=name,
        hint="Tap the line where the answer should be; the arrow keys then move your mark.",
        alt=f"A line of numbers from {digits(question.low)} to {digits(question.high)}{unit}.",
    )


def number_line(question: Question, said: Said) -> Figure:
    """The prediction (a cross) over what was measured (a square with its 95 % interval)."""
    assert said.value is not None
    low, high = said.low, said.high
    figure = _number_axis(question, [x for x in (said.prediction, said.value, low, high) if x is not None])
    figure.add_scatter(
        x=[said.value],
        y=[0],
        name="measured",
        mode="markers+text",
        text=[f"measured {digits(said.value)}"],
        textposition="bottom center",
        cliponaxis=False,
        marker={"symbol": "square", "size": 12, "color": ink("ink")},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - said.value) if high is not None else 0.0],
            "arrayminus": [max(0.0, said.value - low) if low is not None else 0.0],
            "color": ink("ink"),
            "thickness": 2,
            "width": 6,
        },
        hoverinfo="skip",
    )
    return figure.add_scatter(
        x=[said.prediction],
        y=[0],
        name="you",
        mode="markers+text",
        text=[f"you {digits(said.prediction)}"],
        textposition="top center",
        cliponaxis=False,
        marker=_CROSS,
        hoverinfo="skip",
    )


def asked_slope(question: Question, points: Points) -> Asked:
    """The points that are known, on the page's own axes, where a line is to be drawn through the first of those asked for."""
    (x0, y0), x1 = _ends(points)
    figure = _slope_axes(question, points).add_scatter(
        name="your line",
        mode="lines+markers+text",
        textposition="top left",
        marker={**_END, "symbol": ["circle-open", "circle"], "size": [22, 16], "line": {"width": 3, "color": ink("theory")}},
        **_dashed(),
    )
    return Asked(
        figure=figure,
        stops=[
            Stop(s, f"slope {s:g}", f"Your line: slope {s:g}. Ten times the accuracy costs {fold(10**s)} as much.")
            for s in even_numbers(question.low, question.high)
        ],
        label="Your slope",
        hint="Drag your line out of the ringed point, or tap where it should end; the arrow keys turn it.",
        alt=f"{points.y} against {points.x}, both logarithmic: {' and '.join(points.known)}. It begins at the ringed point.",
        turning=(x0, y0, x1),
    )


def drawn_slope(question: Question, points: Points, said: Said) -> Figure:
    """The drawn line over all points, with the slope that was measured and its 95 % interval as a wedge."""
    name, asked = points.asked
    figure, colour = _slope_axes(question, points), _METHODS.get(name, "ink")
    x, y = np.log10(asked).T
    assert said.value is not None
    assert said.low is not None
    assert said.high is not None
    measured = Estimate(said.value, said.low, said.high)

    def line(slope: float) -> list[float]:
        return [float(10 ** (y.mean() + slope * (math.log10(at) - x.mean()))) for at in ends]

    (start, first), end = _ends(points)
    ends = [start, end]
    figure.add_scatter(
        x=[*ends, *ends[::-1]],
        y=[*line(measured.low), *line(measured.high)[::-1]],
        name="95 % interval",
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=ink(colour, 0.2),
        hoverinfo="skip",
        showlegend=False,
    )
    _add_points(figure, name, asked, "square", joined=False)
    figure.add_scatter(
        x=ends,
        y=line(measured.value),
        name="measured line",
        mode="lines",
        line={"color": ink(colour), "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    yours = [first, first * (end / start) ** said.prediction]
    figure.add_scatter(x=ends, y=yours, name="your line", mode="lines+markers", marker=_END, **_dashed())
    above = said.prediction > said.value
    words = ink(f"{colour}_text" if name in _METHODS else "ink")
    return figure.update_layout(
        annotations=[
            _name(
                ends,
                [line(measured.value)[0], max(line(measured.value)[1], asked[-1][1])],
                f"measured {estimate(measured)}",
                not above,
                words,
            ),
            _name(ends, yours, f"you {digits(said.prediction)}", above, ink("theory_text")),
        ]
    )


def handy_numbers(low: float, high: float) -> list[float]:
    """Handy numbers of every decade from ``low`` to ``high``, and both."""
    found = [float(f"{m * 10.0**e:.3g}") for e in range(-12, 13) for m in _HANDY]
    return sorted({low, high, *(x for x in found if low < x < high)})


def even_numbers(low: float, high: float) -> list[float]:
    """From ``low`` to ``high`` in steps of 1, 2 or 5 times a power of ten."""
    rough = high / _STEPS - low / _STEPS  # so that the widest range has one
    if rough < 1e-12 * max(abs(low), abs(high)):
        return [low, high]
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= 0.999 * rough)
    between = (float(f"{n * step:.12g}") for n in range(math.ceil(low / step), math.floor(high / step) + 1))
    return sorted({low, high, *(x for x in between if low < x < high)})


def _number_axis(question: Question, also: Sequence[float]) -> Figure:
    """A line of the numbers that may be said, and of those that are ``also`` on it."""
    seen = [question.low, question.high, *also]
    logs = question.log and min(seen) > 0
    span = [math.log10(x) if logs else x for x in (min(seen), max(seen))]
    pad = 0.06 * (span[1] - span[0])
    return Figure().update_layout(
        margin={"l": 24, "r": 24, "t": 6, "b": 46},
        showlegend=False,
        shapes=[{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "layer": "below", "line": _LINE}],
        xaxis={
            "type": "log" if logs else "linear",
            "range": [span[0] - pad, span[1] + pad],
            "title": {"text": question.unit} if question.unit else None,
            **(log_ticks(span[1] - span[0], places=7) if logs else {"nticks": 8}),
        },
        yaxis={"visible": False, "range": [-1, 1], "fixedrange": True},
    )


def _slope_axes(question: Question, points: Points) -> Figure:
    """The points that are known. The axes have room for every line that can be drawn, and so give nothing away."""
    (x0, y0), x1 = _ends(points)
    figure, decades = Figure(), math.log10(x1 / x0)
    for name, known in points.known.items():
        _add_points(figure, name, known, "circle", joined=len(known) > 2)
    bottom = math.log10(min([y0, *(y for known in points.known.values() for _, y in known)]))
    top = math.log10(y0) + decades * question.high
    room = 0.08 * (top - bottom)
    return figure.update_layout(
        margin=_MARGIN,
        showlegend=True,
        xaxis={
            "type": "log",
            "title": {"text": points.x},
            "range": [math.log10(x0) - 0.06 * decades, math.log10(x1) + 0.06 * decades],
            **(
                log_ticks(1.0 if decades < 2 else decades, places=8) if decades > _SHORT else {}
            ),  # at 2 and 5 too, which have room
        },
        yaxis={
            "type": "log",
            "title": {"text": points.y},
            "range": [bottom - room, top + room],
            **log_ticks(top - bottom, places=9),
        },
    )


def _ends(points: Points) -> tuple[tuple[float, float], float]:
    """Where a line begins, and the x where it ends."""
    return points.asked[1][0], max(x for x, _ in points.asked[1])


def _add_points(figure: Figure, name: str, points: Sequence[tuple[float, float]], symbol: str, *, joined: bool) -> None:
    """``symbol``: of points that are no method's."""
    method = _METHODS.get(name)
    colour = ink(method or "ink")
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        name=name,
        mode="lines+markers" if joined else "markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": MARKERS[method] if method else symbol, "size": 9, "color": colour},
        hovertemplate=f"{name}: %{{x:.3g}}, %{{y:.3g}}<extra></extra>",
    )


def _dashed() -> dict[str, Any]:
    return {"line": {"color": ink("theory"), "width": 3, "dash": DASHES["theory"]}, "hoverinfo": "skip", "showlegend": False}


def _name(x: Sequence[float], y: Sequence[float], text: str, above: bool, colour: str) -> dict[str, Any]:
    """A rising line's name where no other line is: over its end, or under its middle."""
    share = 1.0 if above else 0.4
    at_x, at_y = (math.log10(first) + share * math.log10(last / first) for first, last in (x, y))
    over, under = {"xanchor": "right", "yanchor": "bottom", "yshift": 8}, {"xanchor": "left", "yanchor": "top", "yshift": -6}
    name = {"text": f"<b>{text}</b>", "font": {"color": colour}, "bgcolor": ink("background", 0.75)}
    return {"x": at_x, "y": at_y, **name, **(over if above else under)}
