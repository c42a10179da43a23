"""A browser for the tests of this folder, which are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from screen_reports.html.report import make

from screen.store.scan import read_scan


@pytest.fixture(scope="module")  # of a module: while it is open no other test of the process can run an event loop
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not there: pip install -e '.[dev]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page 390 px wide, or as asked for; closed with the test."""
    contexts = []

    def opened(width: int = 390, height: int = 900, **settings: object) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **settings))
        contexts[-1].set_default_timeout(10_000)
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def open_report(open_page: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A report's page, ready. With the test it is held that nothing but the file was asked for, that nothing was said
    on the console, and that no dialog came up."""
    asked: list[str] = []
    troubles: list[str] = []
    paths = []

    def opened(path: Path, width: int = 1200, **settings: object) -> Any:
        page = open_page(width, **settings)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
        paths.append(path.as_uri())
        page.goto(paths[-1])
        if settings.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    assert (asked, troubles) == (paths, [])


def written(run: Path, **settings: int) -> Path:
    """The report of a run, in a file beside it."""
    path = run.with_suffix(".html")
    path.write_text(make(read_scan(run), "chats.screen", **settings).html)
    return path
