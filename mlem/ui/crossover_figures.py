"""Figures of Free steps and Crossover, from results to Plotly figures. Colours are named; the browser puts them in."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlem import theory
from mlem.experiments.crossover import AtGamma, CrossoverResult
from mlem.experiments.steps import StepsResult
from mlem.ui.chart import ink, level_ink
from mlem.ui.figure import Figure
from mlem.ui.figures import heading
from mlem.ui.kept import drawn_once
from mlem.ui.palette import DASHES, MARKERS
from mlem.words import digits, estimate, level_name

_NAMES = {"em": "EM", "mlem": "ML-EM"}
_MARGIN = {"l": 58, "r": 64, "t": 36, "b": 56}
_LIMIT = 1.2  # of the finest 1/h: where the limit is drawn


@drawn_once
def exponents(result: CrossoverResult, gamma: float) -> Figure:
    """A: fitted exponents against γ with their intervals, over theory; the γ that is looked at is marked."""
    figure = Figure()
    gammas = [p.gamma for p in result.points]
    fine = np.linspace(gammas[0], gammas[-1], 181)
    for method, rule in (("em", theory.em_exponent), ("mlem", theory.mlem_exponent)):
        points = [getattr(p, method) for p in result.points]
        line = {"color": ink("theory"), "width": 2, "dash": DASHES["theory"]}
        figure.add_scatter(
            x=fine, y=[rule(g) for g in fine], name=f"{_NAMES[method]} theory", mode="lines", line=line, hoverinfo="skip"
        )
        figure.add_scatter(
            x=gammas,
            y=[p.value for p in points],
            name=_NAMES[method],
            mode="lines+markers",
            line={"color": ink(method), "width": 2},
            marker={"symbol": MARKERS[method], "size": 8},
            error_y=_whiskers(points, method),
            customdata=[estimate(p) for p in points],
            hovertemplate=f"γ = %{{x}}: {_NAMES[method]} %{{customdata}}<extra></extra>",
        )
    ends = [
        _end(gammas[-1], getattr(result.points[-1], method).value, _NAMES[method], ink(f"{method}_text")) for method in _NAMES
    ]
    return figure.update_layout(
        margin=_MARGIN,
        showlegend=False,
        xaxis={"title": {"text": "cost exponent γ"}, "range": [gammas[0] - 0.15, gammas[-1] + 0.15]},
        yaxis={"title": {"text": "exponent of cost in 1/ε"}, "rangemode": "tozero"},
        shapes=[_kink(), _looked_at(gamma)],
        annotations=[*ends, _kink_name(gamma), heading("Exponents: fitted, and theory dashed")],
    )


@drawn_once
def level_shares(result: CrossoverResult, gamma: float) -> Figure:
    """B: each level's share of ML-EM's cost at ε, stacked over γ, the cheapest at the bottom."""
    reached = [p for p in result.points if p.shares]
    count = max((len(p.shares) for p in reached), default=1)
    figure = Figure()
    for k in range(1, count + 1):
        shares = [p.shares[k - 1] if k <= len(p.shares) else 0.0 for p in reached]
        figure.add_scatter(
            x=[p.gamma for p in reached],
            y=shares,
            customdata=[f"{100 * share:.0f}" for share in shares],
            name=level_name(k),
            mode="lines",
            stackgroup="levels",
            line={"width": 0.5, "color": ink("background")},
            fillcolor=level_ink(k, count),
            hovertemplate=f"γ = %{{x}}: {level_name(k)} %{{customdata}} %<extra></extra>",
        )
    ticks = [0, 0.25, 0.5, 0.75, 1]
    names = [_end(reached[-1].gamma, y, level_name(k), ink("ink"), 6) for k, y in _middles(reached[-1])] if reached else []
    return figure.update_layout(
        margin=_MARGIN,
        showlegend=False,
        xaxis={"title": {"text": "cost exponent γ"}, "range": [result.points[0].gamma, result.points[-1].gamma]},
        yaxis={"range": [0, 1], "tickvals": ticks, "ticktext": [f"{100 * tick:g} %" for tick in ticks]},
        shapes=[_kink(), _looked_at(gamma)],
        annotations=[*names, heading(f"Shares of ML-EM’s cost, at ε = {digits(result.epsilon)}")],
    )


@drawn_once
def speedup_map(result: CrossoverResult, gamma: float) -> Figure:
    """C: EM's cost over ML-EM's over (γ, ε), in cividis, with the contour of equal cost and the line γ = 2."""
    ratio = np.array([[np.nan if r is None else r for r in row] for row in result.map], dtype=float).T
    logs = np.log10(ratio)
    gammas = [p.gamma for p in result.points]
    top = float(np.nanmax(logs))
    ticks = [t for t in (-1, 0, 1, 2, 3, 4, 5) if t <= top + 0.2]
    figure = Figure()
    figure.add_contour(
        x=gammas,
        y=list(result.epsilons),
        z=logs,
        colorscale="Cividis",
        contours={"showlines": False, "start": min(0.0, float(np.nanmin(logs))), "end": top, "size": 0.25},
        colorbar={
            "title": {"text": "EM / ML-EM"},
            "tickvals": ticks,
            "ticktext": [f"× {10**t:,g}" for t in ticks],
            "thickness": 12,
        },
        customdata=ratio,
        hovertemplate="γ = %{x}, ε = %{y:.3g}: × %{customdata:.3g}<extra></extra>",
        name="speed-up",
    )
    figure.add_contour(
        x=gammas,
        y=list(result.epsilons),
        z=logs,
        showscale=False,
        contours={"coloring": "none", "start": 0, "end": 0, "size": 1},
        line={"color": "#FFFFFF", "width": 3},
        hoverinfo="skip",
        name="break-even",
    )
    said = "Speed-up; white: break-even"
    if result.breakeven is not None:
        said += ", ◇ at your ε"
        whiskers = _whiskers([result.breakeven], "mlem")
        figure.add_scatter(
            x=[result.breakeven.value],
            y=[result.epsilon],
            name="break-even at ε",
            mode="markers",
            marker={"symbol": "diamond-open", "size": 13, "color": "#FFFFFF", "line": {"width": 3}},
            error_x={**whiskers, "color": "#FFFFFF", "thickness": 2},
            hovertemplate=f"ε = {digits(result.epsilon)}: break-even at γ = {estimate(result.breakeven)}<extra></extra>",
        )
    return figure.update_layout(
        margin={**_MARGIN, "r": 20},
        showlegend=False,
        xaxis={"title": {"text": "cost exponent γ"}},
        yaxis={
            "type": "log",
            "autorange": "reversed",
            "title": {"text": "error ε (smaller is up)"},
            **_ticks(0.005, 0.01, 0.02, 0.05, 0.1),
        },
        shapes=[_kink(), _looked_at(gamma)],
        annotations=[heading(said)],
    )


@drawn_once
def cost_against_step(result: StepsResult) -> Figure:
    """Cost at a fixed error against 1/h: EM and ML-EM for each γ, with the Poisson limit at the end."""
    figure = Figure()
    gammas = sorted({p.gamma for p in result.points})
    notes = []
    for row, gamma in enumerate(gammas):
        points = [p for p in result.points if p.gamma == gamma]
        x = [p.steps / result.horizon for p in points]
        unit = points[0].cost.value
        shade = 1.0 if gamma == gammas[-1] else 0.55 if row else 0.3
        figure.add_scatter(
            x=x,
            y=[p.cost.value / unit for p in points],
            name=f"ML-EM, γ = {gamma:g}",
            mode="lines+markers",
            line={"color": ink("mlem"), "width": 2.5},
            opacity=0.45 + 0.55 * shade,
            marker={"symbol": MARKERS["mlem"], "size": 8},
            error_y=_whiskers([p.cost for p in points], "mlem", unit),
            customdata=[estimate(p.cost) for p in points],
            hovertemplate=f"γ = {gamma:g}, 1/h = %{{x:,.0f}}: cost %{{customdata}}<extra></extra>",
        )
        limit, end = next(p for p in result.limit if p.gamma == gamma), x[-1] * _LIMIT
        notes.append(_end(np.log10(end), np.log10(limit.cost.value / unit), f"γ = {gamma:g}", ink("mlem_text")))
        figure.add_scatter(
            x=[end],
            y=[limit.cost.value / unit],
            name=f"Poisson limit, γ = {gamma:g}",
            mode="markers",
            marker={"symbol": "diamond-open", "size": 11, "color": ink("mlem")},
            error_y=_whiskers([limit.cost], "mlem", unit),
            hovertemplate=f"Poisson limit, γ = {gamma:g}: {estimate(limit.cost)}<extra></extra>",
        )
    first = [p for p in result.points if p.gamma == gammas[0]]
    x = [p.steps / result.horizon for p in first]
    figure.add_scatter(
        x=x,
        y=[p.steps / first[0].steps for p in first],
        name="EM, any γ",
        mode="lines+markers",
        line={"color": ink("em"), "width": 2.5},
        marker={"symbol": MARKERS["em"], "size": 9},
        hovertemplate="1/h = %{x:,.0f}: EM × %{y:.3g}<extra></extra>",
    )
    notes.append(_end(np.log10(x[-1]), np.log10(first[-1].steps / first[0].steps), "EM, any γ", ink("em_text")))
    return figure.update_layout(
        margin={**_MARGIN, "r": 70},
        showlegend=False,
        xaxis={
            "type": "log",
            "title": {"text": "steps per unit time, 1/h"},
            "range": [np.log10(x[0]) - 0.1, np.log10(x[-1] * _LIMIT) + 0.1],
            **_ticks(500, 2000, 10000, 50000),  # with room between them on a phone
        },
        yaxis={"type": "log", "title": {"text": "cost, × that of the largest step"}, **_ticks(0.5, 1, 2, 5, 10, 20, 50, 100)},
        annotations=[*notes, heading(f"Cost at RMSE {digits(result.epsilon)}; ◇ the limit h → 0")],
    )


def _whiskers(points: list[Any], method: str, unit: float = 1.0) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [(p.high - p.value) / unit for p in points],
        "arrayminus": [(p.value - p.low) / unit for p in points],
        "color": ink(method),
        "thickness": 1.5,
        "width": 3,
    }


def _middles(point: AtGamma) -> list[tuple[int, float]]:
    """The middle of each level's band, of those wide enough to be named."""
    edges = np.concatenate([[0.0], np.cumsum(point.shares)])
    return [(k, float((edges[k - 1] + edges[k]) / 2)) for k in range(1, len(edges)) if edges[k] - edges[k - 1] > 0.05]


def _kink() -> dict[str, Any]:
    line = {"color": ink("theory"), "width": 1.5, "dash": DASHES["reference"]}
    return {"type": "line", "x0": theory.KINK, "x1": theory.KINK, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _looked_at(gamma: float) -> dict[str, Any]:
    line = {"color": ink("ink"), "width": 1.5}
    return {"type": "line", "x0": gamma, "x1": gamma, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _ticks(*values: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis, written out."""
    return {"tickvals": list(values), "ticktext": [f"{value:,g}" for value in values]}


def _end(x: float, y: float, text: str, colour: str, shift: int = 14) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "xanchor": "left", "xshift": shift, "font": {"color": colour}}


def _kink_name(gamma: float) -> dict[str, Any]:
    """On the side of the kink where the line of ``gamma`` is not."""
    side = {"xanchor": "right", "xshift": -4} if gamma > theory.KINK else {"xanchor": "left", "xshift": 4}
    font = {"color": ink("theory_text"), "size": 12}
    return {"x": theory.KINK, "y": 1, "yref": "paper", "yanchor": "top", "text": "kink, γ = 2", **side, "font": font}
