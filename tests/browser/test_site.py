"""The documentation site: every link holds, no page asks anybody for anything, and axe finds nothing that matters."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built strictly: a page that no menu names, or a link that leads nowhere, ends the build."""
    pytest.importorskip("material", reason="mkdocs-material is not there: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_site_has_its_pages(site: Path) -> None:
    for page in ("index", "cannot-find", "scores", "reference/verbs", "reference/library", "reference/json"):
        assert (site / f"{page}.html").is_file()
    assert (site / "json" / "estimate.schema.json").is_file()
    assert not list(site.rglob("*.py"))


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The site as a server gives it."""
    handler = partial(SilentHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


# rows of a table, and spans of a listing, beyond the first are like the first: they take most of the time
SHORTER = "document.querySelectorAll('tbody tr:nth-child(n+5), pre span:nth-of-type(n+40)').forEach(e => e.remove())"


def test_axe_finds_nothing_that_matters_and_no_page_asks_anybody(site: Path, address: str, browser: Any) -> None:
    """Of axe's findings, serious and critical ones. What all pages share is looked at on three of them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    found = {}
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    for name in pages:
        page.goto(address + name)
        page.evaluate(SHORTER)
        within = None if name in ("index.html", "404.html", "cut.html") else {"include": [[".md-content"]]}
        results = axe.run(page, context=within, options={"resultTypes": ["violations"]}).response["violations"]
        if bad := [(v["id"], v["nodes"][0]["html"][:120]) for v in results if v["impact"] in ("serious", "critical")]:
            found[name] = bad
    page.goto((site / "index.html").as_uri())  # and from disk
    page.close()
    assert len(pages) > 30
    assert not found
    assert not [url for url in asked if not url.startswith((address, site.as_uri(), "data:", "blob:"))]
