"""What is taken along, page by page: pictures of their kind and size, data that can be read, the link itself."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from tests.e2e.steps import visit

FIGURES = {
    "": ("Stage",),
    "hierarchy": ("Curves", "Cost"),
    "coin": ("Telescope", "Mean", "Shares"),
    "convergence": ("Chart",),
    "steps": ("Chart",),
    "crossover": ("Exponents", "Shares", "Map"),
}
"""Every page's figures, in their order, by the page's address. Faces has its own journeys."""

SCALE = 3  # pixels of a PNG to one of the SVG


def panel(page: Page, tab: str) -> Locator:
    """The share panel, unfolded by keyboard, at one of its tabs."""
    found = page.get_by_test_id("stExpander").filter(has_text="Take it with you").first
    if not found.get_by_role("tablist").is_visible():
        found.locator("summary").focus()
        page.keyboard.press("Enter")
    found.get_by_role("tab", name=tab).click()
    return found


def text(saved: Download) -> str:
    return Path(saved.path()).read_text(encoding="utf-8")


def check_pictures(page: Page, opened: Locator, name: str, command: str) -> None:
    """Both pictures of a figure: their kind, their size, and the command that leads back."""
    sizes = {}
    for kind in ("SVG", "PNG"):
        button = opened.get_by_role("button", name=f"Save {name} as {kind}", exact=True)
        with page.expect_download() as saved:
            button.focus()
            page.keyboard.press("Enter")
        assert re.fullmatch(rf"mlem-[\w-]+\.{kind.lower()}", saved.value.suggested_filename)
        if kind == "SVG":
            drawn = ElementTree.fromstring(text(saved.value))
            said = " ".join(element.text or "" for element in drawn.findall("{http://www.w3.org/2000/svg}text"))
            assert command in said
            assert len(list(drawn.iter())) > 50, "a picture, not an empty frame"
            sizes[kind] = (float(drawn.get("width") or 0), float(drawn.get("height") or 0))
        else:
            content = Path(saved.value.path()).read_bytes()
            assert content[:8] == b"\x89PNG\r\n\x1a\n"
            assert len(content) > 10_000
            sizes[kind] = struct.unpack(">II", content[16:24])
    assert sizes["PNG"] == (SCALE * sizes["SVG"][0], SCALE * sizes["SVG"][1])
    assert sizes["SVG"][0] > 300
    assert sizes["SVG"][1] > 300


@pytest.mark.parametrize("name", FIGURES)
def test_figures_and_data_can_be_taken_along(page: Page, server: str, name: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    visit(page, f"{server}/{name}")
    opened = panel(page, "Figures and data")
    expect(opened.locator(".share li span")).to_have_text(list(FIGURES[name]))
    for figure in FIGURES[name]:
        check_pictures(page, opened, figure, f"python -m mlem {name or 'race'}")
    with page.expect_download() as table:
        opened.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(text(table.value))))
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)
    with page.expect_download() as data:
        opened.get_by_role("button", name="JSON").click()
    held = json.loads(text(data.value))
    assert held["experiment"] == (name or "race")
    assert held["result"]


def test_a_dark_phone_saves_a_dark_narrow_picture(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    visit(page, f"{server}/coin?gamma=3")
    opened = panel(page, "Figures and data")
    check_pictures(page, opened, "Mean", "python -m mlem coin --gamma 3")
    with page.expect_download() as saved:
        opened.get_by_role("button", name="Save Mean as SVG").click()
    drawn = ElementTree.fromstring(text(saved.value))
    assert float(drawn.get("width") or 0) < 400
    ground = drawn.find("{http://www.w3.org/2000/svg}rect")
    assert ground is not None
    assert ground.get("fill", "").lower() in ("#0e1117", "rgb(14, 17, 23)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_link_and_the_frame_show_the_same(page: Page, server: str) -> None:
    visit(page, f"{server}/coin?draws=17&levels=3")
    opened = panel(page, "Link")
    expect(opened.get_by_role("img", name="QR code of the link")).to_be_visible()
    assert opened.get_by_role("img", name="QR code of the link").evaluate("(image) => image.naturalWidth") > 100
    url = (opened.locator("code").first.text_content() or "").strip()
    page.wait_for_function("(url) => location.href === url", arg=url)
    html = opened.locator("code").nth(1).text_content() or ""
    said = page.locator(".mlem-chart").nth(1).get_attribute("aria-label") or ""
    assert "after 17" in said
    page.set_content(html)
    framed = page.frame_locator("iframe")
    expect(framed.locator(".mlem-chart").nth(1)).to_have_attribute("aria-label", said)
    expect(framed.get_by_test_id("stToolbar")).to_have_count(0)
