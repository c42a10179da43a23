"""Kind of file -> how its rows are read. To add a kind: a module with `entries` and `spans`, a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from screen.data.files import InputFile
from screen.data.readers import columnar, delimited, documents, jsonarray, jsonlines
from screen.data.sample import RawRow, Skip

Wanted = Callable[[int], bool]


class Reader(NamedTuple):
    """`entries(file, first_row, wanted)`: one item a row, None where not wanted.

    `spans(file)`: offset, size and bytes of every row as they stand in the file, None for a row over the cap.
    `total(file)`: number of rows, where there is a quicker way than reading them.
    """

    entries: Callable[[InputFile, int, Wanted], Iterator[RawRow | Skip | None]]
    spans: Callable[[InputFile], Iterator[tuple[int, int, bytes | None]]]
    total: Callable[[InputFile], int] | None = None


READERS = {
    "jsonl": Reader(jsonlines.entries, jsonlines.spans),
    "json": Reader(jsonarray.entries, jsonarray.spans, jsonarray.total),
    "csv": Reader(delimited.entries, delimited.spans),
    "tsv": Reader(delimited.entries, delimited.spans),
    "parquet": Reader(columnar.entries, columnar.spans, columnar.count),
    "arrow": Reader(columnar.entries, columnar.spans, columnar.count),
    "txt": Reader(documents.entries, documents.spans),
}


def reader_of(file: InputFile) -> Reader:
    return READERS[file.kind]


def count_rows(file: InputFile) -> int:
    """Rows of a file, read or not."""
    reader = reader_of(file)
    return reader.total(file) if reader.total else sum(1 for _ in reader.entries(file, 0, _never))


def _never(row: int) -> bool:
    return False
