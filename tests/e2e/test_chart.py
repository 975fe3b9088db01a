"""A chart keeps what its user did to it, whatever comes from the server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import serving
from tests.e2e.steps import settle, visit

SCRIPT = """
import numpy as np, plotly.graph_objects as go, streamlit as st
from mlem.ui.chart import chart, ink

gamma = st.slider("gamma", 1.0, 5.0, 2.0, 1.0)
x = np.geomspace(0.01, 1.0, 5)
figure = go.Figure(layout={"uirevision": st.selectbox("about", ["one", "two"])})
figure.add_scatter(x=x, y=x**-gamma, name="EM", line_color=ink("em"))
figure.add_scatter(x=x, y=np.ones(5), name="ML-EM", line_color=ink("mlem"))
figure.update_layout(xaxis={"type": "log", "range": [-2, 0]}, yaxis={"type": "log", "range": [0, 2 * gamma]})
chart(figure, key="here", alt=f"EM costs more and more at gamma {gamma:g}.")
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with one chart."""
    script: Path = tmp_path_factory.mktemp("chart") / "chart.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with serving(script) as found:
        yield found


def shown(page: Page) -> Locator:
    """The chart, once it is drawn."""
    expect(page.locator(".mlem-chart .main-svg").first).to_be_visible()
    return page.locator(".mlem-chart")


def layout(page: Page) -> dict[str, Any]:
    """Ranges of both axes, and which series are hidden."""
    return page.evaluate(
        """() => { const { layout, data } = document.querySelector(".js-plotly-plot");
        return { x: layout.xaxis.range, y: layout.yaxis.range, hidden: data.map((one) => one.visible === "legendonly") } }"""
    )


def press(page: Page, key: str) -> None:
    """Moves the slider and waits for what comes of it."""
    chart = shown(page)
    before = chart.get_attribute("aria-label") or ""
    page.get_by_role("slider", name="gamma").press(key)
    expect(chart).not_to_have_attribute("aria-label", before)
    settle(page)
    page.wait_for_timeout(200)


def zoom(page: Page) -> None:
    """Draws a box with the pointer."""
    box = page.locator(".mlem-chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] > -1.9")


def test_zoom_and_hidden_series_survive_new_data(page: Page, address: str) -> None:
    visit(page, address)
    shown(page)
    assert layout(page) == {"x": [-2, 0], "y": [0, 4], "hidden": [False, False]}
    page.locator(".mlem-chart .legendtoggle").nth(1).click()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').data[1].visible === 'legendonly'")
    zoom(page)
    kept = layout(page)
    mounted = page.evaluate("window.first = document.querySelector('.js-plotly-plot'); true")
    press(page, "ArrowRight")
    assert layout(page) == kept
    assert mounted
    assert page.evaluate("window.first === document.querySelector('.js-plotly-plot')"), "it is the same chart"
    page.mouse.dblclick(*middle(page))
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] === -2")
    assert layout(page) == {"x": [-2, 0], "y": [0, 6], "hidden": [False, True]}, "all of the new data is shown"


def middle(page: Page) -> tuple[float, float]:
    box = page.locator(".mlem-chart .nsewdrag").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_another_subject_is_shown_whole(page: Page, address: str) -> None:
    visit(page, address)
    shown(page)
    zoom(page)
    page.get_by_role("combobox", name="about").click()
    page.get_by_role("option", name="two").click()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] === -2")


def test_keys_move_and_zoom(page: Page, address: str) -> None:
    visit(page, address)
    chart = shown(page)
    chart.press("+")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] === -1.8")
    chart.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] > -1.7")
    press(page, "ArrowRight")
    assert layout(page)["x"] == pytest.approx([-1.64, -0.04])
    chart.press("0")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] === -2")


def test_the_picture_can_be_saved(page: Page, address: str) -> None:
    visit(page, address)
    shown(page).hover()
    with page.expect_download() as saved:
        page.locator(".mlem-chart [data-title='Save as SVG'], .mlem-chart [aria-label='Save as SVG']").first.click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert saved.value.suggested_filename == "mlem-here.svg"
    assert "#D55E00" in text or "rgb(213, 94, 0)" in text


def test_colours_follow_the_theme(page: Page, address: str) -> None:
    page.emulate_media(color_scheme="light")
    visit(page, address)
    shown(page)
    colour = "() => document.querySelector('.js-plotly-plot').data[0].line.color"
    assert page.evaluate(colour) == "#D55E00"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({colour})() === '#E69F00'")


def test_the_library_is_fetched_once(page: Page, address: str) -> None:
    """A second visit asks for nothing: the browser's copy is good."""
    sent: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sent.append(int(event["encodedDataLength"])))
    visit(page, address)
    shown(page)
    assert 1_000_000 < max(sent) < 2_000_000, "compressed"
    sent.clear()
    visit(page, address)
    shown(page)
    assert max(sent) < 100_000


def test_the_library_comes_from_the_package(address: str) -> None:
    import plotly

    from mlem.ui.chart import library

    with urllib.request.urlopen(address + library()) as answer:
        found = answer.read()
    assert found == (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    assert json.dumps(answer.headers["Cache-Control"]) == '"public"'
