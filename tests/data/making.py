"""Rows and readers that the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from screen.data.dataset import Dataset, open_dataset
from screen.data.readers.kinds import reader_of
from screen.data.sample import RawRow, Sample, Skip

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def chat(question: str = "Why?", answer: str = "Because.", **more: Any) -> dict[str, Any]:
    """A chat row."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **more}


def read_all(dataset: Dataset, rows: int = 7) -> list[list[Sample] | Skip]:
    """What becomes of every row."""
    found = [entry for window in dataset.windows(rows) for entry in window.entries]
    return [dataset.samples(entry) if isinstance(entry, RawRow) else entry for entry in found]


def codes(dataset: Dataset) -> list[str]:
    """Per row its skip code, or "ok"."""
    return [row.code if isinstance(row, Skip) else "ok" for row in read_all(dataset)]


def told(sample: Sample) -> list[tuple[str, str, bool]]:
    """The turns, short."""
    return [(turn.role, turn.content, turn.scored) for turn in sample.turns]


def write(folder: Path, *rows: Any, name: str = "rows.jsonl") -> str:
    """A JSONL file of rows (objects, or lines as bytes); its path."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
    return str(folder / name)


def samples_of(folder: Path, row: Any, **options: Any) -> list[Sample]:
    """The samples of one row, read as a dataset of its own."""
    found = read_all(open_dataset([write(folder, row)], **options))[0]
    assert isinstance(found, list), found
    return found


def code_of(folder: Path, row: Any, **options: Any) -> str:
    """The skip code of one row, read as a dataset of its own."""
    return codes(open_dataset([write(folder, row)], **options))[0]


def raw_rows(dataset: Dataset, rows: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Row number and bytes as they stand in the file, line ending included, for ascending `rows`.

    Canonical JSON for Parquet and Arrow; a row over the cap is left out.
    """
    wanted = iter(rows)
    row = next(wanted, None)
    number = 0
    for file in dataset.files:
        for _, _, raw in reader_of(file).spans(file):
            if row is None:
                return
            if number == row:
                if raw is not None:
                    yield row, raw
                row = next(wanted, None)
            number += 1
