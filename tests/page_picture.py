"""A picture of a page for the README: `python tests/page_picture.py runs/demo/report.html docs/page.png [dark]`.

Needs a Chromium and the dev extra. What stands above the fold of a tall desk window: verdict, findings, the first plots.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]


def find_chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def take_picture(page_file: Path, out: Path, scheme: str = "light") -> None:
    """Write a PNG of the page's top at desk width."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1850}, color_scheme="dark" if scheme == "dark" else "light")
        page.goto(page_file.absolute().as_uri())
        page.wait_for_selector(".canvas .main-svg")
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
