"""A teacher builds a lesson of two steps; a student opens its link in a browser of her own and does it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.e2e.conftest import WAIT
from tests.e2e.steps import settle, visit


def choose(page: Page, label: str, title: str) -> None:
    """Chooses from a list, which a run of the script that comes late closes again."""
    option = page.get_by_role("option", name=title)
    for _ in range(5):
        page.get_by_role("combobox", name=label).click()
        try:
            option.click(timeout=3000)
            return
        except TimeoutError:
            page.keyboard.press("Escape")
    raise AssertionError(f"{title} cannot be chosen")


def built(page: Page, server: str) -> str:
    """Makes a lesson of the Hierarchy page's own question and one of the teacher's; its link."""
    visit(page, f"{server}/teach")
    page.get_by_role("button", name="Two short steps").click()
    page.get_by_role("button", name="Remove step 1").click()
    expect(page.get_by_role("button", name="Remove step 2")).to_have_count(0)
    settle(page)
    page.get_by_text("Add a step").click()
    settle(page)
    choose(page, "Ask for a prediction", "My own: a choice")
    page.get_by_label("Your question").fill("Who *pays* less?")
    page.get_by_label("Choices, one a line").fill("EM\nML-EM")
    page.get_by_label("Choices, one a line").press("Control+Enter")
    choose(page, "The right one", "ML-EM")
    page.get_by_role("button", name="Add this step").click()
    expect(page.get_by_text("asks: Who *pays* less?")).to_be_visible()
    settle(page)
    link = page.get_by_test_id("stCode").first.inner_text().strip()
    assert "draft=" in page.url
    assert len(link) <= 1500
    return link


def test_a_lesson_is_built_and_done(page: Page, browser: Browser, server: str) -> None:
    link = built(page, server)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Sheet with QR codes").click()
    sheet = Path(saved.value.path()).read_text(encoding="utf-8")
    assert sheet.count("<svg") == 2
    assert link.replace("&", "&amp;") in sheet

    student = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce").new_page()
    student.set_default_timeout(WAIT)
    visit(student, link)
    expect(student.get_by_text("step 1 of 2")).to_be_visible()
    expect(student.get_by_test_id("stSidebarNav")).to_have_count(0)
    expect(student.get_by_label("Seed")).to_have_count(0)
    student.get_by_role("slider", name="Your").press("PageUp")
    student.get_by_role("button", name="Lock my prediction").click()
    expect(student.get_by_text("You said")).to_be_visible()
    student.get_by_role("button", name="Next").click()
    expect(student.get_by_text("Who *pays* less?")).to_be_visible()
    student.get_by_text("ML-EM", exact=True).first.click()
    student.get_by_role("button", name="Lock my prediction").click()
    expect(student.get_by_text("it is “ML-EM”")).to_be_visible()
    student.get_by_role("button", name="Show pages and presets").click()
    expect(student.get_by_test_id("stSidebarNav")).to_be_visible()
    student.context.close()
