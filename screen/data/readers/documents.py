"""A `.txt` file is one document, and so one row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from screen.data.files import InputFile
from screen.data.readers import rows
from screen.data.sample import Place, RawRow, Skip


def entries(file: InputFile, first_row: int, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """The one row of the file, or None where it is not wanted."""
    if not wanted(first_row):
        yield None
        return
    with file.open() as stream:
        raw = stream.read(rows.MAX_ROW_BYTES + 1)
        if len(raw) > rows.MAX_ROW_BYTES:
            hasher, size = hashlib.sha256(raw), len(raw)
            while part := stream.read(1 << 20):
                hasher.update(part)
                size += len(part)
            yield rows.too_long(raw, hasher.hexdigest()[:16], first_row, file.path, None, 0, size)
            return
    place = Place(first_row, file.path, None, 0, len(raw), rows.digest(raw))
    head = raw[: rows.HEAD_BYTES]
    try:
        yield RawRow(place, {"text": raw.removeprefix(rows.BOM).decode()}, head)
    except UnicodeDecodeError as error:
        message = f"byte {error.start:,} of the file is not UTF-8; convert the file"
        yield Skip(place, "read", "bad_utf8", message, head)


def spans(file: InputFile) -> Iterator[tuple[int, int, bytes | None]]:
    """The whole file."""
    with file.open() as stream:
        raw = stream.read(rows.MAX_ROW_BYTES + 1)
        size = len(raw)
        while part := stream.read(1 << 20):
            size += len(part)
    yield 0, size, raw if size <= rows.MAX_ROW_BYTES else None
