"""Values of Arrow columns as Python values, whatever their types: what has none becomes text.

One odd value costs no row: it is handed on as text and told beside the row, and whoever needs that column decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from screen.data.readers.rows import BadRow

if TYPE_CHECKING:
    import pyarrow as pa

Fault = tuple[str, str]  # code and message of the Skip where the column is needed
Record = tuple[dict[str, object], dict[str, Fault]]


def records(batch: pa.RecordBatch, left_out: Mapping[str, str]) -> Iterator[Record]:
    """Each row of a batch, and which of its columns are not what stands in the file, and why."""
    kept = [name for name in batch.schema.names if name not in left_out]
    try:
        values = batch.select(kept).to_pylist()
    except MemoryError:
        raise
    except Exception:  # whatever a library cannot turn into a Python value: column by column, cell by cell
        yield from _by_columns(batch, left_out)
        return
    faults = {name: _unread(why) for name, why in left_out.items()}
    for value in values:
        yield {**value, **{name: why[1] for name, why in faults.items()}}, dict(faults)


def _by_columns(batch: pa.RecordBatch, left_out: Mapping[str, str]) -> Iterator[Record]:
    rows: list[Record] = [({}, {}) for _ in range(batch.num_rows)]
    for place, name in enumerate(batch.schema.names):
        for (value, faults), (cell, fault) in zip(rows, _cells(batch, place, left_out.get(name)), strict=True):
            value[name] = cell
            if fault:
                faults[name] = fault
    yield from rows


def _cells(batch: pa.RecordBatch, place: int, left_out: str | None) -> Iterator[tuple[object, Fault | None]]:
    try:
        column = None if left_out else batch.column(place)
    except Exception:  # a type for which pyarrow has no Python class, such as an interval of months
        column, left_out = None, f"the type {batch.schema.types[place]} has no Python value"
    for row in range(batch.num_rows):
        if column is None:
            fault = _unread(str(left_out))
            yield fault[1], fault
            continue
        try:
            yield _plain(column, row), None
        except BadRow as bad:
            yield _digest(column, row), (bad.code, bad.message)


def _unread(why: str) -> Fault:
    return "bad_value", f"the column cannot be read: {why[:200]}"


def _plain(array: pa.Array, row: int) -> object:
    """One value. Raises BadRow where a text is not UTF-8, or a name stands twice in one object."""
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage, row)
    if not array[row].is_valid:
        return None
    if pa.types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        if len(set(names)) < len(names):
            raise BadRow("duplicate_key", "a name stands twice in one object, and readers differ in which they take")
        return {name: _plain(array.field(number), row) for number, name in enumerate(names)}
    if pa.types.is_map(kind):
        items = array[row].values
        return [[_plain(items.field(0), at), _plain(items.field(1), at)] for at in range(len(items))]
    if pa.types.is_nested(kind) and hasattr(array[row], "values"):
        items = array[row].values
        return [_plain(items, at) for at in range(len(items))]
    if pa.types.is_dictionary(kind):
        return _plain(array.dictionary, array.indices[row].as_py())
    return _leaf(array, row)


def _leaf(array: pa.Array, row: int) -> object:
    """A value as Python has it, or else as Arrow writes it."""
    import pyarrow as pa

    try:
        return array[row].as_py()
    except UnicodeDecodeError:
        raise BadRow("bad_utf8", "a text of the row is not UTF-8") from None
    except MemoryError:
        raise
    except Exception:
        pass
    for kind in (pa.string(), pa.int64()):  # a time zone that nobody knows leaves the number
        try:
            return str(array.slice(row, 1).cast(kind)[0].as_py())
        except pa.ArrowException:
            continue
    raise BadRow("bad_value", f"a value of the type {array.type} cannot be read")


def _digest(array: pa.Array, row: int) -> str:
    """Stands for a value that cannot be read: two that differ get two texts."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    one = pa.record_batch([array.slice(row, 1)], ["value"])
    with pa.ipc.new_stream(sink, one.schema) as writer:
        writer.write_batch(one)
    return f"sha256:{hashlib.sha256(sink.getvalue()).hexdigest()}"
