"""Figures of the Faces page, from results to charts. Colours are named; the browser puts them in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mlem.errors import Estimate
from mlem.experiments.faces import UNITS, FacesResult, called, gather
from mlem.frontier import Envelope, Runs, envelope
from mlem.images.pilot import Effects, Plan
from mlem.images.process import GFLOP
from mlem.ui.chart import ink, level_ink
from mlem.ui.figure import Figure
from mlem.ui.figures import heading, line_ends, tick_text
from mlem.ui.kept import drawn_once
from mlem.ui.palette import DASHES, MARKERS
from mlem.words import digits, estimate, level_name, level_names

HEIGHT = 470  # CSS pixels

_TARGETS = 49
_EDGE = 1.005  # of the best and the worst run: targets keep inside
_SHORT = {
    "em": "EM",
    "paper": "ML-EM, coins",
    "mlem": "ML-EM, even",
    "ddim": "DDIM",
    "heun": "Heun",
    "dpm++": "DPM++(2M)",
}
_LOOKS: dict[str, dict[str, Any]] = {
    "em": {"colour": "em", "symbol": MARKERS["em"], "width": 2.5},
    "mlem": {"colour": "mlem", "symbol": MARKERS["mlem"], "width": 2.5},
    "paper": {"colour": "mlem", "symbol": "square-open", "width": 1.3},
    "ddim": {"colour": "theory", "symbol": "triangle-up-open", "width": 1.3},
    "heun": {"colour": "theory", "symbol": "diamond-open", "width": 1.3},
    "dpm++": {"colour": "theory", "symbol": "x-thin-open", "width": 1.3},
}
_SHORT_VIEW = 2.3  # decades, below which an axis has more ticks
_GARBAGE = 1.0  # RMSE of pixels in [−1, 1], above which nothing of a picture is right
_WORST = 0.1  # of a saving: where a method costs more than ten times what EM does, it is off the chart
_LEAST = 1e-12  # of what is drawn on a logarithmic axis
_BESIDE_NAMES = {"l": 64, "r": 92, "t": 34, "b": 54}  # CSS pixels
_PAPER = {"xref": "paper", "yref": "paper"}
_CLEAR = {"bgcolor": ink("background", 0.8)}  # behind a name: no curve crosses its letters

Floats = Float[np.ndarray, "..."]


def frontiers(result: FacesResult, unit: str) -> dict[str, Envelope]:
    """The cheapest way of each method to an error, over all errors that any method has, in a unit of ``UNITS``."""
    runs = _runs(result)
    ends = np.concatenate([own.errors for own in runs.values()])
    targets = np.geomspace(ends.min() * _EDGE, ends.max() / _EDGE, _TARGETS)
    return {method: envelope(own, _costs(own, result, unit), targets) for method, own in runs.items()}


def _runs(result: FacesResult) -> dict[str, Runs]:
    found = {method: gather(result.measured, method) for method in result.methods}
    return {method: runs for method, runs in found.items() if runs is not None}


def _costs(runs: Runs, result: FacesResult, unit: str) -> Floats:
    return runs.evaluations @ (result.measured.flops / GFLOP if unit == "flops" else result.measured.seconds)


def error_vs_cost(result: FacesResult, curves: Mapping[str, Envelope], unit: str) -> Figure:
    """A: all runs, faint, and the cheapest way of each method to an error, with its band."""
    figure, ends, runs = Figure(), [], _runs(result)
    floors = _add_floors(figure, runs["em"], _costs(runs["em"], result, unit), len(result.levels))
    for method, curve in curves.items():
        look, costs = _LOOKS[method], _costs(runs[method], result, unit)
        figure.add_scatter(
            x=costs,
            y=runs[method].errors,
            name=f"{_SHORT[method]}: runs",
            mode="markers",
            marker={"symbol": look["symbol"], "size": 6, "color": ink(look["colour"], 0.35)},
            text=_described(result, method),
            hovertemplate=f"{_SHORT[method]}, %{{text}}<br>RMSE %{{y:.3r}} for %{{x:.3r}}<extra></extra>",
        )
        reached = np.isfinite(curve.costs) & (curve.targets <= runs[method].errors.max())
        _add_band(figure, curve, method, reached)
        figure.add_scatter(
            x=curve.costs[reached],
            y=curve.targets[reached],
            name=_SHORT[method],
            mode="lines",
            line={"color": ink(look["colour"]), "width": look["width"], "dash": DASHES["em"]},
            hovertemplate=f"{_SHORT[method]}: RMSE %{{y:.3r}} for %{{x:.3r}}<extra></extra>",
        )
        if reached.any():
            ends.append((curve.costs[reached][0], curve.targets[reached][0], method))
    errors = np.concatenate([own.errors for own in runs.values()])
    costs = np.concatenate([_costs(own, result, unit) for own in runs.values()])
    x, y = _log_range(costs), _log_range(np.minimum(errors, _GARBAGE))
    return figure.update_layout(
        uirevision=f"{result.measured.process} {unit}",
        margin=_BESIDE_NAMES,
        showlegend=False,
        xaxis={"type": "log", "title": {"text": UNITS[unit]}, "range": x, **_ticks(x)},
        yaxis={"type": "log", "range": y, **_ticks(y)},
        annotations=[heading(f"RMSE against the reference, {result.pictures} pictures"), *floors, *_named(ends, x[1], y)],
    )


def _described(result: FacesResult, method: str) -> list[str]:
    """Which levels the runs of a method called, and in how many steps."""
    runs = zip(result.measured.pieces, result.measured.evaluations, strict=True)
    return [f"{level_names(called(calls))}, {piece.steps} steps" for piece, calls in runs if piece.method == method]


def _add_floors(figure: Figure, em: Runs, costs: Floats, count: int) -> list[dict[str, Any]]:
    """A thin line for each of EM's levels: more steps only help down to what the network itself misses. Returns their names."""
    names = []
    for level in range(1, count + 1):
        own = np.flatnonzero(em.family == level - 1)
        line = {"color": ink("em", 0.3), "width": 1}
        name = f"EM with {level_name(level)}"
        figure.add_scatter(x=costs[own], y=em.errors[own], name=name, mode="lines", line=line, hoverinfo="skip")
        if level < count:  # the last one ends where the frontier does
            end = own[np.argmax(costs[own])]
            where = {"x": math.log10(costs[end]), "y": math.log10(em.errors[end]), "xanchor": "left", "xshift": 5}
            names.append({"text": level_name(level), **where, **_CLEAR})
    return names


def _add_band(figure: Figure, curve: Envelope, method: str, reached: Bool[np.ndarray, " targets"]) -> None:
    low, high = curve.band()
    known = np.isfinite(low) & np.isfinite(high) & reached
    x, y = np.concatenate([low[known], high[known][::-1]]), np.concatenate([curve.targets[known], curve.targets[known][::-1]])
    figure.add_scatter(
        x=x,
        y=y,
        name=f"{_SHORT[method]}: band",
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=ink(_LOOKS[method]["colour"], 0.15),
        hoverinfo="skip",
    )


@drawn_once
def savings(result: FacesResult, unit: str) -> Figure:
    """At each error, how many times cheaper than EM's cheapest way a method is; below 1 it loses."""
    figure, starts, seen = Figure(), [], [1.0]
    for method, facts in result.methods.items():
        found = [(saving.target, ratio) for saving in facts.savings if (ratio := getattr(saving, unit)) is not None]
        if method == "em" or not found:
            continue
        look, ratios = _LOOKS[method], [ratio for _, ratio in found]
        seen += [ratio.value for ratio in ratios]
        figure.add_scatter(
            x=[target for target, _ in found],
            y=[ratio.value for ratio in ratios],
            name=_SHORT[method],
            mode="lines+markers",
            line={"color": ink(look["colour"]), "width": look["width"]},
            marker={"symbol": look["symbol"], "size": 7},
            error_y=_whiskers(ratios, look["colour"]),
            customdata=[estimate(ratio) for ratio in ratios],
            hovertemplate=f"{_SHORT[method]} at RMSE %{{x:.3r}}: × %{{customdata}}<extra></extra>",
        )
        starts.append((found[0][0], ratios[0].value, method))
    targets = [saving.target for saving in result.methods["em"].savings]
    x, y = _log_range(np.array(targets), left=0.5), _log_range(np.maximum(seen, _WORST))
    muted = {"font": {"color": ink("muted")}}
    return figure.update_layout(
        uirevision=f"{result.measured.process} {unit}",
        margin={"l": 54, "r": 16, "t": 34, "b": 54},
        showlegend=False,
        xaxis={"type": "log", "title": {"text": "RMSE"}, "range": x, **_ticks(x)},
        yaxis={"type": "log", "range": y, **_ticks(y)},
        shapes=[
            {
                "type": "rect",
                "x0": 0,
                "x1": 1,
                "xref": "paper",
                "y0": 10 ** y[0],
                "y1": 1,
                "fillcolor": ink("em", 0.08),
                "line": {"width": 0},
                "layer": "below",
            },
            {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 1, "y1": 1, "line": {"color": ink("em"), "width": 1.5}},
        ],
        annotations=[
            heading("EM’s price over the method’s, at equal error"),
            {"text": "EM is cheaper", "x": 0, "y": 0, **_PAPER, "xanchor": "left", "yanchor": "bottom", "xshift": 4, **muted},
            *_names(starts),
        ],
    )


@drawn_once
def level_errors(result: FacesResult, unit: str) -> Figure:
    """B: what each network costs, against the error at the end that it makes in the place of the finest; and the fitted γ."""
    below = [level for level in result.levels if level.error is not None]
    count = len(result.levels)
    costs = np.array([level.flops / GFLOP if unit == "flops" else level.seconds for level in below])
    errors = [level.error for level in below if level.error is not None]
    values = np.array([error.value for error in errors])
    g = result.gamma[unit]
    figure = Figure()
    line = np.exp(np.log(costs).mean() - g.value * (np.log(values) - np.log(values).mean()))
    dash = {"color": ink("theory"), "width": 2, "dash": DASHES["theory"]}
    aside = ["bottom left" if below_it else "top right" for below_it in costs < line]  # of a line that falls
    figure.add_scatter(x=values, y=line, name="fit", mode="lines", line=dash, hoverinfo="skip")
    figure.add_scatter(
        x=values,
        y=costs,
        name="levels",
        mode="markers+text",
        marker={"size": 10, "color": [level_ink(level.level, count) for level in below]},
        error_x=_whiskers(errors, "ink"),
        text=[level_name(level.level) for level in below],
        textposition=aside,
        textfont={"size": 14},
        customdata=[estimate(error) for error in errors],
        hovertemplate="%{text}: RMSE %{customdata}<br>%{y:.3r}<extra></extra>",
    )
    edges = np.array([edge for error in errors for edge in (error.low, error.high)])
    x, y = _log_range(edges, right=0.05), _log_range(costs, right=0.15)
    text = f"<b>γ = {digits(g.value)}</b><br>95 %: {digits(g.low)} to {digits(g.high)}"
    return figure.update_layout(
        uirevision=f"{result.measured.process} {unit}",
        margin={"l": 64, "r": 16, "t": 34, "b": 54},
        showlegend=False,
        xaxis={
            "type": "log",
            "title": {"text": f"RMSE in the place of {level_name(count)}"},
            "range": x,
            **_ticks(x),
        },
        yaxis={"type": "log", "range": y, **_ticks(y)},
        annotations=[
            heading(f"One evaluation, {UNITS[unit]}"),
            {"text": text, "x": 1, "y": 1, **_PAPER, "xanchor": "right", "yanchor": "top", "align": "right"},
        ],
    )


@drawn_once
def held_out(result: FacesResult) -> Figure:
    """The loss on pictures that no network was trained on, by level, against what an evaluation costs."""
    count, figure = len(result.levels), Figure()
    costs, losses = (
        np.array([level.flops / GFLOP for level in result.levels]),
        np.array([level.held_out for level in result.levels]),
    )
    spread = [1.96 * level.held_out_error for level in result.levels]
    figure.add_scatter(
        x=costs,
        y=losses,
        name="held-out loss",
        mode="lines+markers+text",
        line={"color": ink("muted"), "width": 1},
        marker={"size": 10, "color": [level_ink(level.level, count) for level in result.levels]},
        error_y={"type": "data", "array": spread, "color": ink("ink"), "thickness": 1.5, "width": 3},
        text=[level_name(level.level) for level in result.levels],
        textposition="top right",
        textfont={"size": 14},
        hovertemplate="%{text}: loss %{y:.3r} for %{x:.3r} GFLOP<extra></extra>",
    )
    x = _log_range(costs, right=0.15)
    return figure.update_layout(
        margin={"l": 64, "r": 16, "t": 34, "b": 54},
        showlegend=False,
        xaxis={"type": "log", "title": {"text": "GFLOP of one evaluation"}, "range": x, **_ticks(x)},
        yaxis={"rangemode": "tozero", "nticks": 6},
        annotations=[heading("Loss on held-out pictures, mean over noise levels")],
    )


def calls_along_time(effects: Effects, plan: Plan, count: int) -> Figure:
    """C: what a kick of each correction does to the picture in the end, and how often each is called for it. Of ``count``
    levels those that are used, each as the correction of the one below that is."""
    figure, p, effect = Figure(), plan.probabilities.numpy(), effects.between(plan.levels)
    t = np.arange(len(p)) / len(p)
    upper, lower = (0.58, 1.0), (0.0, 0.42)
    panels = ((effects.times, effect, "y", "effect"), (t, p, "y2", "pₖ"))
    for x, values, axis, what in panels:
        for k, own in zip(plan.levels, values.T, strict=True):
            figure.add_scatter(
                x=x,
                y=np.maximum(own, _LEAST),
                yaxis=axis,
                name=f"{what} of {level_name(k)}",
                mode="lines",
                line={"color": level_ink(k, count), "width": 2},
                hovertemplate=f"{level_name(k)}: {what} %{{y:.3r}} at t = %{{x:.3r}}<extra></extra>",
            )
    y, y2 = (_log_range(np.maximum(values, _LEAST)) for values in (effect, p))
    ends = [
        *_level_names(plan.levels, effect[-1], float(effects.times[-1]), "y"),
        *_level_names(plan.levels, p[-1], float(t[-1]), "y2"),
    ]
    return figure.update_layout(
        margin={"l": 64, "r": 40, "t": 34, "b": 54},
        showlegend=False,
        hovermode="x",
        xaxis={"title": {"text": "t, from noise to picture"}, "anchor": "y2", "range": [0, 1]},
        yaxis={"type": "log", "domain": upper, "range": y, **_ticks(y)},
        yaxis2={"type": "log", "domain": lower, "range": y2, **_ticks(y2)},
        annotations=[
            heading("What a kick of each correction at t does to the end", upper[1]),
            heading("Probability pₖ(t) that it is called on a step", lower[1]),
            *ends,
        ],
    )


def _ticks(view: Sequence[float]) -> dict[str, Any]:
    """Of a logarithmic axis: at powers of ten, every other one where there are many; where there are few also between them."""
    decades = view[1] - view[0]
    mantissas = (1, 1.5, 2, 3, 5, 7) if decades < _SHORT_VIEW / 3 else (1, 2, 5) if decades < _SHORT_VIEW else (1,)
    step = max(1, round(decades / 6))
    values = [m * 10.0**power for power in range(-12 * step, 12, step) for m in mantissas]
    return {"tickvals": values, "ticktext": [tick_text(value) for value in values]}


def _whiskers(points: Sequence[Estimate], colour: str) -> dict[str, Any]:
    """The 95 % intervals."""
    up, down = [p.high - p.value for p in points], [p.value - p.low for p in points]
    return {"type": "data", "array": up, "arrayminus": down, "color": ink(colour, 0.6), "thickness": 1.5, "width": 3}


def _log_range(values: Floats, *, left: float = 0.0, right: float = 0.0) -> list[float]:
    """In powers of ten, with some room at either end, and ``left`` and ``right`` decades more at the low and the high one."""
    low, high = float(np.log10(values.min())), float(np.log10(values.max()))
    room = max(0.06 * (high - low), 0.05)
    return [low - room - left, high + room + right]


def _named(ends: Sequence[tuple[float, float, str]], edge: float, view: Sequence[float]) -> list[dict[str, Any]]:
    """Names of methods beside the plot's right ``edge``, each with a faint line from near the end of its curve (cost, error):
    between the curves there is no room for words."""
    placed = sorted(ends, key=lambda end: end[1], reverse=True)
    labels = [(math.log10(error), _SHORT[method], ink(_LOOKS[method]["colour"], 0.4)) for _, error, method in placed]
    notes = line_ends(labels, view, HEIGHT - _BESIDE_NAMES["t"] - _BESIDE_NAMES["b"], "y")
    return [
        {
            **note,
            "x": math.log10(cost),
            "xref": "x",
            "ax": edge,
            "axref": "x",
            "standoff": 6,
            "font": {"color": ink(_text_of(method))},
        }
        for note, (cost, _, method) in zip(notes, placed, strict=True)
    ]


def _names(points: Sequence[tuple[float, float, str]]) -> list[dict[str, Any]]:
    """Names of methods to the left of a point of their curves; the browser moves apart those that overlap."""
    return [
        {
            "text": _SHORT[method],
            "x": math.log10(x),
            "y": math.log10(y),
            "xanchor": "right",
            "xshift": -8,
            "font": {"color": ink(_text_of(method))},
        }
        for x, y, method in points
    ]


def _text_of(method: str) -> str:
    """The name of the colour in which a method is written."""
    return f"{_LOOKS[method]['colour']}_text"


def _level_names(levels: Sequence[int], values: Floats, x: float, axis: str) -> list[dict[str, Any]]:
    """Names of levels at the right end of their curves."""
    return [
        {
            "text": level_name(k),
            "x": x,
            "y": math.log10(max(value, _LEAST)),
            "yref": axis,
            "xanchor": "left",
            "xshift": 6,
            "font": {"size": 14},
        }
        for k, value in zip(levels, values, strict=True)
    ]
