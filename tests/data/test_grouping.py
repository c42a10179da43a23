"""The field that --group-by names: its text in a row, and what is said where no row has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.data.grouping import check_group, group_of
from screen.errors import InputError
from tests.data.making import chat, write


@pytest.mark.parametrize(("value", "field", "text"), [
    ({"a": "x"}, "a", "x"), ({"a": 7}, "a", "7"), ({"a": False}, "a", "False"), ({"a": {"b": "x"}}, "a.b", "x"),
    ({"a": None}, "a", ""), ({}, "a", ""), ({"a": "x"}, "a.b", ""), ([], "a", ""), ({"a": {"b": 0}}, "a.b", "0"),
])  # fmt: skip
def test_the_group_of_a_row(value: Any, field: str, text: str) -> None:
    assert group_of(value, field) == text


def test_one_row_with_the_field_is_enough(tmp_path: Path) -> None:
    check_group(open_dataset([write(tmp_path, *[chat()] * 300, chat(meta={"lang": "en"}))]), "meta.lang")


@pytest.mark.parametrize(("field", "more", "next_step"), [
    ("langs", {"lang": "en"}, "did you mean lang? fields of the rows: lang"),
    ("x", {"lang": "en", "meta": {"n": 1, "deep": {"er": 1}, "list": []}}, "fields of the rows: lang, meta.n"),
    ("meta.m", {"meta": {"n": 0.5}}, "did you mean meta.n? fields of the rows: meta.n"),
    ("x", {f"f{n}": n for n in range(8)}, "fields of the rows: f0, f1, f2, f3, f4, f5, f6, f7"),
    ("x", {f"f{n}": n for n in range(9)}, "fields of the rows: f0, f1, f2, f3, f4, f5, f6, f7, ..."),
    ("x", {"\x1b": "a"}, "fields of the rows: \\x1b"),
])  # fmt: skip
def test_a_field_that_no_row_has_is_refused_with_those_there_are(
    tmp_path: Path, field: str, more: dict[str, Any], next_step: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_group(open_dataset([write(tmp_path, chat(**more), b"bad")]), field)
    assert caught.value.message == f"--group-by {field}: no row has this field"
    assert caught.value.next_step == next_step
