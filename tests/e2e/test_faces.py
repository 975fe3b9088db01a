"""The journeys on Faces: what is stored plays at once; another sample is drawn on the spot, by networks of a few channels."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from mlem.images.ladders import VARIABLE
from tests.e2e.conftest import serving
from tests.e2e.steps import query, said, settle, stage, visit
from tests.made_faces import made_ladder

OWN = "faces?ladder=own&firing=bernoulli&precision=float32&pictures=2&steps=24&em-steps=16&budget=1"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app's address, with a ladder of tiny networks beside the shipped one."""
    folder = tmp_path_factory.mktemp("ladder")
    made_ladder(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        with serving("app.py") as address:
            yield address


def drawn(page: Page) -> Locator:
    """The stage, once all three rows have their pictures."""
    found = page.locator(".stage")
    expect(found).to_have_attribute("data-pictures", "reference em mlem")
    return found


def test_opens_on_stored_faces_that_play_to_their_verdict(page: Page, faces: str) -> None:
    visit(page, f"{faces}/faces")
    expect(page.get_by_role("heading", name="Do real networks obey?")).to_be_visible()
    shown = drawn(page)
    expect(shown).to_have_attribute("data-ended", "true")
    expect(shown.locator(".verdict strong")).to_contain_text("cheaper")
    assert "faces form out of noise" in said(page)
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.locator(".st-key-faces-error .main-svg").first).to_be_visible()


def test_scrub_keys_and_no_traffic_while_it_plays(page: Page, faces: str) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: frames.append("received")))
    visit(page, f"{faces}/faces")
    shown = drawn(page)
    shown.get_by_label("Time").fill("30")
    expect(shown).to_have_attribute("data-frame", "30")
    shown.get_by_label("Time").press("ArrowRight")
    expect(shown).to_have_attribute("data-frame", "31")
    expect(page.locator(".st-key-faces-calls .main-svg").first).to_be_visible()
    page.wait_for_timeout(1500)  # whatever the page still had to say has been said
    frames.clear()
    shown.locator(".play").click()
    expect(shown).to_have_attribute("data-ended", "true")
    assert frames == []


def test_pictures_change_while_it_plays(page: Page, faces: str) -> None:
    """Noise at the beginning, faces at the end: the canvas is another picture."""
    page.emulate_media(reduced_motion="reduce")
    visit(page, f"{faces}/faces")
    shown = drawn(page)
    looks = []
    for frame in ("0", "48", "96"):
        shown.get_by_label("Time").fill(frame)
        expect(shown).to_have_attribute("data-frame", frame)
        looks.append(shown.locator("canvas").evaluate("(canvas) => canvas.toDataURL()"))
    assert len(set(looks)) == 3


def test_another_sample_is_drawn_row_by_row_and_judged(page: Page, faces: str) -> None:
    visit(page, f"{faces}/{OWN}&seed=7")
    stage(page)
    drawn(page)
    expect(page.get_by_text("for all who look at it")).to_be_visible()
    expect(page.get_by_text("in measured seconds")).to_be_visible()
    before = said(page)
    assert "MSE" in before
    page.get_by_role("slider", name="ML-EM's steps").press("ArrowRight")
    page.wait_for_function("() => location.search.includes('steps=32&')")
    expect(page.locator(".stage canvas")).not_to_have_attribute("aria-label", before)
    drawn(page)
    settle(page)
    assert query(page)["seed"] == ["7"]


def test_curves_are_priced_in_seconds_too(page: Page, faces: str) -> None:
    visit(page, f"{faces}/faces?unit=seconds")
    expect(page.get_by_text(re.compile("in seconds than EM’s cheapest way")).first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_a_phone(page: Page, faces: str, theme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    visit(page, f"{faces}/faces")
    expect(drawn(page)).to_have_attribute("data-ended", "true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
