"""Pictures of a question: a prediction and what was measured on one line, and a slope that is drawn while it is chosen."""

from __future__ import annotations

import math

from mlem.lessons.lesson import Question
from mlem.lessons.questions import Points
from mlem.lessons.said import Said
from mlem.ui.chart import ink
from mlem.ui.figure import Figure
from mlem.ui.palette import DASHES
from mlem.words import digits

LINE_HEIGHT, SLOPE_HEIGHT = 120, 380  # CSS pixels


def number_line(question: Question, said: Said) -> Figure:
    """The prediction (a cross) over what was measured (a square with its 95 % interval)."""
    assert said.value is not None
    low, high = said.low, said.high
    seen = [x for x in (said.prediction, said.value, low, high, question.low, question.high) if x is not None]
    logs = question.log and min(seen) > 0
    span = [math.log10(x) if logs else x for x in (min(seen), max(seen))]
    pad = 0.06 * (span[1] - span[0])
    figure = Figure()
    figure.add_scatter(
        x=[said.value],
        y=[0],
        name="measured",
        mode="markers+text",
        text=[f"measured {digits(said.value)}"],
        textposition="bottom center",
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
    figure.add_scatter(
        x=[said.prediction],
        y=[0],
        name="you",
        mode="markers+text",
        text=[f"you {digits(said.prediction)}"],
        textposition="top center",
        marker={"symbol": "x-thin", "size": 14, "line": {"width": 3, "color": ink("theory")}},
        hoverinfo="skip",
    )
    title = {"text": question.unit} if question.unit else None
    return figure.update_layout(
        margin={"l": 24, "r": 24, "t": 6, "b": 46},
        showlegend=False,
        xaxis={
            "type": "log" if logs else "linear",
            "range": [span[0] - pad, span[1] + pad],
            "title": title,
            **({"dtick": 1} if logs else {}),
        },
        yaxis={"visible": False, "range": [-1, 1], "fixedrange": True},
    )


def drawn_slope(points: Points, slope: float, *, shown: bool) -> Figure:
    """The line of ``slope`` through the first of the points; all points once they are ``shown``."""
    name, asked = points.asked
    figure = Figure()
    for label, known in points.known.items():
        figure.add_scatter(
            x=[x for x, _ in known],
            y=[y for _, y in known],
            name=label,
            mode="lines+markers" if len(known) > 2 else "markers",
            line={"color": ink("em"), "width": 2.5},
            marker={"size": 9, "color": ink("em") if label == "EM" else ink("ink")},
            hovertemplate=f"{label}: %{{x:.3g}}, %{{y:.3g}}<extra></extra>",
        )
    if shown:
        figure.add_scatter(
            x=[x for x, _ in asked],
            y=[y for _, y in asked],
            name=name,
            mode="lines+markers",
            line={"color": ink("mlem"), "width": 2.5},
            marker={"symbol": "square", "size": 8, "color": ink("mlem")},
            hovertemplate=f"{name}: %{{x:.3g}}, %{{y:.3g}}<extra></extra>",
        )
    (x0, y0), x1 = asked[0], asked[-1][0]
    figure.add_scatter(
        x=[x0, x1],
        y=[y0, y0 * (x1 / x0) ** slope],
        name=f"you: slope {slope:g}",
        mode="lines",
        line={"color": ink("theory"), "width": 3, "dash": DASHES["theory"]},
        hoverinfo="skip",
    )
    decades, steepest = math.log10(x1 / x0), 6.0
    bottom = math.log10(min([y0, *(y for known in points.known.values() for _, y in known)]))
    return figure.update_layout(
        margin={"l": 72, "r": 24, "t": 44, "b": 56},
        showlegend=True,
        xaxis={"type": "log", "title": {"text": points.x}, "range": [math.log10(x0) - 0.1, math.log10(x1) + 0.1]},
        yaxis={"type": "log", "title": {"text": points.y}, "range": [bottom - 0.3, math.log10(y0) + decades * steepest + 0.3]},
    )
