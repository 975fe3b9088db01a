"""Debian's Chromium, as all tests, pictures and timings here start it."""

from __future__ import annotations

import os
import shutil

from playwright.sync_api import Browser, Playwright

_WITHOUT = (
    "WebUIOmniboxPopup",  # two pages that each window would load for its address bar, which nobody sees
    "WebUIOmniboxAimPopup",
    "DestroyProfileOnBrowserClose",  # these of Playwright's own list, which gives way to this one
    "HttpsUpgrades",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
)
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def launch(playwright: Playwright) -> Browser:
    """The browser, without any network of its own."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "Chromium is needed: apt-get install chromium, or set CHROMIUM to its path"
    off = f"--disable-features={','.join(_WITHOUT)}"
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *_QUIET, off])
