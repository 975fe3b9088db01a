"""Figures of the Faces page: they hold what was measured, and Plotly takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlem.experiments import faces
from mlem.experiments.faces import UNITS, FacesResult
from mlem.images.pilot import Plan
from mlem.ui import faces_figures
from mlem.ui.chart import payload
from tests.made_faces import FLOPS, made_effects, made_measured


@pytest.fixture(scope="module", params=["sde", "ode"])
def result(request: pytest.FixtureRequest) -> FacesResult:
    return faces.judge(made_measured(request.param, pictures=16))


def series(figure, name: str):  # type: ignore[no-untyped-def]  # Plotly's
    return next(trace for trace in figure.data if trace.name == name)


@pytest.mark.parametrize("unit", UNITS)
def test_every_run_and_every_method_is_drawn(result: FacesResult, unit: str) -> None:
    figure = faces_figures.error_vs_cost(result, faces_figures.frontiers(result, unit), unit)
    price = "GFLOP" if unit == "flops" else "seconds"
    for name, facts in result.methods.items():
        short = faces_figures._SHORT[name]
        mine = [row for row in result.runs if row["method"] == facts.title]
        cloud = series(figure, f"{short}: runs")
        np.testing.assert_allclose(cloud.x, [row[price] for row in mine])
        np.testing.assert_allclose(cloud.y, [row["rmse"] for row in mine])
        line = series(figure, short)
        assert (np.diff(line.x) <= 1e-9).all(), "a larger error never costs more"
        named = next(note for note in figure.layout.annotations if note.text == short)
        np.testing.assert_allclose([10**named.x, 10**named.y], [line.x[0], line.y[0]], err_msg="at the fine end of its curve")
        assert named.ax == figure.layout.xaxis.range[1], "beside the plot, where nothing crosses it"
    payload(figure, key="k", alt="a", height=400)


def test_frontiers_are_those_of_the_experiment(result: FacesResult) -> None:
    """The page draws more targets, on the same curves."""
    curves = faces_figures.frontiers(result, "flops")
    for name, facts in result.methods.items():
        target, cost = facts.frontier[len(facts.frontier) // 2]
        own = curves[name]
        near = np.flatnonzero(np.isfinite(own.costs) & (abs(np.log(own.targets / target)) < 0.2))
        assert own.costs[near].min() * 0.99 <= cost <= own.costs[near].max() * 1.01


@pytest.mark.parametrize("unit", UNITS)
def test_savings_show_where_a_method_loses(result: FacesResult, unit: str) -> None:
    figure = faces_figures.savings(result, unit)
    line = series(figure, "ML-EM, even")
    expected = [getattr(saving, unit).value for saving in result.methods["mlem"].savings if getattr(saving, unit)]
    np.testing.assert_allclose(line.y, expected)
    low, high = (10**edge for edge in figure.layout.yaxis.range)
    assert low < 1.0 < max(1.0, *expected) < high
    assert not any(trace.name == "EM" for trace in figure.data)
    payload(figure, key="k", alt="a", height=400)


@pytest.mark.parametrize("unit", UNITS)
def test_the_fitted_line_has_the_ladders_exponent(result: FacesResult, unit: str) -> None:
    figure = faces_figures.level_errors(result, unit)
    fit = series(figure, "fit")
    slope = np.diff(np.log(fit.y)) / np.diff(np.log(fit.x))
    np.testing.assert_allclose(slope, -result.gamma[unit].value)
    assert len(series(figure, "levels").x) == len(result.levels) - 1, "the finest is what the others are compared with"
    payload(figure, key="k", alt="a", height=400)


def test_held_out_losses(result: FacesResult) -> None:
    figure = faces_figures.held_out(result)
    np.testing.assert_allclose(series(figure, "held-out loss").y, [level.held_out for level in result.levels])
    payload(figure, key="k", alt="a", height=400)


def test_calls_along_time() -> None:
    p, effects, levels = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 1, (40, 3))), made_effects(), (1, 3, 5)
    figure = faces_figures.calls_along_time(effects, Plan(levels, p), len(FLOPS))
    np.testing.assert_allclose(series(figure, "pₖ of f³").y, p[:, 1])
    np.testing.assert_allclose(series(figure, "effect of f³").y, effects.between(levels)[:, 1])
    assert not any("f²" in one.name for one in figure.data), "f² is not used"
    payload(figure, key="k", alt="a", height=400)
