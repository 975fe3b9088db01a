"""What every page with charts must do in a browser: open, follow its controls, share its link, fit a phone."""

from __future__ import annotations

import re
from functools import partial

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import serving
from tests.e2e.steps import put_on, query, settle, visit, visit_drawn

PAGES = {
    "hierarchy": ("What does accuracy cost?", ("hierarchy-curves", "hierarchy-cost"), "hierarchy-cost"),
    "coin": ("How can rare, dear calls suffice?", ("coin-telescope", "coin-mean", "coin-shares"), "coin-shares"),
}
every_page = pytest.mark.parametrize("name", list(PAGES))


def chart(page: Page, key: str) -> Locator:
    """The chart with that key, once it is drawn."""
    found = page.locator(f".st-key-{key} .mlem-chart")
    expect(found.locator(".main-svg").first).to_be_visible()
    return found


def said(page: Page, name: str) -> list[str]:
    """The text alternatives of a page's charts."""
    return [chart(page, key).get_attribute("aria-label") or "" for key in PAGES[name][1]]


@every_page
def test_opens_on_its_question_and_all_of_its_charts(page: Page, server: str, name: str) -> None:
    visit(page, f"{server}/{name}")
    question, charts, _ = PAGES[name]
    expect(page.get_by_role("heading", name=question)).to_be_visible()
    assert len(set(said(page, name))) == len(charts)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


@every_page
def test_a_moved_control_changes_the_picture_and_the_link(page: Page, server: str, name: str) -> None:
    visit(page, f"{server}/{name}")
    follows = chart(page, PAGES[name][2])
    before, drawn = follows.get_attribute("aria-label") or "", follows.get_attribute("data-draws") or ""
    page.get_by_role("slider", name="Cost exponent γ").press("ArrowRight")
    expect(follows).not_to_have_attribute("aria-label", before)
    expect(follows).not_to_have_attribute("data-draws", drawn)
    settle(page)
    assert query(page)["gamma"] == ["3"]


@every_page
def test_a_shared_link_shows_the_same(page: Page, server: str, name: str) -> None:
    visit(page, f"{server}/{name}?gamma=4&levels=3&seed=7&course=5")
    first, link = said(page, name), page.url
    assert query(page)["course"] == ["5"], "what a link has besides is kept"
    other = page.context.new_page()
    visit(other, link)
    assert said(other, name) == first
    assert other.url == link


@every_page
def test_a_preset_and_back(page: Page, server: str, name: str) -> None:
    visit(page, f"{server}/{name}?levels=3")
    before = said(page, name)
    page.get_by_role("button", name="Easy γ = 1").click()
    page.wait_for_function("() => location.search.includes('gamma=1&')")
    expect(chart(page, PAGES[name][2])).not_to_have_attribute("aria-label", before[-1])
    page.go_back()
    page.wait_for_function("() => location.search.includes('levels=3')")
    expect(chart(page, PAGES[name][2])).to_have_attribute("aria-label", before[-1])
    assert said(page, name) == before


@every_page
def test_fits_a_phone(page: Page, server: str, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, f"{server}/{name}")
    for theme in ("light", "dark"):
        put_on(page, theme)
        said(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
        for key in PAGES[name][1]:
            box = chart(page, key).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


def test_on_a_phone_the_main_controls_are_at_hand_while_the_picture_is_in_sight(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, f"{server}/hierarchy")
    gamma, curves, cost = page.locator(".st-key-hierarchy-gamma"), *map(partial(chart, page), PAGES["hierarchy"][1])
    expect(gamma).to_be_in_viewport()
    for picture in (curves, cost):
        picture.scroll_into_view_if_needed()
        expect(gamma).to_be_in_viewport()


@every_page
def test_a_hostile_link_gets_a_notice(page: Page, server: str, name: str) -> None:
    visit(page, f"{server}/{name}?gamma=99&sde=<script>alert(1)</script>&levels=2")
    said(page, name)
    expect(page.get_by_text("It is now 8").first).to_be_visible()
    expect(page.get_by_text("It is now double-well").first).to_be_visible()


def test_pages_keep_their_states_apart(page: Page, server: str) -> None:
    visit(page, f"{server}/coin?draws=17&levels=3")
    coin = said(page, "coin")
    page.get_by_role("link", name="Hierarchy").click()
    hierarchy = said(page, "hierarchy")
    page.wait_for_function("() => location.pathname === '/hierarchy' && location.search.includes('kind=')")
    assert "draws" not in query(page)
    page.get_by_role("link", name="Coin").click()
    page.wait_for_function("() => location.pathname === '/coin' && location.search.includes('draws=17')")
    assert said(page, "coin") == coin
    page.go_back()
    page.wait_for_function("() => location.pathname === '/hierarchy' && location.search.includes('kind=')")
    assert said(page, "hierarchy") == hierarchy
    assert "draws" not in query(page)


def test_scripts_of_streamlits_all_come_with_the_first_page(page: Page, server: str) -> None:
    """What is fetched ahead is what the pages that a class walks through need."""
    visit(page, f"{server}/lessons")
    visit_drawn(page, server)
    late = list[str]()
    page.on("request", lambda request: late.append(request.url) if "/static/js/" in request.url else None)
    for name in ("Hierarchy", "Error vs compute", "Free steps", "Crossover", "Faces", "Lessons"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
        visit_drawn(page)
    assert not late


def test_throws_go_on(page: Page, server: str) -> None:
    visit(page, f"{server}/coin?draws=1")
    mean = chart(page, "coin-mean")
    for button, draws in (("Throw once", 2), ("100 more", 102)):
        page.get_by_role("button", name=button).click()
        expect(mean).to_have_attribute("aria-label", re.compile(f"after {draws} "))
        page.wait_for_function(f"() => location.search.includes('draws={draws}')")
    page.get_by_role("button", name="Until f⁵").click()
    page.wait_for_function("() => location.search.includes('draws=122')")
    expect(chart(page, "coin-telescope")).to_have_attribute("aria-label", re.compile("heads at level 1, 2, 3, 5"))


def test_a_page_is_the_first_that_a_fresh_server_shows(browser: Browser) -> None:
    """A link into a server that has just started: the app's own navigation, not one that Streamlit makes of file names."""
    with serving("app.py") as address:
        tab = browser.new_page(viewport={"width": 1440, "height": 1000})
        for _ in range(2):
            visit(tab, f"{address}/coin?draws=17")
            expect(tab.get_by_role("link", name="Race")).to_be_visible()
            expect(tab.get_by_role("link", name="app")).to_have_count(0)
            assert "after 17" in said(tab, "coin")[1]
        tab.close()
