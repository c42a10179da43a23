"""Parquet and Arrow -> rows. Each file is read once in a child process first: hostile ones crash decoders.

A row has no bytes of its own; its hash is that of its canonical JSON (sorted keys).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from screen.data.files import InputFile
from screen.data.readers import cells, columnar_check, rows
from screen.data.readers.rows import BadRow
from screen.data.sample import Place, RawRow, Skip
from screen.errors import InputError, says_memory_ended

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 256
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
_CHILD_MEMORY = 4 << 30  # address space, of which the libraries take about one
_CHILD_SECONDS = 60


class Checked(NamedTuple):
    """What a pass over a file found: its rows, and columns that are not read, with the reason."""

    rows: int
    left_out: dict[str, str]


_CHECKED: dict[tuple[str, int, int], Checked] = {}


def count(file: InputFile) -> int:
    """Number of rows of a file that can be read to its end. Raises InputError."""
    return check(file).rows


def check(file: InputFile) -> Checked:
    """What reads to the end of the file without harm. Raises InputError. Costs a pass once a process."""
    status = os.stat(file.local)
    key = (os.path.realpath(file.local), status.st_size, status.st_mtime_ns)
    if key not in _CHECKED:
        _CHECKED[key] = _check_in_child(file, status.st_size)
    return _CHECKED[key]


def _check_in_child(file: InputFile, size: int) -> Checked:
    script = str(Path(columnar_check.__file__))
    command = [sys.executable, "-I", script, file.kind, os.path.realpath(file.local), str(_CHILD_MEMORY + 4 * size)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_CHILD_SECONDS + size / 2e6, stdin=subprocess.DEVNULL, check=False
        )
        answer = json.loads(done.stdout or b"{}")
    except subprocess.TimeoutExpired:
        answer, done = {"error": "decoding it does not come to an end"}, None
    if "rows" in answer:
        return Checked(answer["rows"], answer["left_out"])
    if done and not answer and says_memory_ended(done.stderr.decode(errors="replace")):
        raise MemoryError(f"no memory for the process that checks {file.path}")
    code = done.returncode if done else 0
    what = answer.get("error") or f"the decoder died of it (exit {code})"
    raise InputError(
        f"{file.path}: the {file.kind} file is damaged or hostile: {what}",
        "write it again with the library that made it, or convert it to .jsonl",
    )


def batches(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[pa.RecordBatch]:
    """Record batches in order, without what `check` leaves out; a number instead where no row is wanted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    left_out = check(file).left_out
    if file.kind == "parquet":
        with pq.ParquetFile(file.local, pre_buffer=False, page_checksum_verification=True) as parquet:
            columns = [name for name in parquet.schema_arrow.names if name not in left_out] if left_out else None
            for group in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(group).num_rows
                if any(map(wanted, range(first_row, first_row + count))):
                    yield from parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)
                else:
                    yield count
                first_row += count
        return
    with pa.memory_map(str(file.local)) as source:
        for batch in _ipc_batches(source):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def _ipc_batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    try:
        reader = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def schema_of(file: InputFile) -> pa.Schema:
    """The Arrow schema, metadata included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check(file)
    if file.kind == "parquet":
        return pq.read_schema(file.local)
    with pa.memory_map(str(file.local)) as source:
        try:
            return pa.ipc.open_file(source).schema
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).schema


def entries(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """One item a row, None for rows that are not wanted."""
    _refuse_twice(file)
    left_out = check(file).left_out
    row = first_row
    for batch in batches(file, first_row, wanted):
        count = batch if isinstance(batch, int) else batch.num_rows
        if isinstance(batch, int) or not any(map(wanted, range(row, row + count))):
            for _ in range(count):
                yield None
        else:
            for number, (value, odd) in enumerate(cells.records(batch, left_out), row):
                yield _entry(value, odd, number, file.path) if wanted(number) else None
        row += count


def spans(file: InputFile) -> Iterator[tuple[int, int, bytes | None]]:
    """The canonical JSON of every row: there are no bytes of its own to copy."""
    for entry in entries(file, 0, lambda row: True):
        raw = canonical(entry.value) if isinstance(entry, RawRow) else b""
        yield -1, len(raw), raw


def canonical(value: object) -> bytes:
    """JSON with sorted keys; what JSON has no type for becomes text. Raises BadRow."""
    try:
        return orjson.dumps(value, default=_as_text, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, BadRow):
            raise error.__cause__ from None
        if "ecursion" in str(error):
            raise BadRow("too_deep", f"nested deeper than the {rows.MAX_DEPTH} levels allowed") from None
        raise BadRow("bad_value", f"a value of the row cannot be read: {str(error)[:200]}") from None


def _entry(value: dict[str, object], odd: dict[str, cells.Fault], row: int, file: str) -> RawRow | Skip:
    try:
        raw = canonical(value)
    except BadRow:
        for name, held in value.items():
            try:
                canonical(held)
            except BadRow as bad:
                odd[name] = (bad.code, bad.message)
                value[name] = f"sha256:{hashlib.sha256(repr(held).encode(errors='replace')).hexdigest()}"
        raw = canonical(value)
    if len(raw) > rows.MAX_ROW_BYTES:
        return rows.too_long(raw, rows.digest(raw), row, file, None, -1, -1)
    place = Place(row, file, None, -1, -1, rows.digest(raw))
    return RawRow(place, orjson.loads(raw), raw[: rows.HEAD_BYTES], odd or None)


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRow("bad_utf8", "a text of the row is not UTF-8") from None
    return value.isoformat() if isinstance(value, date | time | datetime) else str(value)


def _refuse_twice(file: InputFile) -> None:
    names = schema_of(file).names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{file.path}: two columns are named {twice[0]!r}", "rename one of them")
