"""The work–precision chart: the browser computes what Python does; dragging needs no server; the user's view stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mlem.frontier import Envelope, breakeven, cautions, envelope, exponent, known, prices, speedup
from mlem.ui.palette import LIGHT
from tests.e2e.conftest import serving
from tests.e2e.steps import settle, visit
from tests.made_runs import FLOPS, doubtful, made_runs, part

SCRIPT = """
from dataclasses import replace
import numpy as np, streamlit as st
from mlem.ui.workprecision import Chosen, WorkPrecision, work_precision
from mlem.experiments.convergence import Chance
from tests.made_runs import FLOPS, doubtful, made_runs, part

def keep(chosen):
    st.session_state["chosen"] = chosen

share = st.slider("share", 0.5, 1.0, 0.5, 0.5)
if st.button("Deep"):
    keep(Chosen(4.0, "cost", 0.05))
chosen = st.session_state.setdefault("chosen", Chosen(2.5, "cost", 0.05))
st.write(f"Python knows {chosen.gamma:g}, {chosen.unit}, {chosen.target:.3g}")
em, mlem = (replace(part(runs, share), flops=FLOPS) for runs in made_runs())
chance = Chance(0.04, None, doubtful(mlem)) if st.checkbox("chance") else None
targets = np.geomspace(0.012, 0.3, 20)
predicted = {"em": np.stack([targets**-gamma for gamma in (1.0, 2.0, 4.0)])}
theory = {} if chance else {"predicted": predicted, "predicted_for": (1.0, 2.0, 4.0)}
work_precision(WorkPrecision(em, mlem, targets, chosen, chance=chance, **theory), key="here", on_choice=keep)
"""
TARGETS = np.geomspace(0.012, 0.3, 20)
ANSWERS = """(method) => {
    const view = document.querySelector('.wp').view, answers = view.answers(), one = answers[method];
    const table = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
    const costs = table(one.curve.lowest.slice(0, 20)), target = Math.exp(view.state.target);
    const { speedup, breakeven } = answers;
    return { costs, band: one.band.map(table), slope: one.slope, speedup, breakeven, target };
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with the chart."""
    script: Path = tmp_path_factory.mktemp("workprecision") / "page.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with serving(script) as found:
        yield found


def shown(page: Page, address: str) -> Locator:
    """The chart, once it is drawn."""
    visit(page, address)
    chart = page.locator(".wp")
    expect(chart.locator(".main-svg").first).to_be_visible()
    expect(chart).to_have_attribute("data-gamma", "2.5")
    return chart


def slide(chart: Locator, gamma: str) -> None:
    """Moves the slider and lets go."""
    chart.get_by_role("slider", name="Cost exponent γ").fill(gamma)
    expect(chart).to_have_attribute("data-gamma", gamma)


def same(found: Any, wanted: Any) -> None:
    """Three numbers or none."""
    if wanted is None:
        assert found is None
        return
    assert [found[name] for name in ("value", "low", "high")] == pytest.approx(
        [wanted.value, wanted.low, wanted.high], rel=1e-3
    )


def curves(gamma: float, unit: str, share: float = 1.0) -> dict[str, Envelope]:
    """What Python makes of the same runs."""
    sides = dict(zip(("em", "mlem"), (replace(part(runs, share), flops=FLOPS) for runs in made_runs()), strict=True))
    return {method: envelope(runs, prices(runs, unit, gamma), TARGETS) for method, runs in sides.items()}


@pytest.mark.parametrize(
    ("gamma", "unit", "share"),
    [
        ("2.5", "cost", 0.5),
        ("0.25", "cost", 1.0),
        ("1.05", "cost", 1.0),
        ("5", "cost", 1.0),
        ("2.5", "evaluations", 1.0),
        ("2.5", "flops", 1.0),
    ],
)
def test_the_browser_computes_what_python_does(page: Page, address: str, gamma: str, unit: str, share: float) -> None:
    chart = shown(page, address)
    if share == 1.0:
        page.get_by_role("slider", name="share").press("ArrowRight")
        expect(chart).to_have_attribute("data-runs", str(sum(len(runs.family) for runs in made_runs())))
    slide(chart, gamma)
    chart.locator(f".wp-units input[value={unit}]").check(force=True)
    expect(chart).to_have_attribute("data-unit", unit)
    wanted = curves(float(gamma), unit, share)
    for method in ("em", "mlem"):
        curve, found = wanted[method], page.evaluate(ANSWERS, method)
        costs = np.array([np.inf if value is None else np.exp(value) for value in found["costs"]])
        np.testing.assert_allclose(costs, curve.costs, rtol=1e-3)
        for side, column in zip(curve.band(), found["band"], strict=True):
            np.testing.assert_allclose([np.inf if value is None else np.exp(value) for value in column], side, rtol=1e-3)
        same(found["slope"], exponent(curve))
        same(found["speedup"], speedup(wanted["em"], wanted["mlem"], found["target"]))
        same(found["breakeven"], breakeven(wanted["em"], wanted["mlem"]))
    said = [f"{name}: {words}" for name, method in (("EM", "em"), ("ML-EM", "mlem")) for words in cautions(wanted[method])]
    assert chart.locator("li.mind").all_inner_texts() == said


def test_a_curve_ends_where_chance_hides_the_cheapest_run(page: Page, address: str) -> None:
    chart = shown(page, address)
    page.get_by_role("slider", name="share").press("ArrowRight")
    page.get_by_text("chance", exact=True).click()
    expect(chart.locator(".wp-fit")).to_contain_text("are grey, and make no curve")
    for gamma in ("1", "2.5", "4"):
        slide(chart, gamma)
        whole, hidden = curves(float(gamma), "cost")["mlem"], doubtful(made_runs()[1])
        wanted = known(whole, hidden.errors, prices(hidden, "cost", float(gamma)))
        assert 0 < len(wanted.finite) < len(whole.finite)
        found = page.evaluate(ANSWERS, "mlem")
        costs = np.array([np.inf if value is None else np.exp(value) for value in found["costs"]])
        np.testing.assert_allclose(costs, wanted.costs, rtol=1e-3)
        same(found["slope"], exponent(wanted))
    chart.get_by_role("slider", name="RMSE at T at which both are compared").press("End")
    expect(chart.locator("strong")).to_contain_text("chance hides the cheapest run of ML-EM")


def test_dragging_needs_no_server_and_letting_go_tells_it(page: Page, address: str) -> None:
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: sent.append(0)))
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sent.append(len(frame))))
    chart = shown(page, address)
    page.wait_for_timeout(1000)
    sent.clear()
    slider = chart.get_by_role("slider", name="Cost exponent γ")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.48 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=10)
    expect(chart.locator("output")).to_contain_text("thin lines: 2.50")
    axis = page.evaluate("document.querySelector('.js-plotly-plot').layout.yaxis.range")
    assert sent == []
    page.mouse.up()
    gamma = chart.get_attribute("data-gamma") or ""
    expect(page.get_by_text(f"Python knows {float(gamma):g}, cost, 0.05")).to_be_visible()
    expect(chart.locator("output")).to_have_text(f"{float(gamma):.2f}")
    page.wait_for_function("(axis) => document.querySelector('.js-plotly-plot').layout.yaxis.range[1] > axis[1]", arg=axis)
    settle(page)
    expect(chart).to_have_attribute("data-gamma", gamma)
    assert sum(sent) < 10_000, "the runs do not come again"


def test_theory_follows_the_finger(page: Page, address: str) -> None:
    chart = shown(page, address)
    expect(chart.locator(".wp-fit")).to_contain_text("Dashed along the curves: theory")
    drawn = """() => document.querySelector('.js-plotly-plot').data.filter(({ line }) => line?.dash === 'dash')
        .map(({ x, y, line }) => [Array.from(x), Array.from(y), line.color])[0]"""
    slider = chart.get_by_role("slider", name="Cost exponent γ")
    for gamma in (1.0, 1.5, 3.0):
        slider.evaluate("(slider, gamma) => { slider.value = gamma; slider.dispatchEvent(new Event('input')); }", gamma)
        x, y, colour = page.evaluate(drawn)
        assert x[-2:] == [None, None], "a line each, of which ML-EM has none"
        np.testing.assert_allclose(np.array(x[:-2], dtype=float), TARGETS, rtol=1e-5)
        np.testing.assert_allclose(np.array(y[:-2], dtype=float), TARGETS**-gamma, rtol=1e-4)
        assert colour == LIGHT.theory
    slide(chart, "5")
    assert page.evaluate(drawn)[0] == [None, None], "nothing is said beyond its table"


def test_a_preset_moves_the_chart(page: Page, address: str) -> None:
    chart = shown(page, address)
    slide(chart, "1")
    expect(page.get_by_text("Python knows 1, cost")).to_be_visible()
    page.get_by_role("button", name="Deep").click()
    expect(chart).to_have_attribute("data-gamma", "4")
    slide(chart, "1")
    expect(page.get_by_text("Python knows 1, cost")).to_be_visible()


def test_new_runs_and_a_new_gamma_leave_the_view_alone(page: Page, address: str) -> None:
    chart = shown(page, address)
    ranges = "() => ['xaxis', 'yaxis'].map((axis) => document.querySelector('.js-plotly-plot').layout[axis].range)"
    chart.locator(".wp-figure").press("+")
    chart.locator(".wp-figure").press("ArrowRight")
    chart.get_by_role("button", name="EM", exact=False).first.click()
    page.wait_for_timeout(300)
    kept, runs = page.evaluate(ranges), chart.get_attribute("data-runs") or ""
    page.get_by_role("slider", name="share").press("ArrowRight")
    expect(chart).not_to_have_attribute("data-runs", runs)
    slide(chart, "3")
    expect(page.get_by_text("Python knows 3, cost")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate(ranges) == kept
    expect(chart.get_by_role("button", name="EM", exact=False).first).to_have_attribute("aria-pressed", "false")
    chart.locator(".wp-figure").press("0")
    page.wait_for_function("(kept) => document.querySelector('.js-plotly-plot').layout.xaxis.range[0] !== kept", arg=kept[0][0])


def test_another_unit_is_seen_whole(page: Page, address: str) -> None:
    """Zoomed to the costs of one unit, the chart would show none of another's."""
    chart = shown(page, address)
    for _ in range(4):
        chart.locator(".wp-figure").press("+")
    page.wait_for_function("() => Object.keys(document.querySelector('.wp').view.plot.view).length === 2")
    chart.get_by_text("Evaluations", exact=True).click()
    expect(chart).to_have_attribute("data-unit", "evaluations")
    page.wait_for_function(
        """() => {
            const { view } = document.querySelector('.wp'), { layout } = document.querySelector('.js-plotly-plot');
            const [low, high] = layout.yaxis.range;
            const costs = ['em', 'mlem'].flatMap((method) => Array.from(view.answers()[method].curve.lowest.slice(0, 20)));
            return costs.filter(Number.isFinite).every((log) => low < log / Math.LN10 && log / Math.LN10 < high);
        }"""
    )


def test_buttons_come_with_a_tap_where_nothing_hovers(browser: Browser, address: str) -> None:
    """Else they lie on the curves' names as soon as γ moves them up."""
    with browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        chart = shown(page, address)
        assert page.evaluate("matchMedia('(hover: none)').matches")
        expect(chart.locator(".modebar")).to_be_hidden()
        chart.locator(".wp-figure").tap()
        expect(chart.locator(".modebar")).to_be_visible()


def test_the_target_moves_by_keys_and_by_a_click(page: Page, address: str) -> None:
    chart = shown(page, address)
    target = chart.get_by_role("slider", name="RMSE at T at which both are compared")
    before = target.get_attribute("aria-valuetext") or ""
    assert before == f"{chart.locator('strong').inner_text()} {chart.locator('.wp-verdict span').inner_text()}".strip()
    target.press("PageUp")
    expect(target).not_to_have_attribute("aria-valuetext", before)
    moved = target.get_attribute("aria-valuetext") or ""
    box = chart.locator(".wp-plot").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    expect(target).not_to_have_attribute("aria-valuetext", moved)
    assert chart.locator(".wp-figure").get_attribute("aria-label") is not None


def test_a_saved_picture_has_the_runs(page: Page, address: str) -> None:
    chart = shown(page, address)
    chart.locator(".wp-figure").hover()
    with page.expect_download() as saved:
        chart.locator("[data-title='Save as SVG'], [aria-label='Save as SVG']").first.click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert text.count('class="point"') > int(chart.get_attribute("data-runs") or 0)


def test_narrow_and_dark(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    chart = shown(page, address)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('.wp').view.colours.em") == "#E69F00"
    for box in (button.bounding_box() for button in chart.locator(".wp-show button, .wp-units label").all()):
        assert box is not None
        assert box["height"] >= 44
