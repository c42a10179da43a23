"""Rows in memory: the scores and the skips of the same rows in a file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import screen
from screen.errors import InputError, ModelError, UsageError
from screen.library import memory


def talk(number: int) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"What is {number}?"}, {"role": "assistant", "content": "A number. " * number}]
    return {"id": f"t{number}", "messages": turns}


ROWS: list[Any] = [talk(1), talk(2), {"messages": []}, talk(3), 7, {"messages": {1, 2}}, talk(4)]


class Dataset:
    """As `datasets.Dataset` is: a length, rows by number, and iteration that gives a dict a row."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


def test_the_scores_are_those_of_the_file(tmp_path: Path, tiny: dict[str, Any]) -> None:
    lines = [json.dumps("no JSON" if row is ROWS[5] else row) for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    file = screen.scan(tmp_path / "rows.jsonl", max_errors="none", **tiny)
    rows = screen.scan(ROWS, out=tmp_path / "memory.screen", max_errors="none", **tiny)
    place = ("file", "offset", "group")  # the group is the file, where no field is named
    assert rows.scores().drop(place).collect().equals(file.scores().drop(place).collect())
    skipped = [(2, "no_response"), (4, "not_an_object"), (5, "not_an_object")]
    assert rows.skipped().select("row", "code").collect().rows() == skipped


@pytest.mark.parametrize(
    "given",
    [
        [talk(1), talk(2)],
        (talk(n) for n in (1, 2)),
        Dataset([talk(1), talk(2)]),
        pl.DataFrame([talk(1), talk(2)]),
        pl.LazyFrame([talk(1), talk(2)]),
        pa.Table.from_pylist([talk(1), talk(2)]),
    ],
    ids=["list", "generator", "dataset", "polars", "lazy", "arrow"],
)
def test_whatever_holds_the_rows(given: Iterable[Any]) -> None:
    assert list(memory.rows_of(given)) == [talk(1), talk(2)]


def test_values_that_json_has_no_type_for() -> None:
    row = {"when": datetime.date(2026, 1, 2), "n": np.int64(3), "list": np.array([1.5]), "text": b"abc"}
    assert json.loads(memory.line(row)) == {"when": "2026-01-02", "n": 3, "list": [1.5], "text": "abc"}


@pytest.mark.parametrize("value", [object(), b"\xff", {1, 2}, {(1, 2): 3}])
def test_a_row_that_json_cannot_hold_is_a_text_that_says_so(value: object) -> None:
    assert json.loads(memory.line({"x": value})).startswith("the row cannot be written as JSON: ")


def test_equal_rows_go_on_with_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any]) -> None:
    monkeypatch.chdir(tmp_path)
    first, again = (screen.scan([talk(1), talk(2)], **tiny) for _ in range(2))
    assert first.path == again.path
    assert sorted(p.suffix for p in tmp_path.glob("rows-*")) == [".jsonl", ".screen"]
    assert again.summary.finished == first.summary.finished


def test_rows_without_a_run_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        screen.scan([talk(1)], model="./nowhere", out=tmp_path / "x.screen")
    with pytest.raises(InputError, match="there are no rows"):
        screen.scan(iter(()), out=tmp_path / "x.screen")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [({"train": [talk(1)]}, "a dictionary is no rows (its keys: 'train')"), (3, "int holds no rows")],
)
def test_what_holds_no_rows(given: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        screen.scan(given)
    assert error.value.message == message


def test_texts_are_paths(tmp_path: Path) -> None:
    assert memory.paths_of(tmp_path) == (str(tmp_path),)
    assert memory.paths_of(["a.jsonl", Path("b.jsonl")]) == ("a.jsonl", "b.jsonl")
    assert memory.paths_of([talk(1)]) is None
