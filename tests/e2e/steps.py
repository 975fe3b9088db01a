"""What the journeys have in common."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

PAGES = {file.stem: "" if file.stem == "race" else file.stem for file in sorted(Path(__file__).parents[2].glob("pages/*.py"))}
"""Every page's name, and where it is."""

_DRAWN = """() => {
  const find = (name) => [...document.querySelectorAll(`[data-testid^="${name}"]`)];
  return !find("stSkeleton").length && find("stBidiComponent").every((host) => {
    const every = (kind, is) => [...(host.shadowRoot ?? host).querySelectorAll(kind)].every((one) => is(one.dataset));
    return every(".mlem-chart, .wp-figure, .predict-board", (one) => one.draws)
      && every(".stage", (one) => one.drawMs && one.ended === "true");
  });
}"""
_CROWDED = """() => [...document.querySelectorAll(".mlem-chart, .wp-figure")].flatMap((chart) => {
  const slack = 2, boxOf = (element) => element.getBoundingClientRect(), frame = boxOf(chart.querySelector(".main-svg"));
  const found = [...chart.querySelectorAll(".main-svg text")].map((text) => [text.textContent, boxOf(text)]);
  const words = found.filter(([text, box]) => text.trim() && box.width);
  const along = (a, b, low, high) => a[high] - slack > b[low] && b[high] - slack > a[low];
  const covers = (a, b) => along(a, b, "left", "right") && along(a, b, "top", "bottom");
  const before = (a, b) => a - slack > b, cut = (a) => before(frame.left, a.left) || before(a.right, frame.right);
  const covered = words.flatMap(([one, a], i) => words.slice(i + 1).filter(([, b]) => covers(a, b)).map(([two]) => [one, two]));
  return [...covered, ...words.filter(([, a]) => cut(a)).map(([one]) => [one, "edge"])].map((pair) => pair.join(" | "));
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


def put_on(page: Page, theme: str) -> None:
    """Changes the theme, and waits until the page has followed."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.wait_for_function(
        "(theme) => getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === theme", arg=theme
    )
    page.wait_for_timeout(300)  # pictures follow a little later
    visit_drawn(page)


def crowded(page: Page) -> list[str]:
    """What covers each other among the words of a chart, or is cut by its edge: "one | other" and "one | edge"."""
    found: list[str] = page.evaluate(_CROWDED)
    return found


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
