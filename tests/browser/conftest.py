"""A browser for the tests of this folder, which are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest


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
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()
