"""A shard's tables as bytes: pinned schema, pinned encoding, every input row exactly once.

Equal tables give equal bytes under one version of pyarrow. Knows nothing of folders or manifests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from screen.scoring import schema

NAMES = ("scores", "turns", "controls", "skipped")
WRITER = f"pyarrow {pa.__version__}"  # decides the bytes together with the tables


def pinned(name: str, traits: Sequence[str]) -> pa.Schema:
    """The one schema of a table in a run with these traits."""
    match name:
        case "scores":
            return schema.scores_schema(traits)
        case "turns":
            return schema.turns_schema(traits)
        case "controls":
            return schema.controls_schema()
        case "skipped":
            return schema.skipped_schema()
    raise ValueError(f"a run has no table {name!r}: it has {', '.join(NAMES)}")


def encode(table: pa.Table, wanted: pa.Schema) -> bytes:
    """Parquet: zstd, page checksums, one row group, nothing that depends on the clock or on chunking."""
    check_schema(table.schema, wanted)
    whole = pa.Table.from_arrays([column.combine_chunks() for column in table.columns], schema=wanted)
    sink = pa.BufferOutputStream()
    pq.write_table(
        whole,
        sink,
        row_group_size=max(whole.num_rows, 1),
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=[f.name for f in wanted if f.type == pa.string()],
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def check_schema(schema: pa.Schema, wanted: pa.Schema) -> None:
    if schema.names != wanted.names:
        missing = [n for n in wanted.names if n not in schema.names]
        surplus = [n for n in schema.names if n not in wanted.names]
        raise ValueError(f"not the pinned columns: missing {missing}, surplus {surplus}, or in another order")
    for have, want in zip(schema, wanted, strict=True):
        if have.type != want.type:
            raise ValueError(f"column {want.name!r} is {have.type}, not {want.type}")


def check_written(data: bytes, sha256: str, rows: int, wanted: pa.Schema) -> None:
    """What came back from the disk is what was meant: the hash, the rows, the schema. Raises OSError."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise OSError("the bytes read back are not the bytes written")
    meta = pq.read_metadata(pa.BufferReader(data))
    if meta.num_rows != rows or not meta.schema.to_arrow_schema().equals(wanted):
        raise ValueError("the encoded table is not the table given")


def check_rows(first_row: int, end_row: int, tables: Mapping[str, pa.Table]) -> None:
    """Input rows = scored + skipped, each exactly once; anything else is a bug of the caller's."""
    if end_row <= first_row:
        raise ValueError(f"a shard needs rows: [{first_row}, {end_row})")
    scored, skipped = _rows(tables, "scores"), _rows(tables, "skipped")
    rows_stored = np.sort(np.concatenate([np.unique(scored), skipped]))
    wanted = np.arange(first_row, end_row)
    if not np.array_equal(rows_stored, wanted):
        lost = np.setdiff1d(wanted, rows_stored)[:5].tolist()
        stray = np.setdiff1d(rows_stored, wanted)[:5].tolist()
        twice = np.unique(rows_stored[1:][rows_stored[1:] == rows_stored[:-1]])[:5].tolist()
        raise ValueError(f"rows [{first_row}, {end_row}): missing {lost}, outside {stray}, twice {twice}")
    if len(scored):
        _check_sides(tables["scores"])
    for name in ("turns", "controls"):
        if not np.isin(_rows(tables, name), scored).all():
            raise ValueError(f"{name} hold rows that are not scored")


def _rows(tables: Mapping[str, pa.Table], name: str) -> np.ndarray:
    if name not in tables or not tables[name].num_rows:
        return np.empty(0, np.int64)
    column = tables[name].column("row")
    if column.null_count:
        raise ValueError(f"{name}: a row number is null")
    return np.asarray(column.to_numpy())


def _check_sides(scores: pa.Table) -> None:
    sides = set(zip(scores["row"].to_pylist(), scores["variant"].to_pylist(), strict=True))
    if len(sides) != scores.num_rows:
        raise ValueError("scores hold the same side of a row twice")
