"""Pictures of the pages for the README: ``python -m tests.e2e.pictures``, beside ``streamlit run app.py`` on the usual port."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.steps import visit

PAGES = {"race": "", "convergence": "convergence"}
FOLDER = Path(__file__).with_name("pictures")


def main(address: str = "http://127.0.0.1:8501") -> None:
    """One picture a page, at 1440 px, light, with everything at its end."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1440, "height": 1180}, reduced_motion="reduce")
        for name, path in PAGES.items():
            visit(tab, f"{address}/{path}")
            tab.wait_for_timeout(2000)
            tab.screenshot(path=FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
