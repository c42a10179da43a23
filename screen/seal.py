"""Files that carry the digest of all their own bytes, so that no flipped bit is read as content.

JSON: the last field, "sha256", is the SHA-256 of everything before it. safetensors: the header has a field `seal`, the
SHA-256 of the file with 64 zeros in that place. What a reader takes is the bytes that were checked. Knows nothing of
what the files hold.

Files of lines that are only ever appended to: each line is a JSON object whose last field, "sha", is a part of the
SHA-256 of what stands before it. A crash can tear the last line only, where every append is synced before the next. A
torn line is a part of a line: it lacks its end, or, where the disk wrote its end first, it has a hole of NUL bytes,
which no line has and no single flipped bit makes of one. Any other bad line is damage, the last one too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEAL = "seal"
BLANK = "0" * 64  # stands for the seal until it is known
_JSON = re.compile(rb'(\{\n.*),\n "sha256": "([0-9a-f]{64})"\n\}\n', re.DOTALL)
_FIELD = re.compile(rb'\\"seal\\": \\"([0-9a-f]{64})\\"')  # in JSON that stands as text in the JSON of the header
_LINE = re.compile(rb'(\{.*),"sha":"([0-9a-f]{16})"\}', re.DOTALL)
_WHOLE = re.compile(rb'\{.*,"sha":"[0-9a-f]{16}"\}.', re.DOTALL)  # more than a line, so no part of one


class Broken(ValueError):
    """The bytes are not those that were sealed; says what is wrong with them."""


class BrokenLine(Broken):
    """A line that is damaged: its number, from 1, and whether it is the last."""

    def __init__(self, number: int, why: str, last: bool) -> None:
        super().__init__(why)
        self.number, self.why, self.last = number, why, last


def sealed_json(value: Mapping[str, object]) -> bytes:
    """An object with at least one field, and its digest as the last."""
    if not value or "sha256" in value:
        raise ValueError('an object to be sealed has fields, and none is called "sha256"')
    body = json.dumps(value, indent=1).encode()[:-2]
    return body + b',\n "sha256": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def open_json(data: bytes) -> dict[str, Any]:
    """The object without its digest. Raises Broken."""
    found = _JSON.fullmatch(data)
    if found is None:
        raise Broken("it does not end in its sha256")
    if hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        raise Broken("its bytes are not those of its sha256")
    return dict(json.loads(found[1] + b"\n}"))


def sealed_tensors(data: bytes) -> bytes:
    """A safetensors file whose metadata holds JSON with the field `seal` as BLANK, with the digest in that place."""
    start, end, value = _place(data)
    if value != BLANK.encode():
        raise ValueError("the seal's place is taken")
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[end:]


def check_tensors(data: bytes) -> None:
    """Raises Broken where the file is not as it was sealed."""
    start, end, value = _place(data)
    seen = hashlib.sha256(data[:start] + BLANK.encode())
    seen.update(memoryview(data)[end:])
    if seen.hexdigest().encode() != value:
        raise Broken("its bytes are not those of its seal")


def metadata(data: bytes) -> dict[str, str]:
    """The texts in the header of a file that was checked."""
    return dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"])


def _place(data: bytes) -> tuple[int, int, bytes]:
    """Where the one seal stands in the header."""
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    found = list(_FIELD.finditer(header))
    if len(found) != 1:
        raise Broken("its header has no seal" if not found else "its header has two seals")
    return 8 + found[0].start(1), 8 + found[0].end(1), found[0][1]


def sealed_line(value: Mapping[str, object]) -> bytes:
    """An object with at least one field, as one line. Spaces and @ stand as escapes: one bit makes a NUL of either."""
    body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    body = body.replace(b" ", b"\\u0020").replace(b"@", b"\\u0040")
    return body[:-1] + b',"sha":"' + _part(body) + b'"}\n'


@dataclass(frozen=True, slots=True)
class SealedLines:
    """What a file of lines holds: their objects, in order; `data`, their bytes, without a torn line behind them."""

    values: list[dict[str, Any]]
    data: bytes


def open_lines(data: bytes) -> SealedLines:
    """Raises BrokenLine for a line that is neither whole nor torn."""
    *lines, tail = data.split(b"\n")
    values: list[dict[str, Any]] = []
    good = 0
    for number, line in enumerate(lines, 1):
        last = number == len(lines) and not tail
        match = _LINE.fullmatch(line)
        if match is None or _part(match[1] + b"}") != match[2]:
            if last and b"\0" in line:
                return SealedLines(values, data[:good])
            raise BrokenLine(number, "its checksum does not match", last)
        try:
            values.append(json.loads(match[1] + b"}"))
        except (ValueError, RecursionError) as error:
            raise BrokenLine(number, str(error), last) from error
        good += len(line) + 1
    if _WHOLE.match(tail) and b"\0" not in tail:
        raise BrokenLine(len(lines) + 1, "something else stands where it ends", last=True)
    return SealedLines(values, data[:good])


def _part(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
