"""The chart's payload, read back as the browser reads it; and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from mlem.ui.chart import HEIGHT, MAGIC, ink, level_ink, library, payload
from mlem.ui.palette import DARK, DARK_STARK, LIGHT, LIGHT_STARK, levels
from tests.ui.payloads import unpack


def make_figure(**layout: Any) -> go.Figure:
    """Three series of two names."""
    x = np.arange(3, dtype=np.float32)
    figure = go.Figure(layout=layout)
    figure.add_scatter(x=x, y=x, name="EM", line_color=ink("em"))
    figure.add_scatter(x=x, y=x, name="EM", fill="tonexty", fillcolor=ink("em", 0.2))
    figure.add_scatter(x=x, y=-x, name="f²", marker_color=level_ink(2, 3))
    return figure


def read(figure: go.Figure) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and figure."""
    header, arrays = unpack(MAGIC, payload(figure, key="here", alt="Two lines part.", height=HEIGHT))
    return header, json.loads(arrays["figure"].tobytes())


def test_the_figure_arrives() -> None:
    header, figure = read(make_figure(xaxis_title="t"))
    assert (header["key"], header["alt"], header["height"]) == ("here", "Two lines part.", HEIGHT)
    assert figure["layout"]["xaxis"]["title"]["text"] == "t"
    assert figure["data"][0]["y"]["dtype"] == "f4", "arrays go as they are, not as digits"


def test_named_colours_come_for_both_themes() -> None:
    header, figure = read(make_figure())
    colours = header["colours"]
    assert colours["var(--em)"] == [LIGHT.em, DARK.em]
    assert colours["var(--em, 0.2)"] == ["rgba(213,94,0,0.2)", "rgba(230,159,0,0.2)"]
    assert colours[figure["data"][2]["marker"]["color"]] == [levels(3, "light")[1], levels(3, "dark")[1]]
    text = json.dumps(figure)
    assert set(colours) == {f"var({name})" for name in (part.split(")")[0] for part in text.split("var(")[1:])}


def test_series_are_known_by_name_and_the_view_by_key() -> None:
    _, figure = read(make_figure())
    ids = [trace["uid"] for trace in figure["data"]]
    assert len(set(ids)) == 3
    assert [trace["uid"] for trace in read(go.Figure(make_figure().data[::-2]))[1]["data"]] == [ids[2], ids[0]]
    assert figure["layout"]["uirevision"] == "here"
    _, other = read(make_figure(uirevision="double-well"))
    assert other["layout"]["uirevision"] == "double-well"


def test_the_figure_itself_is_left_alone() -> None:
    figure = make_figure()
    before = figure.to_json()
    read(figure)
    assert figure.to_json() == before


def test_the_address_names_the_version() -> None:
    assert library().endswith(f"plotly-{plotly.__version__}/plotly.min.js")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ink("red"), "a colour takes one of em, mlem, .*, got 'red'"),
        (lambda: ink("ladder"), "a colour takes one of"),
        (lambda: ink("em", 2.0), "opacity takes a number ≥ 0 and ≤ 1, got 2"),
        (lambda: level_ink(4, 3), "level takes an integer from 1 to 3, got 4"),
        (lambda: read(go.Figure(go.Scatter(line_color="var(--pink)"))), "a colour takes one of"),
        (lambda: payload(go.Figure(), key="k", alt="", height=5), "height takes an integer from 100"),
    ],
)
def test_what_is_not_known_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_chart_sends_the_payload() -> None:
    def page() -> None:
        from mlem.ui.chart import chart
        from tests.ui.test_chart import make_figure

        chart(make_figure(), key="here", alt="Two lines part.")

    at = AppTest.from_function(page).run()
    assert not at.exception
    sent = at.get("bidi_component")[0].proto.bytes
    assert sent == payload(make_figure(), key="here", alt="Two lines part.", height=HEIGHT)


def test_a_projector_gets_it_larger_and_starker() -> None:
    sent = payload(make_figure(), key="here", alt="Two lines part.", height=HEIGHT, projector=True)
    header, _ = unpack(MAGIC, sent)
    assert header["zoom"] > 1
    assert header["colours"]["var(--em)"] == [LIGHT_STARK.em, DARK_STARK.em]
    assert read(make_figure())[0]["zoom"] == 1
