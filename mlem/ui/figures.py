"""Figures of the pages: one function each, from a result to a Plotly figure. Colours are named; the browser puts them in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mlem.errors import Estimate
from mlem.experiments.coin import CoinResult
from mlem.experiments.hierarchy import HierarchyResult, MeasuredLevel
from mlem.ui.chart import ink, level_ink
from mlem.ui.figure import Figure
from mlem.ui.kept import drawn_once
from mlem.ui.palette import DASHES, MARKERS
from mlem.words import digits, estimate, level_name, percent, whole

HEIGHT = 470  # CSS pixels
SHARES_HEIGHT, SHARES_ROW = 84, 34  # CSS pixels: without levels, and of each

_LABEL = 18  # CSS pixels between labels
_STRIP_LABELS = 3  # levels that are named in the residual strip: the others are too close together
_COST_PANEL = (330.0, 388.0)  # width and height of the plot of costs, about, in CSS pixels
_BESIDE = 34  # CSS pixels between a line and the middle of its slope triangle
_SHORT = 1.2  # decades, below which an axis has more ticks
_POINTS = 300  # of a running mean, evenly spread in log n
_RARE = 0.5  # calls are marked where they are rarer
_WIDE = 0.72  # of a column, that a bar takes
_MOST_NUMBERED = 6  # levels whose columns have room for numbers

_PAPER = {"xref": "paper", "yref": "paper"}
_EQUAL_DECADES = {"scaleanchor": "x", "constrain": "range"}
_EXACT = {"color": ink("reference"), "width": 2, "dash": DASHES["reference"]}

Floats = Float[np.ndarray, "..."]


@drawn_once
def level_curves(result: HierarchyResult) -> Figure:
    """f and its levels over x; below, what each level misses."""
    curves, count = result.curves, len(result.levels)
    margin, upper, lower = {"l": 52, "r": 44, "t": 30, "b": 52}, (0.4, 1.0), (0.0, 0.29)
    panel = HEIGHT - margin["t"] - margin["b"]
    high, low = _padded(np.vstack([curves.drift, curves.levels])), _padded(np.append(curves.residuals, 0.0))
    figure = Figure()
    for k in range(1, count + 1):
        for values, axis, what in ((curves.levels, "y", level_name(k)), (curves.residuals, "y2", f"{level_name(k)} − f")):
            figure.add_scatter(x=curves.x, y=values[k - 1], yaxis=axis, name=what, **_curve(level_ink(k, count), what))
    figure.add_scatter(x=curves.x, y=curves.drift, name="f", **_curve(ink("reference"), "f") | {"line": _EXACT})
    zero = np.zeros_like(curves.x)
    figure.add_scatter(x=curves.x, y=zero, yaxis="y2", name="zero", mode="lines", line=_EXACT, hoverinfo="skip")
    ends = [(float(y), level_name(k), level_ink(k, count)) for k, y in enumerate(curves.levels[:, -1], start=1)]
    missed = [(float(y), level_name(k), level_ink(k, count)) for k, y in enumerate(curves.residuals[:, -1], start=1)]
    ends.append((float(curves.drift[-1]), "f", ink("reference")))
    return figure.update_layout(
        uirevision=f"{result.sde} {curves.x[0]}",
        margin=margin,
        showlegend=False,
        hovermode="x",
        xaxis={"title": {"text": "x"}, "anchor": "y2", "range": [float(curves.x[0]), float(curves.x[-1])]},
        yaxis={"domain": upper, "range": high},
        yaxis2={"domain": lower, "range": low, "nticks": 4},
        annotations=[
            heading(f"f (dotted) and its levels, t = {digits(curves.t)}", upper[1]),
            heading("What each level misses", lower[1]),
            *line_ends(ends, high, panel * (upper[1] - upper[0]), "y"),
            *line_ends(missed[:_STRIP_LABELS], low, panel * (lower[1] - lower[0]), "y2"),
        ],
    )


@drawn_once
def cost_of_accuracy(result: HierarchyResult, asked: float) -> Figure:
    """Log cost against log error, decades of equal length: a point each level, the fitted slope, and the γ ``asked`` for."""
    levels = result.levels
    path, drift = np.array([m.error.value for m in levels]), np.array([m.drift_error.value for m in levels])
    cost = np.array([m.cost for m in levels]) / levels[0].cost
    side = 1 if np.log(drift / path).mean() > 0 else -1  # of the path errors, on which the drift errors are
    x_range, y_range = _padded(np.log10(np.concatenate([path, drift])), 0.25, least=1.2), _padded(np.log10(cost), 0.12)
    decade = min(_COST_PANEL[0] / (x_range[1] - x_range[0]), _COST_PANEL[1] / (y_range[1] - y_range[0]))  # CSS pixels, about
    x_ticks, y_ticks = log_ticks(_COST_PANEL[0] / decade, places=4), log_ticks(_COST_PANEL[1] / decade, places=8)

    figure = Figure()
    _add_levels(figure, levels, cost, "middle left" if side > 0 else "middle right")
    notes = [heading("Cost of one evaluation, × f¹", 1.0)]
    notes += [_series_name("path error", path[0], cost[0], -side), _series_name("drift error", drift[0], cost[0], side)]
    if result.gamma is not None:
        notes += [*_add_slope(figure, result.gamma.value, path, cost, -side * _BESIDE / decade), _verdict(result.gamma, asked)]
    return figure.update_layout(
        margin={"l": 60, "r": 12, "t": 30, "b": 52},
        showlegend=False,
        xaxis={"type": "log", "title": {"text": "error (RMSE)"}, "range": x_range, **x_ticks},
        yaxis={"type": "log", "range": y_range, **_EQUAL_DECADES, **y_ticks},
        annotations=notes,
    )


def _add_levels(figure: Figure, levels: Sequence[MeasuredLevel], cost: Floats, names_at: str) -> None:
    """Each level's drift error, and its path error with the interval, at its cost."""
    colours = [level_ink(m.level, len(levels)) for m in levels]
    names, path = [level_name(m.level) for m in levels], [m.error.value for m in levels]
    figure.add_scatter(
        x=[m.drift_error.value for m in levels],
        y=cost,
        name="drift error",
        mode="lines+markers",
        line={"color": ink("theory"), "width": 1, "dash": DASHES["reference"]},
        marker={"symbol": "diamond-open", "color": colours, "size": 8},
        text=names,
        customdata=[estimate(m.drift_error) for m in levels],
        hovertemplate="%{text}: drift error %{customdata}<br>cost × %{y:,.3r}<extra></extra>",
    )
    whiskers = {"mode": "markers", "marker": {"size": 1}, "error_x": _whiskers(levels), "hoverinfo": "skip"}
    figure.add_scatter(x=path, y=cost, name="intervals", **whiskers)
    figure.add_scatter(
        x=path,
        y=cost,
        name="path error",
        mode="markers+text",
        marker={"symbol": "circle", "color": colours, "size": 9},
        text=names,
        textposition=names_at,
        textfont={"color": ink("ink"), "size": 13},
        customdata=[estimate(m.error) for m in levels],
        hovertemplate="%{text}: path error %{customdata}<br>cost × %{y:,.3r}<extra></extra>",
    )


def _add_slope(figure: Figure, gamma: float, error: Floats, cost: Floats, off: float) -> list[dict[str, Any]]:
    """The fitted line, and ``off`` decades of error beside it a triangle: halve the error, and the cost is 2^γ times as high.
    Returns what is written at the triangle's legs."""
    x, y, left = np.log10(error), np.log10(cost), off < 0
    grey = {"color": ink("theory"), "width": 2}
    line = 10 ** (y.mean() - gamma * (x - x.mean()))
    figure.add_scatter(x=error, y=line, name="fit", mode="lines", line={**grey, "dash": DASHES["theory"]}, hoverinfo="skip")
    halving = np.array([0.5, -0.5]) * math.log10(2)
    coarse, fine = 10 ** (x.mean() + off + halving)
    cheap, dear = 10 ** (y.mean() - gamma * halving)
    corner = (fine, cheap) if left else (coarse, dear)
    figure.add_scatter(
        x=[coarse, corner[0], fine, coarse],
        y=[cheap, corner[1], dear, cheap],
        name="slope triangle",
        mode="lines",
        line=grey,
        fill="toself",
        fillcolor=ink("theory", 0.15),
        hoverinfo="skip",
    )
    written = {"font": {"color": ink("theory_text")}}
    across = {"text": "error ÷ 2", "yanchor": "top" if left else "bottom"}
    along = {"text": f"cost × {digits(2**gamma)}", "xanchor": "right" if left else "left", "xshift": -4 if left else 4}
    return [
        {"x": x.mean() + off, "y": math.log10(corner[1]), **across, **written},
        {"x": math.log10(corner[0]), "y": y.mean(), **along, **written},
    ]


def _verdict(gamma: Estimate, asked: float) -> dict[str, Any]:
    """In the corner that a falling line leaves free."""
    text = (
        f"<b>γ = {digits(gamma.value)}</b><br>95 %: {digits(gamma.low)} to {digits(gamma.high)}<br>asked for: {digits(asked)}"
    )
    return {"text": text, "x": 1, "y": 1, **_PAPER, "xanchor": "right", "yanchor": "top", "align": "right"}


@drawn_once
def telescope(result: CoinResult) -> Figure:
    """One step under the glass, a column each level: the corrections that add up to f^K; the coins of the last draw; and what
    the corrections whose coins came up make of it, each divided by its chance."""
    glass, count = result.glass, len(result.levels)
    p, fired = np.array([c.p for c in result.levels]), glass.fired[-1]
    kicks = np.where(fired, glass.corrections / p, 0.0)
    weighted = [f"× {digits(1 / c.p)}" if heads and c.p < 1 else "" for c, heads in zip(result.levels, fired, strict=True)]
    upper, middle, lower = (0.66, 1.0), (0.465, 0.545), (0.0, 0.34)
    figure = Figure()
    _add_waterfall(figure, glass.corrections, [digits(d) for d in glass.corrections], "y", "correction")
    _add_waterfall(figure, kicks, weighted, "y3", "kick")
    _add_sum(figure, count, float(glass.drifts[-1]), "y", level_name(count), ink("ink"))
    _add_sum(figure, count, float(glass.estimates[-1]), "y3", "draw", ink("mlem"))
    _add_coins(figure, result, "y2")
    level = [glass.drifts[-1]] * 2
    figure.add_scatter(x=[0.5, count + 1.5], y=level, yaxis="y3", name="exact", mode="lines", line=_EXACT, hoverinfo="skip")
    columns = [*(_correction(k) for k in range(1, count + 1)), "sum"]
    return figure.update_layout(
        margin={"l": 52, "r": 12, "t": 30, "b": 34},
        showlegend=False,
        barmode="overlay",
        xaxis={
            "range": [0.5, count + 1.5],
            "tickvals": list(range(1, count + 2)),
            "ticktext": columns,
            "anchor": "y3",
            "showgrid": False,
        },
        yaxis={"domain": upper, "nticks": 4, "range": _padded(np.append(glass.drifts, 0.0), 0.16)},
        yaxis2={"domain": middle, "range": [-1, 1], "visible": False, "fixedrange": True},
        yaxis3={"domain": lower, "nticks": 4, "range": _padded(np.concatenate([[0.0], glass.drifts, kicks.cumsum()]), 0.16)},
        annotations=[
            heading(f"Corrections add up to {level_name(count)} = {digits(glass.drifts[-1])}", upper[1]),
            heading("Coins: filled is heads; p<sub>k</sub> in %", middle[1]),
            heading(f"Draw {whole(len(glass.estimates))}: heads, divided by p<sub>k</sub>", lower[1]),
        ],
    )


def _add_sum(figure: Figure, count: int, value: float, axis: str, name: str, colour: str) -> None:
    """What the columns before add up to."""
    figure.add_bar(
        x=[count + 1],
        y=[value],
        yaxis=axis,
        name=name,
        width=_WIDE,
        marker={"color": colour},
        hovertemplate=f"{name} = %{{y:.3r}}<extra></extra>",
        **_bar_numbers([digits(value)], count),
    )


def _add_coins(figure: Figure, result: CoinResult, axis: str) -> None:
    """The coins of the last draw."""
    count, fired, w = len(result.levels), result.glass.fired[-1], result.glass.weights[-1]
    colours = [level_ink(k, count) if heads else ink("muted") for k, heads in enumerate(fired, start=1)]
    told = "level %{x}: %{customdata[1]}, chance %{text} %<br>f<sup>%{x}</sup> is weighted by %{customdata[0]}<extra></extra>"
    figure.add_scatter(
        x=list(range(1, count + 1)),
        y=[0.0] * count,
        yaxis=axis,
        name="coins",
        mode="markers+text",
        marker={"size": 20, "symbol": ["circle" if heads else "circle-open" for heads in fired], "color": colours},
        text=[digits(100 * c.p) for c in result.levels],
        textposition="bottom center",
        textfont={"size": 12 if count <= _MOST_NUMBERED else 10},
        cliponaxis=False,
        customdata=[[digits(weight), "heads" if heads else "tails"] for weight, heads in zip(w, fired, strict=True)],
        hovertemplate=told,
    )


@drawn_once
def running_mean(result: CoinResult) -> Figure:
    """The mean of the first n draws against n, in the band in which 95 % of such means lie about f^K; its calls are marked."""
    glass, count = result.glass, len(result.levels)
    draws, exact, margin = len(glass.estimates), float(glass.drifts[-1]), {"l": 52, "r": 58, "t": 30, "b": 52}
    n = np.unique(np.geomspace(1, draws, _POINTS).round().astype(int))
    low, high, last = exact - glass.band[n - 1], exact + glass.band[n - 1], max(10, draws)
    reach, decades = _padded(np.concatenate([low, high, glass.running[n - 1]])), math.log10(last)
    figure = Figure()
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(x=n, y=low, name="low", **edge)
    figure.add_scatter(x=n, y=high, name="high", **edge, fill="tonexty", fillcolor=ink("mlem", 0.15))
    figure.add_scatter(x=[1, last], y=[exact] * 2, name=level_name(count), mode="lines", line=_EXACT, hoverinfo="skip")
    figure.add_scatter(
        x=n,
        y=glass.running[n - 1],
        name="mean",
        mode="lines+markers" if draws == 1 else "lines",
        line={"color": ink("mlem"), "width": 2},
        marker={"symbol": MARKERS["mlem"], "size": 9},
        hovertemplate="mean of %{x:,} draws: %{y:.3r}<extra></extra>",
    )
    notes = [heading("The mean of the draws so far", 1.0), *_add_calls(figure, result)]
    if draws > 1:
        notes.append(_corner("shaded: 95 % of such means", ink("mlem_text"), 0))
    ends = [(float(glass.running[-1]), "mean", ink("mlem_text")), (exact, level_name(count), ink("reference"))]
    ticks = log_ticks(decades, places=6)
    return figure.update_layout(
        margin=margin,
        showlegend=False,
        xaxis={"type": "log", "title": {"text": "draws"}, "range": [-0.03 * decades, decades], **ticks},
        yaxis={"range": reach, "nticks": 6},
        annotations=[*notes, *line_ends(ends, reach, HEIGHT - margin["t"] - margin["b"], "y")],
    )


def _add_calls(figure: Figure, result: CoinResult) -> list[dict[str, Any]]:
    """Marks the draws that evaluate f^K, if they are rare. Returns what is written of them."""
    glass, count = result.glass, len(result.levels)
    if result.levels[-1].p >= _RARE:
        return []
    colour, calls = level_ink(count, count), np.flatnonzero(glass.weights[:, -1])
    marker = {"symbol": "triangle-up", "size": 8, "color": colour}
    told = f"draw %{{x:,}} calls {level_name(count)}<extra></extra>"
    figure.add_scatter(x=calls + 1, y=glass.running[calls], name="calls", mode="markers", marker=marker, hovertemplate=told)
    return [_corner(f"▲ draws that call {level_name(count)}", colour, 1)]


@drawn_once
def shares(result: CoinResult) -> Figure:
    """Of each level, its share of the cost to the left and of the variance to the right: fair where both are alike."""
    count = len(result.levels)
    rows = list(range(1, count + 1))
    colours = [level_ink(k, count) for k in rows]
    figure = Figure()
    for name, sign, values, pattern in (
        ("cost", -1, [c.cost_share for c in result.levels], ""),
        ("variance", 1, [c.variance_share for c in result.levels], "/"),
    ):
        sure = [name == "variance" and c.p == 1 for c in result.levels]
        figure.add_bar(
            x=[sign * value for value in values],
            y=rows,
            orientation="h",
            name=name,
            width=_WIDE,
            marker={"color": colours, "pattern": {"shape": pattern, "fgcolor": ink("background"), "solidity": 0.25}},
            text=["always fires" if always else _share(value) for always, value in zip(sure, values, strict=True)],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"f<sup>%{{y}}</sup>: %{{text}} of the {name}<extra></extra>",
        )
    ticks = [-1, -0.5, 0, 0.5, 1]
    return figure.update_layout(
        margin={"l": 36, "r": 12, "t": 44, "b": 40},
        showlegend=False,
        barmode="overlay",
        xaxis={"range": [-1.15, 1.15], "tickvals": ticks, "ticktext": [f"{abs(100 * tick):g} %" for tick in ticks]},
        yaxis={"range": [count + 0.5, 0.5], "tickvals": rows, "ticktext": [level_name(k) for k in rows], "showgrid": False},
        shapes=[
            {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": ink("muted"), "width": 1}}
        ],
        annotations=[
            {**heading("share of the cost", 1.0), "x": 0.25, "xanchor": "center"},
            {**heading("share of the variance", 1.0), "x": 0.75, "xanchor": "center"},
        ],
    )


def _add_waterfall(figure: Figure, steps: Floats, texts: list[str], axis: str, name: str) -> None:
    """A bar each step, beginning where the one before has ended, in the levels' colours."""
    count = len(steps)
    ends = np.cumsum(steps)
    columns = np.arange(1, count + 1)
    figure.add_bar(
        x=columns,
        y=steps,
        base=ends - steps,
        yaxis=axis,
        name=name,
        width=_WIDE,
        marker={"color": [level_ink(int(k), count) for k in columns]},
        customdata=steps,
        hovertemplate=f"{name} of level %{{x}}: %{{customdata:.3r}}<extra></extra>",
        **_bar_numbers(texts, count),
    )
    x = np.stack([columns + _WIDE / 2, columns + 1 - _WIDE / 2, np.full(count, np.nan)], axis=1).ravel()
    y = np.stack([ends, ends, np.full(count, np.nan)], axis=1).ravel()
    line = {"color": ink("muted"), "width": 1}
    figure.add_scatter(x=x, y=y, yaxis=axis, name=f"{name}: sum", mode="lines", line=line, hoverinfo="skip")


def _curve(colour: str, name: str) -> dict[str, Any]:
    return {"mode": "lines", "line": {"color": colour, "width": 2}, "hovertemplate": f"{name} = %{{y:.3r}}<extra></extra>"}


def _whiskers(levels: Sequence[MeasuredLevel]) -> dict[str, Any]:
    """The 95 % intervals of the path errors."""
    up, down = ([m.error.high - m.error.value for m in levels], [m.error.value - m.error.low for m in levels])
    return {"type": "data", "array": up, "arrayminus": down, "color": ink("ink"), "thickness": 1.5, "width": 3}


def _bar_numbers(texts: list[str], count: int) -> dict[str, Any]:
    if count > _MOST_NUMBERED:
        return {}
    return {"text": texts, "textposition": "outside", "cliponaxis": False, "textangle": 0}


def heading(text: str, top: float = 1.0) -> dict[str, Any]:
    """Above the panel that ends at ``top``, in the place of a title of its axis."""
    place = {"x": 0, "y": top, **_PAPER, "xanchor": "left", "yanchor": "bottom", "yshift": 5}
    return {"text": f"<b>{text}</b>", **place}


def _series_name(text: str, error: float, cost: float, side: int) -> dict[str, Any]:
    """Under the first point of a series, towards its ``side``."""
    anchor = {"xanchor": "left" if side > 0 else "right", "yanchor": "top", "yshift": -8}
    return {"text": text, "x": math.log10(error), "y": math.log10(cost), **anchor, "font": {"color": ink("muted")}}


def _corner(text: str, colour: str, top: int) -> dict[str, Any]:
    """In a right corner of the plot."""
    anchor = {"xanchor": "right", "yanchor": "top" if top else "bottom"}
    return {"text": text, "x": 1, "y": top, **_PAPER, **anchor, "font": {"color": colour}}


def log_ticks(decades: float, places: int) -> dict[str, Any]:
    """At whole powers of ten, at most about ``places`` in view; in a short view also at 2 and 5 times these."""
    step, mantissas = max(1, math.ceil(decades / places)), (1, 2, 5) if decades < _SHORT else (1,)
    values = [mantissa * 10.0**power for power in range(-step * 12, step * 12 + 1, step) for mantissa in mantissas]
    return {"tickvals": values, "ticktext": [tick_text(value) for value in values]}


def tick_text(value: float) -> str:
    """0.001 to 10,000 in full, other powers of ten as such."""
    return f"{value:,.10g}" if 1e-3 <= value <= 1e4 else f"10<sup>{round(math.log10(value))}</sup>".replace("-", "−")


def line_ends(
    labels: Sequence[tuple[float, str, str]], view: Sequence[float], pixels: float, axis: str
) -> list[dict[str, Any]]:
    """Labels (height, text, colour of the curve) at the right end of curves, pushed apart where they would cover each other.
    All are in ink: the colours of cheap levels are too pale for words."""
    placed = sorted(labels, reverse=True)
    wanted = [pixels * (view[1] - y) / (view[1] - view[0]) for y, _, _ in placed]  # from the top
    spare = pixels - (len(placed) - 1) * _LABEL
    shown = _apart([min(max(y, i * _LABEL), spare + i * _LABEL) for i, y in enumerate(wanted)], _LABEL)
    return [
        {
            "text": text,
            "font": {"color": ink("ink"), "size": 14},
            "x": 1,
            "xref": "paper",
            "y": y,
            "yref": axis,
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 1,
            "arrowcolor": colour,
            "ax": 16,
            "ay": at - pixel,
            "xanchor": "left",
            "standoff": 1,
            "borderpad": 4,  # between the line and the words
        }
        for (y, text, colour), pixel, at in zip(placed, wanted, shown, strict=True)
    ]


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """``places`` in order, moved as little as needed to be ``gap`` apart: neighbours that touch share a centre."""
    blocks: list[list[float]] = []  # of places less what their order takes
    for i, place in enumerate(places):
        blocks.append([place - i * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    centres = [float(np.mean(block)) for block in blocks for _ in block]
    return [centre + i * gap for i, centre in enumerate(centres)]


def _padded(values: Floats, share: float = 0.06, least: float = 0.0) -> list[float]:
    """The range of ``values`` with some room at either end, and at least ``least`` wide; 1 wide for a single value."""
    low, high = float(values.min()), float(values.max())
    room = max(share * (high - low), (least - (high - low)) / 2) or 0.5
    return [low - room, high + room]


def _share(value: float) -> str:
    """0.0334 → 3.34 %."""
    return "0" if value == 0 else percent(value)


def _correction(k: int) -> str:
    """The first one is f¹ itself."""
    return level_name(1) if k == 1 else f"d<sub>{k}</sub>"
