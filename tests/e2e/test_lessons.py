"""Each lesson done by keyboard alone, on a phone and on a desk."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from mlem.lessons.builtin import LESSONS
from mlem.lessons.questions import QUESTIONS
from tests.e2e.steps import query, settle, visit, visit_drawn

_TABS = 80  # that any control of a card takes at most, from the top of the page

_COMPUTING = 120_000  # ms, at most: nobody has asked the server for these results before


def tab_to(page: Page, name: str, role: str = "button") -> None:
    """Presses Tab until the control of that name has the focus."""
    wanted = page.get_by_role(role, name=re.compile(f"^(\\w+ )?{re.escape(name)}")).first  # type: ignore[arg-type]
    expect(wanted).to_be_visible()
    found = wanted.element_handle()  # once: to look for it by its name after each Tab takes long
    for _ in range(_TABS):
        page.keyboard.press("Tab")
        if found.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"{_TABS} tabs do not reach “{name}”")


def predict(page: Page, kind: str) -> None:
    """Chooses something and locks it."""
    if kind == "choice":
        options = page.get_by_role("radio")
        expect(options.first).to_be_attached()
        for _ in range(_TABS):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.type === 'radio'"):
                break
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
    else:
        tab_to(page, "Your", role="slider")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Lock my prediction")).to_be_enabled()
    settle(page)
    tab_to(page, "Lock my prediction")
    page.keyboard.press("Enter")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", list(LESSONS))
def test_a_lesson_by_keyboard_alone(page: Page, server: str, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(reduced_motion="reduce")
    page.set_default_timeout(_COMPUTING)
    visit(page, f"{server}/lessons")
    tab_to(page, f"Start “{LESSONS[name].title}”")
    page.keyboard.press("Enter")
    for number, step in enumerate(LESSONS[name].steps, start=1):
        expect(page.get_by_text(f"step {number} of {len(LESSONS[name].steps)}")).to_be_visible(timeout=_COMPUTING)
        settle(page)
        assert query(page)["step"] == [str(number)]
        assert isinstance(step.question, str)
        predict(page, QUESTIONS[step.question].question.kind)
        expect(page.get_by_text("You said").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        last = number == len(LESSONS[name].steps)
        settle(page)
        tab_to(page, "Finish" if last else "Next")
        page.keyboard.press("Enter")
    expect(page.get_by_text("What you said, and what was measured")).to_be_visible()
    expect(page.get_by_text(re.compile("You said (“|[0-9])"))).to_have_count(len(LESSONS[name].steps))


def test_a_line_is_dragged_on_the_chart(page: Page, server: str) -> None:
    """It follows the pointer without a word to the server, which is told once when it is let go; a tap does as well."""
    page.set_default_timeout(_COMPUTING)
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    visit_drawn(page, f"{server}/hierarchy?lesson=why-one-evaluation&step=2")
    asked, slider = page.locator(".predict"), page.get_by_role("slider", name="Your slope")
    expect(page.get_by_role("button", name="Lock my prediction")).to_be_disabled()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^Nothing said yet"))
    expect(page.locator(".predict-board")).to_have_attribute("data-draws", re.compile("."))
    page.locator(".predict-handle").scroll_into_view_if_needed()
    start, pad = page.locator(".predict-handle").bounding_box(), page.locator(".predict-pad").bounding_box()
    assert start
    assert pad
    before = len(sent)
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    for share in (0.3, 0.6, 0.9):
        page.mouse.move(pad["x"] + share * pad["width"], pad["y"] + (1 - share / 2) * pad["height"])
        assert int(asked.get_attribute("data-at") or -1) >= 0
    assert len(sent) == before
    page.mouse.up()
    expect(page.get_by_role("button", name="Lock my prediction")).to_be_enabled()
    assert len(sent) == before + 1
    dragged = int(asked.get_attribute("data-at") or -1)
    slider.press("ArrowUp")
    expect(asked).to_have_attribute("data-at", str(dragged + 1))
    page.mouse.click(pad["x"] + 0.9 * pad["width"], pad["y"] + 0.3 * pad["height"])
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^Your line: slope"))
    assert int(asked.get_attribute("data-at") or -1) > dragged + 1, "steeper"


def test_what_was_said_is_there_after_other_pages_and_a_reload(page: Page, server: str) -> None:
    page.set_default_timeout(_COMPUTING)
    visit_drawn(page, f"{server}/hierarchy?lesson=why-one-evaluation&step=2")
    page.get_by_role("slider", name="Your slope").press("PageUp")
    page.get_by_role("button", name="Lock my prediction").click()
    told = page.get_by_text("You said").inner_text()
    page.get_by_role("link", name="Coin").click()
    page.get_by_role("button", name="Go on with it").click()
    expect(page.get_by_text(told)).to_be_visible()
    page.reload()
    expect(page.get_by_text(told)).to_be_visible()
    assert query(page)["said"][0].startswith("2~")
