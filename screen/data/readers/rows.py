"""One row's bytes -> a parsed value, or the reason why not. Strict, and the same for every file type.

What Python's own `json` would let through is refused here when two readers would see two different rows
(duplicate keys, NaN, lone surrogates, bytes that are not UTF-8).
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import NoReturn

import orjson

from screen.data.sample import Place, RawRow, Skip

MAX_ROW_BYTES = 64 << 20
MAX_DEPTH = 128
HEAD_BYTES = 200
BOM = b"\xef\xbb\xbf"

_HELD = frozenset({dict, list, float})
_WIDE = 2.0**63
_KEY = re.compile(rb'"\s*:')


class BadRow(Exception):
    """A row that cannot be used: the `code` and `message` of its Skip."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def digest(raw: bytes | bytearray | memoryview) -> str:
    """What `Place.sha256` holds."""
    return sha256(raw).hexdigest()[:16]


def entry(raw: bytes, row: int, file: str, line: int | None, offset: int) -> RawRow | Skip:
    """A row of JSON text (without its line ending) as RawRow or Skip."""
    place = Place(row, file, line, offset, len(raw), sha256(raw).hexdigest()[:16])
    try:
        return RawRow(place, parse(raw), raw[:HEAD_BYTES])
    except BadRow as bad:
        return Skip(place, "read", bad.code, bad.message, raw[:HEAD_BYTES])


def too_long(head: bytes, sha: str, row: int, file: str, line: int | None, offset: int, length: int) -> Skip:
    """The Skip of a row that was passed over without being held in memory."""
    message = (
        f"the row has {length:,} bytes, more than the {MAX_ROW_BYTES:,} that one row may have; "
        "split it, or remove what is not text"
    )
    place = Place(row, file, line, offset, length, sha)
    return Skip(place, "read", "line_too_long", message, head[:HEAD_BYTES])


def parse(raw: bytes) -> object:
    """The JSON value of one row. Raises BadRow."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _explain(raw, error)
    keys, depth, wide = survey(value)
    if depth > MAX_DEPTH:
        raise BadRow("too_deep", f"the row is nested {depth} deep, more than the {MAX_DEPTH} allowed")
    # A string may hold `":` as well, so more hits than keys prove nothing yet: look again, slowly.
    if len(_KEY.findall(raw)) != keys:
        _refuse_duplicates(raw)
    return json.loads(raw) if wide else value


def survey(value: object) -> tuple[int, int, bool]:
    """Number of keys in all objects, the depth of nesting, and whether a number may be a whole one of over 64 bits.

    Not recursive, so depth costs no stack. orjson makes a float of a whole number that wide; Python does not.
    """
    keys = depth = 0
    wide = False
    level = [value]
    while level:
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                keys += len(item)
                held = [x for x in item.values() if type(x) in _HELD]
            else:
                held = [x for x in item if type(x) in _HELD] if type(item) is list else [item]
            below += [x for x in held if type(x) is not float and x is not item]
            wide = wide or any(type(x) is float and abs(x) >= _WIDE for x in held)
        depth += 1
        level = below
    return keys, depth, wide


def _refuse_duplicates(raw: bytes) -> None:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(found)
        if len(made) != len(found):
            seen: set[str] = set()
            twice = next(key for key, _ in found if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise BadRow(
                "duplicate_key",
                f"the key {twice[:80]!r} stands twice in one object, and readers differ in which they take; keep one",
            )
        return made

    json.loads(raw, object_pairs_hook=pairs, parse_int=len, parse_float=len)


def _explain(raw: bytes, error: orjson.JSONDecodeError) -> NoReturn:
    if "depth limit" in str(error):
        raise BadRow("too_deep", f"the row is nested deeper than the {MAX_DEPTH} levels allowed")
    try:
        raw.decode()
    except UnicodeDecodeError as where:
        raise BadRow("bad_utf8", f"byte {where.start:,} of the row is not UTF-8; convert the file") from None
    if not raw.strip():
        raise BadRow("bad_json", "the row is empty where a JSON value belongs")
    what = str(error).split(": line ")[0]
    raise BadRow("bad_json", f"not valid JSON at character {error.pos:,} of the row: {what}")
