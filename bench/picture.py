"""The picture of a report in the README: the example set, scored by the embedded model, the top of its page.

python -m bench.picture docs/images/report.png     # wants playwright and a chromium; `just report-picture`
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import screen

WIDE, HIGH = 1200, 1180
EXAMPLE = Path(__file__).parents[1] / "examples" / "support-chats.jsonl"


def main(picture: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = screen.scan(EXAMPLE, out=Path(folder) / "support-chats.screen").report()
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme="light")
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready=yes]")
            picture.parent.mkdir(parents=True, exist_ok=True)
            tab.screenshot(path=picture)
            browser.close()
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
