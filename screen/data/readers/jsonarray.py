"""Rows of one JSON document: an array, an object that holds one, or an object of rows.

The rows are those that `json.loads` would find in the whole file, or the file is refused with the byte: a trainer
reads it so. Rows are cut out piece by piece, so a document larger than memory is no different; each is then parsed
like a line of JSONL, and one that is bad inside its own brackets costs itself. docs/reading.md states the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, NamedTuple

import orjson

from screen.data.files import InputFile
from screen.data.readers import rows
from screen.data.readers.jsonscan import BLANK, Scanner, Segment, name_end, unsure
from screen.data.sample import RawRow, Skip
from screen.data.sniff import HEAD, ROW_KEYS
from screen.errors import InputError

_COPY = 1 << 18
_ONCE = "keep one: readers differ in which they take"
_LINES = "check how the file was written; one row a line is read from a file named .jsonl"
_ROWS = "put the rows into one list"
_NOT_ROW_NAMES = ("input", "conversation")  # fields of a row whose value is an object


class DocumentLayout(NamedTuple):
    """Where the rows of a document stand. `start`: offset behind the bracket that opens them."""

    sort: Literal["array", "inner", "object", "single"]
    start: int
    names: frozenset[str] = frozenset()  # of the members before the rows, and the rows' own


def locate(file: InputFile) -> DocumentLayout:
    """Where the rows stand. What comes before them is parsed, and refused where `json.loads` would refuse it."""
    with file.open() as stream:
        scanner = Scanner(stream, 0, file.path)
        scanner.bom()
        first = scanner.blanks()
        if first not in (b"[", b"{"):
            return DocumentLayout("single", 0)
        scanner.take(1)
        if first == b"[":
            return DocumentLayout("array", scanner.offset)
        start = scanner.offset
        return DocumentLayout("single", 0) if scanner.blanks() == b"}" else _in_object(scanner, start)


def _in_object(scanner: Scanner, start: int) -> DocumentLayout:
    """The first list under one of ROW_KEYS; else, where all members are objects, these; else the one object."""
    names: set[str] = set()
    faults: list[InputError] = []  # of members beside a list; as rows of their own they cost only themselves
    objects = True
    while True:
        name, at, sign = scanner.key()
        if sign == b"[" and name in ROW_KEYS:
            if name in names:
                scanner.refuse(f"has the name {name[:40]!r} twice in one object", scanner.offset, _ONCE)
            if faults:
                raise faults[0]
            return DocumentLayout("inner", at + 1, frozenset(names | {name}))
        objects = objects and sign == b"{" and (bool(names) or name not in _NOT_ROW_NAMES)
        segment = scanner.segment()
        if not faults:
            try:
                _beside(scanner, segment, names)
            except InputError as error:
                faults.append(error)
        names.add(name)
        if segment.end != b"," or (objects and scanner.offset > HEAD):
            return DocumentLayout("object", start) if objects else DocumentLayout("single", 0)
        if scanner.offset > rows.MAX_ROW_BYTES:
            return DocumentLayout("single", 0)


def segments(file: InputFile, layout: DocumentLayout) -> Iterator[Segment]:
    """Everything between separators, in order; blank only in a list without rows. Refuses what `json.loads` would."""
    for item in _walk(file, layout, False):
        assert isinstance(item, Segment)
        yield item


def _walk(file: InputFile, layout: DocumentLayout, counting: bool) -> Iterator[Segment | int]:
    """Segments; where only the count matters, a number in place of many that parse as one list."""
    closing = b"}" if layout.sort == "object" else b"]"
    names: set[str] = set()
    with file.open() as stream:
        _pass_over(stream, layout.start)
        scanner = Scanner(stream, layout.start, file.path)
        while True:
            if counting and (count := _parsed_at_once(scanner)):
                yield count
            segment = scanner.segment()
            if segment.end not in (b",", closing):
                scanner.refuse(f"closes with {segment.end.decode()} what it did not open so", scanner.offset)
            blank = not segment.sha and not segment.raw.strip(BLANK)
            if blank and (segment.end == b"," or segment.offset != layout.start):
                scanner.refuse("has nothing where a row belongs", scanner.offset - 1, "take out the comma")
            if not blank:
                _check_row(scanner, segment, layout, names)
            yield segment
            if segment.end != b",":
                break
        if layout.sort == "inner":
            _check_behind(scanner, layout)
        if scanner.blanks():
            scanner.refuse("goes on after the JSON value has ended", scanner.offset, _LINES)


def _parsed_at_once(scanner: Scanner) -> int:
    """Consume the rows that lie whole in the buffer where they parse as one list; their number."""
    many = scanner.whole()
    try:
        count = len(orjson.loads(b"[%b]" % many[:-1]))
    except orjson.JSONDecodeError:
        return 0
    scanner.take(len(many) if count else 0)
    return count


def _check_row(scanner: Scanner, segment: Segment, layout: DocumentLayout, names: set[str]) -> None:
    """Refuse a row whose borders are in doubt, or whose name in an object of rows stands there already."""
    lead = len(segment.raw) - len(segment.raw.lstrip(BLANK))
    if layout.sort == "object":
        name, lead = scanner.named(segment)
        if name in names:
            scanner.refuse(f"has the name {name[:40]!r} twice in one object", segment.offset, _ONCE)
        names.add(name)
        if segment.raw[lead : lead + 1] != b"{":
            scanner.refuse(f"holds an object under each name but {name[:40]!r}", segment.offset, _ROWS)
    if segment.sha:
        return
    try:
        orjson.loads(segment.raw[lead:])
    except orjson.JSONDecodeError:
        if (at := unsure(segment.raw[lead:].rstrip(BLANK))) >= 0:
            scanner.refuse("has something other than one JSON value in a row", segment.offset + lead + at)


def _check_behind(scanner: Scanner, layout: DocumentLayout) -> None:
    """Refuse what follows the list of rows where another parser may find other rows there."""
    names = set(layout.names)
    sign = scanner.blanks()
    scanner.take(len(sign))
    while sign == b",":
        segment = scanner.segment()
        names.add(_beside(scanner, segment, names))
        sign = segment.end
    if sign != b"}":
        scanner.refuse("has something other than a comma or } behind its rows", scanner.offset - len(sign))


def _beside(scanner: Scanner, segment: Segment, names: set[str]) -> str:
    """The name of a member that stands beside the rows. Refused where it may stand for rows itself."""
    name, value = scanner.member(segment)
    if name in names:
        scanner.refuse(f"has the name {name[:40]!r} twice in one object", segment.offset, _ONCE)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        scanner.refuse(f"has a second list of rows under {name[:40]!r}", segment.offset, "give one file each")
    return name


def total(file: InputFile) -> int:
    """Number of rows. Refuses what reading them would refuse."""
    layout = locate(file)
    if layout.sort == "single":
        return sum(1 for _ in _single(file))
    return sum(
        item if isinstance(item, int) else bool(item.sha or item.raw.strip(BLANK))
        for item in _walk(file, layout, layout.sort != "object")
    )


def elements(file: InputFile) -> Iterator[tuple[int, bytes, str, int]]:
    """Offset, bytes, hash (of a row over the cap only) and length of every row."""
    layout = locate(file)
    if layout.sort == "single":
        yield from _single(file)
        return
    for segment in segments(file, layout):
        if not segment.sha and not segment.raw.strip(BLANK):
            continue  # no rows at all
        lead = lead_of(segment.raw, layout)
        raw = segment.raw[lead:]
        if segment.sha:
            yield segment.offset + lead, raw, segment.sha, segment.size - lead
        else:
            raw = raw.rstrip(BLANK)
            yield segment.offset + lead, raw, "", len(raw)


def lead_of(raw: bytes, layout: DocumentLayout) -> int:
    """Bytes before the row itself: blanks, and in an object its name."""
    return (name_end(raw) if layout.sort == "object" else 0) or len(raw) - len(raw.lstrip(BLANK))


def entries(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """One item a row, None for rows that are not wanted."""
    for row, (offset, raw, sha, length) in enumerate(elements(file), first_row):
        if not wanted(row):
            yield None
        elif sha:
            yield rows.too_long(raw, sha, row, file.path, None, offset, length)
        else:
            yield rows.entry(raw, row, file.path, None, offset)


def spans(file: InputFile) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, size and bytes of every row; None for a row over the cap."""
    for offset, raw, sha, length in elements(file):
        yield offset, length, None if sha else raw


def _single(file: InputFile) -> Iterator[tuple[int, bytes, str, int]]:
    with file.open() as stream:
        raw = stream.read(rows.MAX_ROW_BYTES + 1)
        if len(raw) > rows.MAX_ROW_BYTES:
            raise InputError(
                f"{file.path}: one JSON value of more than {rows.MAX_ROW_BYTES:,} bytes in which no list of rows "
                "was found",
                f"write one row a line, or put the rows under one of {', '.join(ROW_KEYS)}",
            )
    lead = len(raw) - len(raw.removeprefix(rows.BOM).lstrip(BLANK))
    if raw[lead:].rstrip(BLANK):
        body = raw[lead:].rstrip(BLANK)
        yield lead, body, "", len(body)


def _pass_over(stream: BinaryIO, size: int) -> None:
    while size > 0 and (part := stream.read(min(size, _COPY))):
        size -= len(part)
