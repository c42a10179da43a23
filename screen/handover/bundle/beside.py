"""A bundle beside the dataset that it says it is of: every row, and every byte around them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from screen.data.copying import copied_sha256
from screen.data.digests import row_digests
from screen.data.files import InputFile
from screen.data.sniff import Kind
from screen.handover.bundle.manifest import BundleInput, BundleManifest
from screen.handover.bundle.rowlist import ROWS, ListedRow, listed
from screen.handover.parts import PARTS


def against_dataset(path: Path, manifest: BundleManifest, files: Sequence[InputFile]) -> Iterator[str]:
    """What is wrong, of a bundle that is whole by itself. Raises InputError where the dataset cannot be read."""
    if len(files) != len(manifest.inputs):
        yield f"the bundle is of {len(manifest.inputs):,} files, and the dataset given has {len(files):,}"
        return
    rows = listed(path)
    for item, file in zip(manifest.inputs, files, strict=True):
        parts = np.zeros(item.rows, dtype=np.uint8)
        wrong = _rows(file, islice(rows, item.rows), parts)
        if wrong:
            yield wrong
            return
        if _sha256(file.local) != item.sha256:
            yield f"{file.path} is not the file that was screened, though it has the same rows: its SHA-256 is another"
        yield from _around(path, item, file, parts)


def _rows(file: InputFile, rows: Iterator[ListedRow], parts: npt.NDArray[np.uint8]) -> str:
    """The first row that is another one in the dataset, "" where there is none; fills `parts`."""
    for number, (wanted, stands) in enumerate(zip_longest(rows, row_digests(file))):
        if wanted is None:
            return f"{file.path} has more rows than the {number:,} of it in {ROWS}"
        if stands is None:
            return f"{file.path} has {number:,} rows, and {ROWS} goes on with row {wanted.row} ({wanted.part})"
        if stands != wanted.sha256:
            return f"row {wanted.row} ({wanted.part}) is not what stands in {file.path} as row {number} of that file"
        parts[number] = PARTS.index(wanted.part)
    return ""


def _around(path: Path, item: BundleInput, file: InputFile, parts: npt.NDArray[np.uint8]) -> Iterator[str]:
    """What stands around the rows: a header, a document's other members, a table's types."""
    for index, name in enumerate(PARTS):
        copy = item.parts[name].file
        if copy is None:
            continue
        wanted = parts == index
        if file.kind in ("parquet", "arrow"):
            if _table(_part(path, item, copy)) != _table(file, wanted):
                yield f"{copy} has other types of columns, or other missing values, than {file.path}"
        elif copied_sha256((file,), partial(_holds, wanted)) != _sha256(path / copy):
            yield f"{copy} has other bytes around its rows than {file.path}"


def _holds(wanted: npt.NDArray[np.bool_], row: int) -> bool:
    return bool(wanted[row])


def _part(path: Path, item: BundleInput, copy: str) -> InputFile:
    return InputFile(copy, path / copy, (path / copy).stat().st_size, cast(Kind, item.kind), "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(file: InputFile, wanted: npt.NDArray[np.bool_] | None = None) -> tuple[str, list[int]]:
    """The schema with its metadata, and missing values by column: in a row's digest a NaN looks like one."""
    import pyarrow as pa

    from screen.data.readers import columnar

    schema = columnar.schema_of(file)
    missing, first = [0] * len(schema), 0
    for batch in columnar.batches(file, 0, lambda row: True):
        count = batch.num_rows
        if wanted is not None:
            batch = batch.filter(pa.array(wanted[first : first + count]))
        first += count
        missing = [so_far + column.null_count for so_far, column in zip(missing, batch.columns, strict=True)]
    return schema.to_string(show_schema_metadata=True, truncate_metadata=False), missing
