"""Some rows of a dataset -> a new file of the same kind. Rows are copied, never written anew.

Lines, records and array elements are copied byte for byte; Parquet and Arrow rows keep their schema.
The new file appears whole or not at all, and is never one of the inputs.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

import zstandard

from screen.data import sniff
from screen.data.dataset import Dataset
from screen.data.files import InputFile
from screen.data.readers import columnar, delimited, jsonarray, jsonscan
from screen.data.readers.kinds import reader_of
from screen.disk import new_file, writing
from screen.errors import InputError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Keep = Callable[[int], bool]
Edit = Callable[[int, bytes], bytes]


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object: ...


_COPY = 1 << 20
_GROUP_BYTES = 64 << 20  # of Arrow memory a Parquet row group


class Copied(NamedTuple):
    kept: int
    dropped: int


def copy_rows(dataset: Dataset, keep: Keep, out: Path, edit: Edit | None = None) -> Copied:
    """Copy the rows for which `keep(row)` holds, over all files and whatever the limit, to `out`.

    `.gz` or `.zst` at the end of `out` compresses. `edit(row, raw)` gives the bytes of a line, with its ending, or of
    an element of a JSON document, with what stands around it; a row over the cap is not shown to it, nor is one of
    Parquet or Arrow.
    """
    check_out(dataset, out)
    tally = _Tally(keep, edit)
    kind = dataset.files[0].kind
    with writing(out, "choose a folder that exists, with room"), new_file(out) as scratch:
        if kind in ("parquet", "arrow"):
            _copy_tables(dataset.files, tally, scratch)
        else:
            with open(scratch, "wb") as raw:
                _copy_text(kind, dataset.files, tally, raw, out.name)
    return Copied(tally.kept, tally.dropped)


def _copy_text(kind: str, files: tuple[InputFile, ...], tally: _Tally, raw: io.BufferedWriter, name: str) -> None:
    target = _packed(raw, name)
    _copy_plain(kind, files, tally, target)
    if target is not raw:
        target.close()  # writes the end of what is compressed


def _copy_plain(kind: str, files: tuple[InputFile, ...], tally: _Tally, target: Sink) -> None:
    if kind == "json":
        _copy_json(files[0], tally, target)
    else:
        if kind in ("csv", "tsv"):
            target.write(_one_header(files))
        _copy_rows(files, tally, target)


def copied_sha256(files: tuple[InputFile, ...], keep: Keep, edit: Edit | None = None) -> str:
    """SHA-256 in hex of what `copy_rows` writes, uncompressed, of files of lines or records, or a JSON document."""
    hasher = hashlib.sha256()
    _copy_plain(files[0].kind, files, _Tally(keep, edit), _Hashed(hasher))
    return hasher.hexdigest()


class _Hashed:
    def __init__(self, hasher: hashlib._Hash) -> None:
        self.write = hasher.update


class _Tally:
    """Asks about rows in order and counts the answers."""

    def __init__(self, keep: Keep, edit: Edit | None = None) -> None:
        self._keep = keep
        self._edit = edit
        self.kept = self.dropped = 0

    def take(self) -> bool:
        """Whether the next row stays."""
        kept = self._keep(self.kept + self.dropped)
        self.kept += kept
        self.dropped += not kept
        return kept

    def edited(self, raw: bytes) -> bytes:
        """The bytes of the row that was taken last."""
        return raw if self._edit is None else self._edit(self.kept + self.dropped - 1, raw)


def _copy_rows(files: tuple[InputFile, ...], tally: _Tally, target: Sink) -> None:
    ended = True  # with a newline: the last line of a file may have none
    for file in files:
        for offset, size, raw in reader_of(file).spans(file):
            if not tally.take():
                continue
            if not ended:
                target.write(b"\n")
            ended = (copy_span(file, offset, size, target) if raw is None else _put(target, tally.edited(raw))) == b"\n"


def _put(target: Sink, raw: bytes) -> bytes:
    target.write(raw)
    return raw[-1:]


def _copy_json(file: InputFile, tally: _Tally, target: Sink) -> None:
    """Everything around the rows stays as well: what stands before, behind and, in an object, the keys."""
    layout = jsonarray.locate(file)
    if layout.sort == "single":
        _copy_rows((file,), tally, target)
        return
    copy_span(file, 0, layout.start, target)
    first, end = True, 0
    for segment in jsonarray.segments(file, layout):
        end = segment.offset + segment.size
        if not segment.sha and not segment.raw.strip(jsonscan.BLANK):
            target.write(segment.raw)  # the blanks before the closing bracket
            continue
        if tally.take():
            target.write(b"" if first else b",")
            first = False
            copy_span(file, segment.offset, segment.size, target) if segment.sha else target.write(
                tally.edited(segment.raw)
            )
    copy_span(file, end, None, target)


def copy_span(file: InputFile, offset: int, size: int | None, target: Sink) -> bytes:
    """Copy bytes of the decompressed file without holding them; None: to its end. Returns the last byte."""
    last = b""
    with file.open() as stream:
        while offset and (part := stream.read(min(offset, _COPY))):
            offset -= len(part)
        while part := stream.read(_COPY if size is None else min(size, _COPY)):
            target.write(part)
            last = part[-1:]
            if size is not None:
                size -= len(part)
    return last


def _one_header(files: tuple[InputFile, ...]) -> bytes:
    headers = [delimited.header(file) for file in files]
    for file, header in zip(files, headers, strict=True):
        if header.strip() != headers[0].strip():
            raise InputError(f"{file.path} has other columns than {files[0].path}", "filter one file at a time")
    return headers[0] if headers[0].endswith(b"\n") else headers[0] + b"\n"


def _copy_tables(files: tuple[InputFile, ...], tally: _Tally, path: Path) -> None:
    import pyarrow as pa

    schema = columnar.schema_of(files[0])
    for file in files:
        if odd := columnar.check(file).left_out:
            raise InputError(f"{file.path}: the column {min(odd)!r} is damaged: {odd[min(odd)]}", "write it again")
        if not columnar.schema_of(file).equals(schema):
            raise InputError(f"{file.path} has other columns than {files[0].path}", "filter one file at a time")
    with _table_writer(files[0], schema, path) as write:
        held: list[pa.RecordBatch] = []
        for batch in (b for file in files for b in columnar.batches(file, 0, _always)):
            held.append(batch.filter(pa.array([tally.take() for _ in range(batch.num_rows)], pa.bool_())))
            if sum(part.nbytes for part in held) > _GROUP_BYTES:
                write(pa.Table.from_batches(held, schema))
                held = []
        write(pa.Table.from_batches(held, schema))


@contextlib.contextmanager
def _table_writer(file: InputFile, schema: pa.Schema, path: Path) -> Iterator[Callable[[object], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.kind == "parquet":
        metadata = pq.read_metadata(file.local)
        packed = metadata.row_group(0).column(0).compression if metadata.num_row_groups else "SNAPPY"
        with pq.ParquetWriter(path, schema, compression=packed, write_page_checksum=True) as writer:
            yield writer.write_table
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        yield writer.write_table


def _packed(raw: io.BufferedWriter, name: str) -> BinaryIO:
    if name.endswith(".gz"):
        return gzip.GzipFile("", "wb", 6, raw, 0)  # type: ignore[return-value]
    if name.endswith((".zst", ".zstd")):
        return zstandard.ZstdCompressor(write_checksum=True).stream_writer(raw, closefd=False)
    return raw


def check_not_input(dataset: Dataset, out: Path) -> None:
    """Raises UsageError for a name, a link or a second name of one of the dataset's files."""
    for file in dataset.files:
        if os.path.realpath(out) == os.path.realpath(file.local) or (out.exists() and out.samefile(file.local)):
            raise UsageError(f"{out}: this is the input, which is never written to", "choose another name")


def check_out(dataset: Dataset, out: Path) -> None:
    """Raises UsageError for a file that rows of the dataset cannot be copied to."""
    check_not_input(dataset, out)
    files = dataset.files
    kinds = sorted({file.kind for file in files})
    if len(kinds) > 1:
        raise InputError(f"the dataset has files of kinds {' and '.join(kinds)}", "filter one kind at a time")
    if len(files) > 1 and kinds[0] in ("json", "txt"):
        raise InputError(f"{len(files)} {kinds[0]} files cannot become one", "filter one file at a time")
    wanted, packed = sniff.kind_of_name(out.name), out.name.endswith(sniff.PACKED)
    if wanted not in (kinds[0], sniff.kind_of_name(files[0].path)):
        raise UsageError(f"{out}: rows are copied as {kinds[0]}", f"choose a name that ends in .{kinds[0]}")
    if packed and kinds[0] in ("parquet", "arrow"):
        raise UsageError(f"{out}: {kinds[0]} files are compressed inside", f"choose a name that ends in .{kinds[0]}")


def _always(row: int) -> bool:
    return True
