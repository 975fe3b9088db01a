"""Pictures of all pages, to notice what has moved, and for the README: ``python -m tests.e2e.pictures [PAGE …]`` takes them.

They are kept small, and compared as a reader would: blurred a little, tile by tile, so that another machine's edges of letters
are no difference and a label that has moved by a few pixels is one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.chromium import launch
from tests.e2e.steps import PAGES, crowded, visit_drawn

FOLDER = Path(__file__).with_name("pictures")
LOOKS = ("light", "dark", "projector")
WIDTHS = (1440, 390)  # CSS pixels

_SCALE = 0.6  # of what is kept
_BLUR, _TILE = 1.5, 12  # pixels of what is kept
_TOLERANCE = 4.5  # grey values of 255: mean over a tile
_TALLER = 6  # CSS pixels by which a page may differ in height: letters of another machine
_TALLEST = 4000  # CSS pixels
_PATIENCE = 20  # looks


def looks(browser: Browser, address: str, name: str) -> Iterator[tuple[str, Image.Image, list[str]]]:
    """Every look of a page with its name, and which words in it cover each other: themes and the projector, wide and narrow;
    everything at its end."""
    with browser.new_context(reduced_motion="reduce") as context:
        tab = context.new_page()
        tab.set_default_timeout(180_000)  # ms: a busy machine takes the same pictures
        for look in LOOKS:
            tab.emulate_media(color_scheme="dark" if look == "dark" else "light")
            if look != "dark":  # which is the page that is open already
                tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
                visit_drawn(tab, f"{address}/{PAGES[name]}{'?projector=1' if look == 'projector' else ''}")
            for width in WIDTHS:
                yield f"{name}-{look}-{width}", picture(tab, width), crowded(tab)


def picture(tab: Page, width: int) -> Image.Image:
    """The whole page at a width, reduced, once it stands still: charts and the height follow a new width a little later."""
    tab.set_viewport_size({"width": width, "height": 900})
    taken = b""
    for _ in range(_PATIENCE):
        tab.wait_for_timeout(250)
        height = tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        tab.set_viewport_size({"width": width, "height": min(height, _TALLEST)})
        before, taken = taken, tab.screenshot()
        if taken == before:
            break
    whole = Image.open(io.BytesIO(taken)).convert("RGB")
    return whole.resize((round(whole.width * _SCALE), round(whole.height * _SCALE)), Image.Resampling.LANCZOS)


def path_of(name: str) -> Path:
    """Where a look is kept."""
    return FOLDER / f"{name}.webp"


def differences(kept: Image.Image, shown: Image.Image) -> list[str]:
    """What a reader would see has changed, in words; places are in CSS pixels."""
    if abs(kept.height - shown.height) > _TALLER * _SCALE or kept.width != shown.width:
        sizes = [f"{round(one.width / _SCALE)} × {round(one.height / _SCALE)}" for one in (kept, shown)]
        return [f"the page was {sizes[0]} pixels large, now {sizes[1]}"]
    height = min(kept.height, shown.height)
    far = _tiles(np.abs(_seen(kept)[:height] - _seen(shown)[:height]))
    return [
        f"x {round(column * _TILE / _SCALE)}, y {round(row * _TILE / _SCALE)}: {far[row, column]:.0f} of 255"
        for row, column in np.argwhere(far > _TOLERANCE)
    ]


def _seen(image: Image.Image) -> Float[np.ndarray, "height width"]:
    """Grey values of 255, without edges of letters."""
    return np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(_BLUR)), dtype=float)


def _tiles(values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    """Means over tiles; what does not fill one at the lower and right edges is left out."""
    rows, columns = (size // _TILE for size in values.shape)
    return values[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE).mean((1, 3))


def main(names: list[str]) -> None:
    """Takes the pictures of the pages with these names, of all if there are none."""
    from tests.e2e.conftest import serving

    FOLDER.mkdir(exist_ok=True)
    with serving("app.py") as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names or PAGES:
            for look, taken, _ in looks(browser, address, name):
                taken.save(path_of(look), quality=60, method=6)
                print(f"{path_of(look).name}: {path_of(look).stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
