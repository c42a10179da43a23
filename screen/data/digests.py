"""Rows -> digests of their bytes, whatever kind of file they stand in: a row that was copied keeps its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from screen.data.copying import copy_span
from screen.data.files import InputFile
from screen.data.readers import columnar
from screen.data.readers.jsonlines import body
from screen.data.readers.kinds import reader_of
from screen.data.sample import RawRow


def row_digests(file: InputFile) -> Iterator[str]:
    """SHA-256 in hex of every row's bytes without its line ending, in order; it begins with `Place.sha256`.

    Of Parquet and Arrow, whose rows have no bytes of their own, of its canonical JSON; for a row that is too long even
    for that, the 16 digits of `Place.sha256` alone.
    """
    if file.kind in ("parquet", "arrow"):
        yield from _of_tables(file)
        return
    lines = file.kind in ("jsonl", "csv", "tsv")
    for offset, size, raw in reader_of(file).spans(file):
        if raw is None:
            yield _of_span(file, offset, size, lines)
        else:
            yield hashlib.sha256(body(raw) if lines else raw).hexdigest()


def _of_tables(file: InputFile) -> Iterator[str]:
    for entry in columnar.entries(file, 0, lambda row: True):
        if isinstance(entry, RawRow):
            yield hashlib.sha256(columnar.canonical(entry.value)).hexdigest()
        elif entry is not None:
            yield entry.place.sha256


def _of_span(file: InputFile, offset: int, size: int, lines: bool) -> str:
    """Of a row that is not held in memory."""
    sink = _Unended(lines)
    copy_span(file, offset, size, sink)
    return sink.digest()


class _Unended:
    """Hashes what is written, but for a line ending at its end."""

    def __init__(self, lines: bool) -> None:
        self._hasher = hashlib.sha256()
        self._held = b""
        self._lines = lines

    def write(self, data: bytes, /) -> None:
        data = self._held + data
        self._hasher.update(data[:-2])
        self._held = data[-2:]

    def digest(self) -> str:
        self._hasher.update(body(self._held) if self._lines else self._held)
        return self._hasher.hexdigest()
