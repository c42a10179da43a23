"""Reads a whole Parquet or Arrow file once, in a process of its own, so that a hostile one takes only it down.

Run as a script: `columnar_check.py KIND PATH MEMORY_BYTES`. Prints one line of JSON: {"rows": n,
"left_out": {column: why}} or {"error": "..."}. Knows nothing of `screen`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def main(kind: str, path: str, memory: int) -> dict[str, object]:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not everywhere, and then there is no cap
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pyarrow as pa

    try:
        try:
            rows, left_out = _read(_batches(kind, path))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if kind != "parquet" or not _of_one_column(error):
                raise
            rows, left_out = _by_columns(path)
    except MemoryError:
        return {"error": "reading it takes more memory than such a file may"}
    except Exception as error:  # whatever a hostile file makes a decoder raise: it is refused with its words
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {"rows": rows, "left_out": left_out}


def _read(batches: Iterator[pa.RecordBatch]) -> tuple[int, dict[str, str]]:
    import pyarrow as pa

    rows = 0
    left_out: dict[str, str] = {}
    for batch in batches:
        rows += batch.num_rows
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid:
            left_out |= _unsafe(batch)
    return rows, left_out


def _by_columns(path: str) -> tuple[int, dict[str, str]]:
    """Each column for itself, where the decoder refuses the value or the type of one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
    left_out: dict[str, str] = {}
    for name in file.schema_arrow.names:
        try:
            left_out |= _read(_batches("parquet", path, [name]))[1]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if not _of_one_column(error):
                raise
            left_out[name] = str(error)[:200]
    return file.metadata.num_rows, left_out


def _of_one_column(error: Exception) -> bool:
    return "UTF8" in str(error) or isinstance(error, NotImplementedError)


def _unsafe(batch: pa.RecordBatch) -> dict[str, str]:
    """Columns whose offsets or indices lead elsewhere. An odd value in sound memory costs at most its row, later."""
    import pyarrow as pa

    found = {}
    for place, field in enumerate(batch.schema):
        try:
            column = batch.column(place)
            column.validate(full=True)
        except KeyError:  # a type that pyarrow has no class for: nothing of it is read in any case
            continue
        except pa.ArrowInvalid as error:
            flat = pa.types.is_primitive(field.type) or pa.types.is_decimal(field.type)
            if "UTF8" not in str(error) and not flat:
                found[field.name] = str(error)[:200]
    batch.validate()
    return found


def _batches(kind: str, path: str, columns: list[str] | None = None) -> Iterator[object]:
    import pyarrow as pa

    if kind == "parquet":
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        yield from file.iter_batches(batch_size=256, columns=columns, use_threads=False)
        return
    source = pa.memory_map(path)
    try:
        reader = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
