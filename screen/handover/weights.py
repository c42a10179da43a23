"""A weight a row: 1 for a row that stays, W for one that would be dropped. One rule, so that it can be undone.

W is 0 unless another is asked for. A row that could not be scored stays, unless it is said to go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from screen.data.copying import copy_rows
from screen.data.dataset import Dataset
from screen.data.digests import row_digests
from screen.data.readers import rows
from screen.data.readers.jsonlines import body
from screen.disk import new_file, writing
from screen.errors import InputError, UsageError
from screen.jsonl import dump
from screen.select.subset import Subset

FIELD = "weight"
_NEXT = "choose a folder that exists, with room"
_GROUP = 1 << 16  # rows a Parquet row group


def check_name(out: Path) -> None:
    """Raises UsageError for a name that says neither of the two kinds of file."""
    if out.suffix not in (".parquet", ".jsonl"):
        raise UsageError(f"{out}: weights are written as Parquet or as JSONL", "end the name in .parquet or .jsonl")


def write_weights(subset: Subset, weight: float, out: Path) -> None:
    """row (from 0 over the whole dataset), id (null without one), sha256 (of the row's bytes), weight."""
    with writing(out, _NEXT), new_file(out) as scratch:
        if out.suffix == ".jsonl":
            with scratch.open("w", encoding="ascii", newline="\n") as file:
                file.writelines(dump(row) + "\n" for row in _rows(subset, weight))
        else:
            _as_parquet(_rows(subset, weight), scratch)


def _rows(subset: Subset, weight: float) -> Iterator[dict[str, int | float | str | None]]:
    table = subset.selection.table
    ids: dict[int, str | None] = dict(zip(table["row"].to_pylist(), table["id"].to_pylist(), strict=True))
    digests = (sha for file in subset.dataset.files for sha in row_digests(file))
    for row, sha in enumerate(digests):
        yield {"row": row, "id": ids.get(row), "sha256": sha, FIELD: weight if subset.dropped[row] else 1.0}


def _as_parquet(found: Iterator[dict[str, int | float | str | None]], path: Path) -> None:
    from itertools import islice

    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"row": pa.int64(), "id": pa.string(), "sha256": pa.string(), FIELD: pa.float64()}
    schema = pa.schema([pa.field(name, kind, nullable=name == "id") for name, kind in types.items()])
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        while group := list(islice(found, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def write_inline(subset: Subset, weight: float, out: Path) -> int:
    """A copy of a JSONL dataset in which every row that is a JSON object has its weight as a last field; all else is
    byte for byte. Returns how many rows are none and stay as they are.

    Raises InputError for another kind of file, and for a row that has a weight.
    """
    kinds = sorted({file.kind for file in subset.dataset.files} - {"jsonl"})
    if kinds:
        raise InputError(f"--inline is for JSONL, and the dataset is {kinds[0]}", "leave it out: a file beside it")
    refused = _refused(subset.dataset)
    copy_rows(
        subset.dataset,
        lambda row: True,
        out,
        edit=lambda row, raw: raw if row in refused else with_field(raw, weight if subset.dropped[row] else 1.0),
    )
    return len(refused)


def _refused(dataset: Dataset) -> set[int]:
    """Rows that are no JSON object."""
    found = set()
    for row, entry in enumerate(dataset.entries(lambda row: True)):
        value = getattr(entry, "value", None)
        if not isinstance(value, dict):
            found.add(row)
        elif FIELD in value:
            raise InputError(f"row {row} has a `{FIELD}` of its own", "leave --inline out: a file beside the dataset")
    return found


def with_field(raw: bytes, weight: float) -> bytes:
    """A line that holds a JSON object, with the weight before its last bracket."""
    line = body(raw)
    at = line.rindex(b"}")
    empty = not line[:at].removeprefix(rows.BOM).strip(b" \t\r\n{")
    field = f'{"" if empty else ", "}"{FIELD}": {json.dumps(weight)}'.encode()
    return line[:at] + field + line[at:] + raw[len(line) :]
