"""A sweep that nobody has stored: it fills in, stops, goes on, and is taken up again."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.steps import visit

PATH = "convergence?paths=512&levels=9&seed=4242"
QUICK = "convergence?paths=32&levels=5&seed=4242"


def percent(page: Page) -> int:
    found = re.search(r"(\d+)%", page.locator('[data-testid="stProgress"]').inner_text())
    assert found
    return int(found.group(1))


def test_fills_in_stops_and_goes_on(page: Page, server: str) -> None:
    visit(page, f"{server}/{PATH}")
    shown = page.locator('[data-testid="stProgress"]')
    expect(shown).to_contain_text("Computing")
    expect(shown).not_to_contain_text(" 0%")
    page.get_by_role("button", name="Stop").click()
    expect(shown).to_contain_text("Stopped")
    stopped = percent(page)
    page.get_by_role("button", name="Resume").click()
    expect(shown).to_contain_text("Computing")
    page.get_by_role("link", name="Coin").click()
    expect(shown).to_have_count(0)
    page.get_by_role("link", name="Error vs compute").click()
    expect(page.get_by_text(re.compile("Computing|Computed in")).first).to_be_visible()
    assert shown.count() == 0 or percent(page) >= stopped


def test_ends(page: Page, server: str) -> None:
    visit(page, f"{server}/{QUICK}")
    expect(page.get_by_text("for all who look at it")).to_be_visible(timeout=60_000)
    expect(page.locator('[data-testid="stProgress"]')).to_have_count(0)


def test_gamma_is_not_kept_waiting(page: Page, server: str) -> None:
    """γ only prices: the sweep goes on from where it is."""
    visit(page, f"{server}/{PATH.replace('4242', '4243')}")
    expect(page.locator('[data-testid="stProgress"]')).not_to_contain_text(" 0%")
    before = percent(page)
    page.get_by_role("slider", name="γ").first.press("End")
    page.wait_for_function("() => !location.search.includes('gamma=2.5&')")
    expect(page.get_by_text("At γ = 5")).to_be_visible()
    still = page.locator('[data-testid="stProgress"]')
    assert still.count() == 0 or percent(page) >= before
