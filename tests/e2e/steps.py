"""What the journeys have in common."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

PAGES = {file.stem: "" if file.stem == "race" else file.stem for file in sorted(Path(__file__).parents[2].glob("pages/*.py"))}
"""Every page's name, and where it is."""

_DRAWN = """() => [...document.querySelectorAll('[data-testid^="stBidiComponent"]')].every((host) => {
  const every = (kind, is) => [...(host.shadowRoot ?? host).querySelectorAll(kind)].every((one) => is(one.dataset));
  return every(".mlem-chart, .wp-figure", (one) => one.draws) && every(".stage", (one) => one.drawMs && one.ended === "true");
})"""
READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def visit(page: Page, url: str) -> None:
    """Opens ``url`` and waits until the script has run."""
    page.goto(url)
    settle(page)


def settle(page: Page) -> None:
    """Waits until no script runs."""
    page.wait_for_selector(READY)


def visit_drawn(page: Page, url: str = "") -> None:
    """Opens ``url``, if one is given, and waits until all charts are drawn and all stages are at their end."""
    if url:
        page.goto(url)
    settle(page)
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")  # the charts' scripts have come
    page.wait_for_function(_DRAWN)


def stage(page: Page) -> Locator:
    """The stage, once it is drawn."""
    found = page.locator(".stage")
    expect(found).to_have_attribute("data-draw-ms", re.compile("."))
    return found


def said(page: Page) -> str:
    """The sentence that describes the stage."""
    return page.locator(".stage canvas").get_attribute("aria-label") or ""


def query(page: Page) -> dict[str, list[str]]:
    """The link's query."""
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)
