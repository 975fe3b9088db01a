"""``python -m tests.e2e.first_picture``: how long a fresh browser takes to the first picture of each page, and what it fetches.

The server is warm: its health check has been passed, as it is in a container. Each visit has a browser of its own, with nothing
kept; later pages are gone to by the navigation, after a look at the first, in which the browser fetches what charts need.
Seconds are to be taken on a quiet machine, bytes are the same on any.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from mlem.ui.health import ailment
from mlem.ui.serving import HOST, serving
from tests.e2e.chromium import launch
from tests.e2e.steps import READY

VISITS = 3
LATER = ("Hierarchy", "Coin", "Error vs compute", "Free steps", "Crossover", "Faces", "Race")
LOOK = 15_000  # ms
PICTURE = ".stage[data-draw-ms], .js-plotly-plot .main-svg"


@contextmanager
def fresh(browser: Browser) -> Iterator[tuple[Page, dict[str, float]]]:
    """A new visitor, and the bytes that come to it, by the web and by the socket."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page, got = context.new_page(), {"files": 0.0, "socket": 0.0}
    network = context.new_cdp_session(page)
    network.send("Network.enable")

    def files(event: dict[str, float]) -> None:
        got["files"] += event["encodedDataLength"]

    network.on("Network.loadingFinished", files)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: got.update(socket=got["socket"] + len(data))))
    yield page, got
    context.close()


def main() -> int:
    """Exit status."""
    with serving() as server, sync_playwright() as playwright:
        browser = launch(playwright)
        if wrong := _in_a_thread(server.port):
            print(wrong, file=sys.stderr)
            return 1
        for visit in range(VISITS):
            with fresh(browser) as (page, got):
                began = time.perf_counter()
                page.goto(f"http://{HOST}:{server.port}/")
                page.wait_for_selector(PICTURE, timeout=60_000)
                seconds = time.perf_counter() - began
                page.wait_for_load_state("networkidle")
                print(
                    f"visit {visit + 1}: first picture {seconds:.2f} s, files {_mb(got['files'])}, socket {_mb(got['socket'])}"
                )
                if visit == VISITS - 1:
                    _later(page, got)
        browser.close()
    return 0


def _later(page: Page, got: dict[str, float]) -> None:
    before = sum(got.values())
    page.wait_for_timeout(LOOK)
    print(f"fetched in {LOOK / 1000:g} s of looking on: {_mb(sum(got.values()) - before)}")
    for name in LATER:
        shown, before = page.locator("h1").inner_text(), sum(got.values())
        began = time.perf_counter()
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_function("before => document.querySelector('h1')?.innerText !== before", arg=shown)
        page.wait_for_selector(READY, timeout=60_000)
        page.wait_for_selector(PICTURE, timeout=60_000)
        seconds = time.perf_counter() - began
        page.wait_for_load_state("networkidle")
        print(f"{name}: {seconds:.2f} s, {_mb(sum(got.values()) - before)}")


def _in_a_thread(port: int) -> str | None:
    """What is wrong with the app; Playwright has an event loop of its own here."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(lambda: asyncio.run(ailment(port))).result()


def _mb(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


if __name__ == "__main__":
    sys.exit(main())
