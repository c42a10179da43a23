"""Lines of a JSONL file -> rows. A line ends at a newline byte and nowhere else.

A line of nothing but whitespace is no row, but it counts as a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from screen.data.files import InputFile
from screen.data.readers import rows
from screen.data.sample import RawRow, Skip

_SPLIT = "a carriage return stands inside the line, and text readers end the line there; write the row on one line"


class JsonLine(NamedTuple):
    """A line that is a row. `raw` has its line ending; a line over the cap keeps its head only."""

    number: int
    offset: int
    raw: bytes
    size: int  # bytes in the file, line ending included
    sha: str = ""  # of a line over the cap, without its newline
    length: int = 0  # of a line over the cap, without its newline


def lines(stream: BinaryIO) -> Iterator[JsonLine]:
    """The rows of `stream`, blank lines left out."""
    number = offset = 0
    cap = rows.MAX_ROW_BYTES + 2
    readline = stream.readline
    while raw := readline(cap):
        number += 1
        size = len(raw)
        if size == cap and not raw.endswith(b"\n"):
            line = _pass_over(stream, raw, number, offset)
            size = line.size
            yield line
        elif not raw.isspace() and not (number == 1 and _only_bom(raw)):
            yield JsonLine(number, offset, raw, size)
        offset += size


def body(raw: bytes) -> bytes:
    """The line without its ending: `\\n` or `\\r\\n`."""
    if raw.endswith(b"\r\n"):
        return raw[:-2]
    return raw[:-1] if raw.endswith(b"\n") else raw


def entries(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """One item a row, None for rows that are not wanted (those are not parsed)."""
    with file.open() as stream:
        for row, line in enumerate(lines(stream), first_row):
            yield _entry(line, row, file.path) if wanted(row) else None


def spans(file: InputFile) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, size and bytes of every row with its line ending; None for a row over the cap."""
    with file.open() as stream:
        for line in lines(stream):
            yield line.offset, line.size, None if line.sha else line.raw


def _entry(line: JsonLine, row: int, file: str) -> RawRow | Skip:
    raw = body(line.raw)
    if line.sha:
        return rows.too_long(line.raw, line.sha, row, file, line.number, line.offset, line.length)
    if line.number == 1 and raw.startswith(rows.BOM):
        return _behind_bom(raw, row, file)
    found = rows.entry(raw, row, file, line.number, line.offset)
    if b"\r" in raw and isinstance(found, RawRow) and b"\r" in raw.strip():
        return Skip(found.place, "read", "bad_json", _SPLIT, found.head)
    return found


def _behind_bom(raw: bytes, row: int, file: str) -> RawRow | Skip:
    """The place covers the mark too, so that copying the row copies every byte of the file."""
    place = rows.entry(raw, row, file, 1, 0).place
    found = rows.entry(raw[len(rows.BOM) :], row, file, 1, len(rows.BOM))
    if isinstance(found, RawRow):
        return RawRow(place, found.value, found.head)
    return Skip(place, "read", found.code, found.message, found.head)


def _only_bom(raw: bytes) -> bool:
    return raw.startswith(rows.BOM) and not raw[len(rows.BOM) :].strip()


def _pass_over(stream: BinaryIO, start: bytes, number: int, offset: int) -> JsonLine:
    """Read to the end of an overlong line, keeping its head and hash only."""
    hasher = hashlib.sha256(start)
    size = length = len(start)
    while chunk := stream.readline(1 << 20):
        size += len(chunk)
        ended = chunk.endswith(b"\n")
        part = chunk[:-1] if ended else chunk
        hasher.update(part)
        length += len(part)
        if ended:
            break
    return JsonLine(number, offset, start[: rows.HEAD_BYTES], size, hasher.hexdigest()[:16], length)
