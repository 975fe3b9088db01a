"""A real server and a real browser: Debian's Chromium, driven by Playwright. No test here asserts a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlem.ui.serving import HOST
from mlem.ui.serving import serving as started
from tests.e2e.chromium import launch

ROOT = Path(__file__).parents[2]
WAIT = 90_000  # ms, at most: other tests keep the other core busy

expect.set_options(timeout=WAIT)


@contextmanager
def serving(script: str | Path) -> Iterator[str]:
    """The address of a Streamlit server of ``script``, started from the repository's root."""
    with started(script=ROOT / script) as server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The app's address, as the README starts it."""
    with serving("app.py") as address:
        yield address


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, which tests elsewhere need for themselves
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh visitor at 1440 px. The test fails where the page threw, or asked anything of another host."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(WAIT)
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(f"threw {error}"))
    tab.on("request", lambda request: wrong.append(f"asked {request.url}") if is_foreign(request.url) else None)
    yield tab
    context.close()
    assert not wrong


def is_foreign(url: str) -> bool:
    """Whether an address is none of a server's on this machine."""
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
