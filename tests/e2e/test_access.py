"""Every page passes axe-core, folded and unfolded, wide and narrow, in both themes; and the keyboard gets everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.e2e.steps import PAGES, put_on, visit_drawn

GRAVE = ("serious", "critical")
PICTURES = ".stage canvas, .mlem-chart, .wp-figure"
OPENABLE = '[data-testid="stMain"] [data-testid="stExpander"] details:not([open]) > summary'


def findings(page: Page) -> list[str]:
    """What axe-core finds that keeps people out: the rule, where, and why."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']} {node['html'][:200]}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def unfold(page: Page) -> None:
    """Opens all that is folded."""
    while (closed := page.locator(OPENABLE)).count():
        closed.first.click()
        page.wait_for_timeout(300)
        visit_drawn(page)


@pytest.mark.parametrize("name", PAGES)
def test_keys_get_everywhere_pictures_have_words_and_axe_finds_nothing_grave(page: Page, server: str, name: str) -> None:
    """All in one visit: to open a page takes seconds."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    visit_drawn(page, f"{server}/{PAGES[name]}")
    check_tab(page)
    page.evaluate("document.activeElement.blur(); document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    check_words(page)
    for theme in ("light", "dark"):
        put_on(page, theme)
        assert findings(page) == [], theme
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        assert findings(page) == [], f"{theme}, narrow"
        page.set_viewport_size({"width": 1440, "height": 1000})
    unfold(page)
    for theme in ("dark", "light"):
        put_on(page, theme)
        assert findings(page) == [], f"{theme}, unfolded"


def check_words(page: Page) -> None:
    """Whoever sees no picture is told what is on it; every chart says something of its own."""
    words = [one.get_attribute("aria-label") or "" for one in page.locator(PICTURES).all()]
    assert all(len(said) > 20 for said in words)
    assert len(set(words)) == len(words)


FOCUSED = """async () => {
  let at = document.activeElement;
  while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  if (at === document.body) return { end: true };
  window.seen ??= [];
  const again = seen.includes(at);
  seen.push(at);
  // Seen is what changes when the focus goes and comes: of the element, of what it lies in, and of what lies beside it.
  const around = [at, ...at.parentElement?.children ?? []];
  for (let one = at.parentElement, up = 0; one && up < 4; one = one.parentElement, up++) around.push(one);
  const look = () => around.map((one) => {
    const { outline, boxShadow, backgroundColor, borderColor } = getComputedStyle(one);
    return [outline, boxShadow, backgroundColor, borderColor].join();
  }).join("|");
  const focused = look();
  at.blur();
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  const shown = focused !== look();
  at.focus({ focusVisible: true, preventScroll: true });
  return { name: `${at.tagName} ${at.ariaLabel ?? at.textContent.slice(0, 40)}`, again, end: false, shown };
}"""


def check_tab(page: Page) -> None:
    """Each stop shows that it has the focus, none comes twice before the end, and everything that can be used is a stop."""
    silent: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop["end"] or stop["again"]:
            break
        if not stop["shown"]:
            silent.append(stop["name"])
    else:
        pytest.fail("no end of the page after 200 stops")
    assert silent == []
    for picture in page.locator(PICTURES).all():
        assert picture.evaluate("(one) => seen.includes(one)"), f"{picture.get_attribute('aria-label')} cannot be reached"
