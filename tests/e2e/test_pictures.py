"""Every page looks as it did, in both themes and on a projector, wide and narrow; and the comparison sees what it is to see."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser

from tests.e2e.pictures import FOLDER, LOOKS, WIDTHS, differences, looks, path_of
from tests.e2e.steps import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_looks_as_it_did(browser: Browser, server: str, name: str, tmp_path: Path) -> None:
    wrong, covered = {}, {}
    for look, shown, words in looks(browser, server, name):
        shown.save(tmp_path / f"{look}.png")
        assert path_of(look).exists(), "`python -m tests.e2e.pictures` takes the pictures"
        if changed := differences(Image.open(path_of(look)).convert("RGB"), shown):
            wrong[look] = changed[:5]
        if words:
            covered[look] = words
    assert not covered, "words of charts cover each other"
    assert not wrong, f"see {tmp_path}; `python -m tests.e2e.pictures {name}` if it is to look like this"


def test_all_that_is_kept_is_compared_and_small() -> None:
    kept = {path.name for path in FOLDER.iterdir()}
    assert kept == {path_of(f"{name}-{look}-{width}").name for name in PAGES for look in LOOKS for width in WIDTHS}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3_000_000


def drawn(x: float, ink: int, ground: int) -> Image.Image:
    """A label of 14 CSS pixels at ``x`` CSS pixels, as a page of 390 by 200 would be kept."""
    whole = Image.new("L", (4 * 390, 4 * 200), ground)
    ImageDraw.Draw(whole).text((4 * x, 4 * 90), "ML-EM", ink, font=ImageFont.load_default(4 * 14))
    return whole.resize((234, 120), Image.Resampling.LANCZOS).convert("RGB")


themes = pytest.mark.parametrize(("ink", "ground"), [(27, 255), (92, 255), (236, 14), (164, 14)])


@themes
@pytest.mark.parametrize("x", [100, 103.7, 117.2])
def test_a_label_that_has_moved_is_noticed(x: float, ink: int, ground: int) -> None:
    for by in (5, -5, 8):
        assert differences(drawn(x, ink, ground), drawn(x + by, ink, ground))


@themes
@pytest.mark.parametrize("x", [100, 103.7, 117.2])
def test_another_machines_letters_are_no_difference(x: float, ink: int, ground: int) -> None:
    """Half a pixel aside, noise at every pixel, and the losses of being kept."""
    kept, noise = io.BytesIO(), np.random.default_rng(0)
    drawn(x, ink, ground).save(kept, "webp", quality=60)
    shown = np.asarray(drawn(x + 0.5, ink, ground)) + noise.normal(0, 5, (120, 234, 1))
    assert differences(Image.open(kept).convert("RGB"), Image.fromarray(shown.clip(0, 255).astype(np.uint8))) == []


def test_a_page_that_has_grown_is_noticed() -> None:
    assert differences(Image.new("RGB", (234, 100)), Image.new("RGB", (234, 112))) == [
        "the page was 390 × 167 pixels large, now 390 × 187"
    ]
