"""docs/reference/ is what the code says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", DOCS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["verbs", "library", "json"])
def test_a_page_is_up_to_date(page: str, make: ModuleType) -> None:
    name = f"reference/{page}.md"
    assert (DOCS / name).read_text(encoding="utf-8") == make.PAGES[name](), "run: just docs"


def test_every_verb_and_option_is_on_its_page(make: ModuleType) -> None:
    text = make.verbs_page()
    assert "## `screen vectors build`" in text
    assert "`--calibrate-on N`" in text
    assert "screen estimate chats.jsonl --json" in text


def test_text_of_the_code_is_no_markup(make: ModuleType) -> None:
    assert make.escaped("a <b> [c] *d* `e`") == r"a \<b\> \[c\] \*d\* \`e\`"
    assert make.cell("a |\n b") == r"a \| b"
