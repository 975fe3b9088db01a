"""The journeys on Race that matter: play, scrub, change a control, share the link."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.steps import query, said, settle, stage, visit


def test_opens_on_a_race_that_plays_to_its_verdict(page: Page, server: str) -> None:
    visit(page, server)
    expect(page.get_by_role("heading", name="Same accuracy: who pays less?")).to_be_visible()
    shown = stage(page)
    expect(shown).to_have_attribute("data-ended", "true")
    expect(shown.locator(".verdict strong")).to_contain_text("cheaper")
    assert "ML-EM" in said(page)
    charts = "performance.getEntriesByType('resource').some((file) => file.name.endsWith('plotly.min.js'))"
    assert not page.evaluate(charts)
    page.wait_for_function(charts)  # which other pages need: not before this one has played


def test_play_pause_scrub_and_keys(page: Page, server: str) -> None:
    visit(page, server)
    shown = stage(page)
    shown.locator(".play").click()
    expect(shown).to_have_attribute("data-playing", "false")
    slider = shown.get_by_label("Time")
    slider.fill("30")
    expect(shown).to_have_attribute("data-frame", "30")
    slider.press("ArrowRight")
    expect(shown).to_have_attribute("data-frame", "31")
    slider.press("Shift+ArrowLeft")
    expect(shown).to_have_attribute("data-frame", "21")
    shown.get_by_label("Step forward").click()
    expect(shown).to_have_attribute("data-frame", "22")
    slider.press("Space")
    expect(shown).to_have_attribute("data-playing", "true")
    slider.press("End")
    expect(shown).to_have_attribute("data-ended", "true")


def test_no_traffic_while_it_plays(page: Page, server: str) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: frames.append("sent")))
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: frames.append("received")))
    visit(page, server)
    shown = stage(page)
    shown.get_by_label("Time").fill("0")
    page.wait_for_timeout(1500)  # whatever the page still had to say has been said
    frames.clear()
    shown.locator(".play").click()
    expect(shown).to_have_attribute("data-ended", "true")
    assert frames == []


def test_a_moved_control_gives_a_new_race_and_a_new_link(page: Page, server: str) -> None:
    visit(page, server)
    stage(page)
    before = said(page)
    page.get_by_role("slider", name="Cost exponent γ").press("ArrowRight")
    expect(page.locator(".stage canvas")).not_to_have_attribute("aria-label", before)
    settle(page)
    assert query(page)["gamma"] == ["3"]
    page.get_by_role("combobox", name="SDE").click()
    page.get_by_role("option", name="Double well").click()
    page.wait_for_function("() => location.search.includes('sde=double-well')")
    assert query(page)["gamma"] == ["3"]


def test_a_shared_link_shows_the_same_race(page: Page, server: str) -> None:
    visit(page, f"{server}/?gamma=4&seed=7&firing=systematic&epsilon=0.05")
    stage(page)
    first, link = said(page), page.url
    assert query(page)["seed"] == ["7"]
    other = page.context.new_page()
    visit(other, link)
    stage(other)
    assert said(other) == first
    assert other.url == link


def test_a_preset_and_back(page: Page, server: str) -> None:
    visit(page, server)
    stage(page)
    page.get_by_role("button", name="ML-EM loses").click()
    expect(page.locator(".verdict strong")).to_contain_text("dearer")
    page.wait_for_function("() => location.search.includes('epsilon=0.1&')")
    page.get_by_role("button", name="Easy γ = 1").click()
    page.wait_for_function("() => location.search.includes('gamma=1&')")
    expect(page.locator(".verdict strong")).to_contain_text("cheaper")
    page.go_back()
    expect(page.locator(".verdict strong")).to_contain_text("dearer")
    assert query(page)["gamma"] == ["0.5"]


@pytest.mark.parametrize(
    ("hostile", "notice"),
    [
        ("gamma=99", "It is now 8"),
        ("sde=<script>alert(1)</script>", "It is now forced-ou"),
        ("epsilon=nan&paths=1e99", "It is now 0.05"),
        ("sde=lorenz&dim=3", "dim is not an option of lorenz"),
        ("levels=3&epsilon=0.001", "ε is now"),
    ],
)
def test_a_hostile_link_gets_a_notice(page: Page, server: str, hostile: str, notice: str) -> None:
    visit(page, f"{server}/?{hostile}")
    stage(page)
    expect(page.get_by_text(notice).first).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_narrow_and_dark(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    visit(page, server)
    expect(stage(page)).to_have_attribute("data-ended", "true")  # reduced motion: the end at once
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


_CUT = """(() => {
    const { fillText } = CanvasRenderingContext2D.prototype;
    window.cut = new Set();
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const wide = this.measureText(text).width, left = { left: x, center: x - wide / 2, right: x - wide }[this.textAlign];
        if (left < -0.5 || left + wide - 0.5 > this.canvas.width / this.getTransform().a) window.cut.add(text);
        fillText.call(this, text, x, y);
    };
})()"""


@pytest.mark.parametrize("width", [320, 360, 1440])
def test_no_word_of_the_stage_is_cut(page: Page, server: str, width: int) -> None:
    page.add_init_script(_CUT)
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(reduced_motion="reduce")
    visit(page, server)
    expect(stage(page)).to_have_attribute("data-ended", "true")
    page.wait_for_timeout(300)  # letters are measured anew when the typeface has come
    page.evaluate("window.cut.clear()")
    page.set_viewport_size({"width": width - 2, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("[...window.cut]") == []
