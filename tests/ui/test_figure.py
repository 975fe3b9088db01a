"""Figures as written down are those of Plotly, which looks at every value when it is asked to."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.io.json import to_json_plotly

from mlem.experiments.coin import CoinParams
from mlem.experiments.coin import run as run_coin
from mlem.ui import diagnostics_figures, figures
from mlem.ui.figure import Drawable, Figure
from tests.ui.test_diagnostics_figures import table
from tests.ui.test_figures import ladder

COIN = run_coin(CoinParams(sde="ornstein-uhlenbeck", levels=4, draws=50))
MADE = {
    "curves": lambda: figures.level_curves(ladder()),
    "cost": lambda: figures.cost_of_accuracy(ladder(), 2.0),
    "telescope": lambda: figures.telescope(COIN),
    "mean": lambda: figures.running_mean(COIN),
    "shares": lambda: figures.shares(COIN),
    "diagnostics": lambda: diagnostics_figures.by_level(table()),
}


def read(value: Any) -> Any:
    """What the browser makes of a figure's JSON: arrays as lists, and what is not a number as a word."""
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(b64decode(value["bdata"]), value["dtype"])
        shape = [int(size) for size in value["shape"].split(",")] if "shape" in value else array.shape
        return read(array.reshape(shape).tolist())
    if isinstance(value, dict):
        return {key: read(item) for key, item in value.items() if item is not None and key != "template"}
    if isinstance(value, list | tuple):
        return [read(item) for item in value]
    return "not a number" if value != value else value


def sent(figure: Drawable) -> Any:
    return read(json.loads(to_json_plotly(figure.to_plotly_json())))


@pytest.mark.parametrize("name", MADE)
def test_every_figure_is_what_plotly_would_have_sent(name: str) -> None:
    figure = MADE[name]()
    assert sent(figure) == sent(go.Figure(data=figure.data, layout=figure.layout))


@given(
    dtype=st.sampled_from(["f8", "f4", "i8", "i4", "i2", "u1", "?", "U3"]),
    shape=st.sampled_from([(5,), (2, 3)]),
)
def test_arrays_arrive(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    figure = Figure().add_contour(z=array, name="z")
    assert sent(figure)["data"] == [{"type": "contour", "z": array.tolist(), "name": "z"}]


def test_what_plotly_does_not_take_is_refused_when_it_is_asked() -> None:
    figure = Figure().add_scatter(x=[1], y=[2], marker={"colour": "red"})
    with pytest.raises(ValueError, match="Invalid property"):
        assert figure.data
    with pytest.raises(ValueError, match="Invalid property"):
        assert Figure().update_layout(xaxes={}).layout


def test_checks_follow_what_is_added() -> None:
    figure = Figure().add_bar(x=[1], y=[2])
    assert len(figure.data) == 1
    assert len(figure.add_bar(x=[1], y=[3]).data) == 2
    assert figure.update_layout(showlegend=False).layout.showlegend is False
    assert figure.update_layout(showlegend=True).layout.showlegend is True


def test_what_is_sent_can_be_changed_without_changing_the_figure() -> None:
    figure = Figure().add_bar(x=[1], y=[2])
    figure.to_plotly_json()["data"][0]["uid"] = "series1"
    assert "uid" not in figure.to_plotly_json()["data"][0]
