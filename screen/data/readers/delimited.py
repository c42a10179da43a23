"""CSV and TSV -> rows. The first record names the fields; every value is text.

A quoted field may span lines. The bytes of a record are kept exactly, so that it can be copied.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from screen.data.files import InputFile
from screen.data.readers import rows
from screen.data.readers.jsonlines import body
from screen.data.readers.quotes import QuoteState
from screen.data.readers.rows import BadRow
from screen.data.sample import Place, RawRow, Skip
from screen.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")


class DelimitedRecord(NamedTuple):
    """One record: first line, offset, bytes with line ending (head only where `sha` is set), fields or fault."""

    line: int
    offset: int
    raw: bytes
    size: int
    fields: list[str]
    fault: BadRow | None = None
    sha: str = ""


class _Lines:
    """Hands lines to the csv module and remembers which bytes went into the record at hand."""

    def __init__(self, stream: BinaryIO, delimiter: str) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self.number = self.offset = 0
        self.start()

    def start(self) -> None:
        """A new record begins."""
        self.held: list[bytes] = []
        self.size = 0
        self.bad_utf8 = False
        self.long: hashlib._Hash | None = None
        self.quotes = QuoteState(self._delimiter)  # of a long record

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(rows.MAX_ROW_BYTES + 1)
        if not raw:
            raise StopIteration
        if not self._take(raw):
            self._pass_over(raw)
            raise BadRow("line_too_long", "")
        self.number += 1
        if self.number == 1:
            raw = raw.removeprefix(rows.BOM)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.bad_utf8 = True
            return raw.decode(errors="replace")

    def _pass_over(self, raw: bytes) -> None:
        """To the end of a record that is over the cap; `raw`: the part of it that was read last."""
        while raw:
            ended = raw.endswith(b"\n")
            self.number += ended
            if ended and not self.quotes.quoted:
                return
            raw = self._stream.readline(1 << 20)
            self._take(raw)
        self.number += not ended  # the file's last line

    def _take(self, raw: bytes) -> bool:
        """Account for bytes; False once the record is over the cap, when only its hash and head are kept."""
        self.size += len(raw)
        self.offset += len(raw)
        if self.long is not None:
            self.long.update(raw)
            self.quotes.take(raw)
        elif self.size <= rows.MAX_ROW_BYTES:
            self.held.append(raw)
        else:
            whole = b"".join([*self.held, raw])
            self.long = hashlib.sha256(whole)
            self.quotes.take(whole)
            self.held = [whole[: rows.HEAD_BYTES]]
        return self.long is None


def records(stream: BinaryIO, delimiter: str) -> Iterator[DelimitedRecord]:
    """Every record, the header first; blank lines are none."""
    csv.field_size_limit(max(csv.field_size_limit(), rows.MAX_ROW_BYTES))
    lines = _Lines(stream, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.start()
        line, offset = lines.number + 1, lines.offset
        fields: list[str] = []
        fault = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = BadRow("bad_csv", f"the record cannot be split into fields ({error}); check its quotes")
        except BadRow as bad:
            fault = bad
        if lines.bad_utf8 and fault is None:
            fault = BadRow("bad_utf8", "the record is not UTF-8; convert the file")
        if fault is None and (found := _disputed(fields)):
            fault = BadRow("bad_csv", found)
        if fields or fault:
            sha = lines.long.hexdigest()[:16] if lines.long else ""
            yield DelimitedRecord(line, offset, b"".join(lines.held), lines.size, fields, fault, sha)


def _disputed(fields: list[str]) -> str:
    """What makes two readers see two records here; "" where nothing does."""
    if any("\0" in field for field in fields):
        return "the record holds a NUL, where some readers end the field; take it out"
    if len(fields) == 1 and fields[0] and not fields[0].strip(" \t"):
        return "the line holds only blanks: a row for some readers and nothing for others; take it out"
    return ""


def entries(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """One item a row, None for rows that are not wanted."""
    delimiter = delimiter_of(file)
    with file.open() as stream:
        found = records(stream, delimiter)
        names = _names(next(found, None), file)
        for row, record in enumerate(found, first_row):
            yield _entry(record, names, row, file.path) if wanted(row) else None


def spans(file: InputFile) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, size and bytes of every row with its line ending; None for a row over the cap."""
    delimiter = delimiter_of(file)
    with file.open() as stream:
        found = records(stream, delimiter)
        next(found, None)
        for record in found:
            yield record.offset, record.size, None if record.sha else record.raw


def header(file: InputFile) -> bytes:
    """The first record as it stands in the file."""
    delimiter = delimiter_of(file)
    with file.open() as stream:
        first = next(records(stream, delimiter), None)
    return first.raw if first else b""


def delimiter_of(file: InputFile) -> str:
    """A tab for TSV; else a comma, unless the header has none but has another common one."""
    if file.kind == "tsv":
        return "\t"
    with file.open() as stream:
        head = stream.readline(1 << 16)
    return next((d for d in _DELIMITERS if d.encode() in head), ",")


def _names(first: DelimitedRecord | None, file: InputFile) -> list[str]:
    if first is None:
        raise InputError(f"{file.path}: no rows", "give a file with a header and at least one row")
    if first.fault:
        raise InputError(f"{file.path}: the header cannot be read: {first.fault.message}", "check the first line")
    twice = sorted({name for name in first.fields if first.fields.count(name) > 1})
    if twice or not all(first.fields):
        what = f"names {twice[0]!r} twice" if twice else "has a column without a name"
        raise InputError(f"{file.path}: the header {what}", "give every column a name of its own")
    return first.fields


def _entry(record: DelimitedRecord, names: list[str], row: int, file: str) -> RawRow | Skip:
    if record.sha:
        return rows.too_long(record.raw, record.sha, row, file, record.line, record.offset, record.size)
    raw = body(record.raw)
    place = Place(row, file, record.line, record.offset, len(raw), rows.digest(raw))
    fault = record.fault
    if fault is None and len(record.fields) != len(names):
        fault = BadRow("ragged_row", f"the record has {len(record.fields)} fields, but the header names {len(names)}")
    if fault is not None:
        return Skip(place, "read", fault.code, fault.message, raw[: rows.HEAD_BYTES])
    return RawRow(place, dict(zip(names, record.fields, strict=True)), raw[: rows.HEAD_BYTES])
