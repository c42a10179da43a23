"""Hostile text in the report and its drawings stays text: what a page is made of does not depend on what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from screen_reports.text import visible

import screen
from tests import hostile
from tests.browser.conftest import written
from tests.browser.test_drawings import drawings

SHAPE = """() => [...document.querySelectorAll("*")].map(e => [e.localName, e.namespaceURI, e.childElementCount,
  ...[...e.attributes].map(a => a.name + (/^(on|href|src|style|action)/.test(a.name) ? "=" + a.value : "")).sort()
  ].join(" "))"""
TEXT = """() => [...document.querySelectorAll("*")].flatMap(e => [...e.attributes].map(a => a.value))
  .concat(document.documentElement.textContent).join("\\n")"""


@pytest.fixture(scope="module")
def reports(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of hostile texts, and of harmless ones as long."""
    made = {"hostile": hostile.TEXTS, "plain": hostile.plain(hostile.TEXTS)}
    return {
        name: written(
            hostile.label_all(hostile.write_run(tmp_path_factory.mktemp(name), texts), texts), top=400, sample=0
        )
        for name, texts in made.items()
    }


def whole(page: Any) -> Any:
    """The page with every row shown and opened, and all that unfolds unfolded."""
    page.locator("#fold").uncheck()
    page.locator("#reveal").check()
    page.evaluate("""async () => {
      const more = document.getElementById("more");
      while (!more.hidden) more.click();
      for (const summary of document.querySelectorAll("summary")) summary.click();
      for (const button of document.querySelectorAll("button.open")) button.click();
    }""")
    return page


def test_the_page_has_the_elements_and_attributes_of_one_over_harmless_text(
    reports: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    bad, good = (whole(open_report(reports[name])).evaluate(SHAPE) for name in ("hostile", "plain"))
    assert len(bad) > 20 * len(hostile.TEXTS)
    assert bad == good


def test_every_text_is_shown_as_it_is_with_nothing_hidden_in_it(
    reports: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    page = whole(open_report(reports["hostile"]))
    shown = page.evaluate(TEXT)
    assert not hostile.RAW.search(shown)
    squeezed = re.sub(r"\s+", "", page.inner_text("#body"))
    missing = [text for text in hostile.TEXTS if re.sub(r"\s+", "", visible(text)) not in squeezed]
    assert not missing
    assert page.inner_text("#body").count("label drop: ") == len(hostile.TEXTS) - 1


def test_typing_hostile_text_into_the_search_only_searches(
    reports: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    page = open_report(reports["hostile"])
    for text in hostile.TEXTS[::12]:
        page.locator("#search").fill(text)
    assert page.locator("script").count() == 2


def test_drawings_have_the_elements_of_those_with_harmless_names(open_page: Callable[..., Any]) -> None:
    def shape(names: list[str]) -> list[str]:
        page = open_page()
        page.on("request", lambda request: pytest.fail(f"asked for {request.url}"))
        page.set_content(
            "<style>svg{width:9em}</style>" + "".join(d for name in names for d in drawings(1.0, name)[:6])
        )
        found: list[str] = page.evaluate(SHAPE)
        return found

    assert shape(list(hostile.TEXTS[::30])) == shape(hostile.plain(hostile.TEXTS[::30]))


def test_what_a_notebook_shows_has_the_elements_of_harmless_text(
    reports: dict[str, Path], open_page: Callable[..., Any]
) -> None:
    def shape(name: str) -> list[str]:
        page, run = open_page(), screen.open(reports[name].with_suffix(".screen"))
        page.on("request", lambda request: pytest.fail(f"asked for {request.url}"))
        page.set_content(run._repr_html_() + run.top("evil", 300)._repr_html_())
        assert not hostile.RAW.search(page.inner_text("body"))
        found: list[str] = page.evaluate(SHAPE)
        return found

    assert shape("hostile") == shape("plain")
