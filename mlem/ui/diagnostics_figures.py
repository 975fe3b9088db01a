"""The figure of Hierarchy's diagnostics. Colours are named; the browser puts them in."""

from __future__ import annotations

import math

from mlem.errors import Estimate
from mlem.experiments.diagnostics import DiagnosticsResult
from mlem.ui.chart import ink, level_ink
from mlem.ui.figure import Figure
from mlem.ui.figures import heading, log_ticks
from mlem.ui.kept import drawn_once
from mlem.ui.palette import DASHES
from mlem.words import digits

HEIGHT = 300  # CSS pixels


@drawn_once
def by_level(result: DiagnosticsResult) -> Figure:
    """Mean and mean square of corrections, costs, and the product of the two last, against the level: straight lines, where all
    is well."""
    found = result.levels
    levels, cheapest = [d.level for d in found], found[0].cost
    series = (
        ("cost", "cost c / c<sub>1</sub>", "triangle-up", result.gamma, "γ", [d.cost / cheapest for d in found]),
        ("product", "v × c / c<sub>1</sub>", "cross", None, "", [d.product / cheapest for d in found]),
        ("mean", "mean", "diamond", result.alpha, "α", [d.mean.value for d in found]),
        ("mean square", "mean square v", "circle", result.beta, "β", [d.variance.value for d in found]),
    )
    figure, notes = Figure(), []
    for name, label, symbol, exponent, letter, values in series:
        shown = [value if value > 0 else None for value in values]  # None where a logarithmic axis has no place
        figure.add_scatter(
            x=levels,
            y=shown,
            name=name,
            mode="lines+markers",
            line={"color": ink("muted"), "width": 1.5, "dash": DASHES["reference"] if name == "product" else "solid"},
            marker={"symbol": symbol, "size": 9, "color": [level_ink(k, len(levels)) for k in levels]},
            hovertemplate=f"f<sup>%{{x}}</sup>: {label} %{{y:.3r}}<extra></extra>",
        )
        if shown[-1]:
            notes.append(_end(levels[-1], shown[-1], label + _fitted(letter, exponent)))
    return figure.update_layout(
        margin={"l": 52, "r": 150, "t": 30, "b": 48},
        showlegend=False,
        xaxis={"title": {"text": "level", "font": {"size": 14}}, "tickvals": levels, "range": [0.8, levels[-1] + 0.2]},
        yaxis={"type": "log", **log_ticks(8.0, places=5)},
        annotations=[*notes, heading("Straight lines, where all is well")],
    )


def _fitted(letter: str, exponent: Estimate | None) -> str:
    return f", {letter} = {digits(exponent.value)}" if exponent else ""


def _end(x: float, y: float, text: str) -> dict[str, object]:
    place = {"x": x, "y": math.log10(y), "xanchor": "left", "xshift": 12}
    return {**place, "text": text, "showarrow": False, "font": {"color": ink("ink"), "size": 13}}
