"""What the journeys have in common."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def visit(page: Page, url: str) -> None:
    """Opens ``url`` and waits until the script has run."""
    page.goto(url)
    settle(page)


def settle(page: Page) -> None:
    """Waits until no script runs."""
    page.wait_for_selector(READY)


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
