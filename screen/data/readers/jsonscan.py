"""Cuts a JSON text into what stands between the separators of one level, piece by piece, in one pass.

Knows brackets and strings only. Where every piece parses as one JSON value, the pieces are what any parser finds;
where one does not, `unsure` tells whether its borders can be trusted all the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import BinaryIO, NamedTuple, NoReturn

from screen.data.readers import rows
from screen.errors import InputError

BLANK = b" \t\r\n"
_CHUNK = 1 << 16
_LEVELS = 12  # of nesting that one match takes; deeper ones cost a step of the loop each
_DEEPEST = 1000  # json.loads gives up there on Python 3.11, later on newer ones
_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _nested(levels: int) -> bytes:
    """What may stand inside a bracket: `levels` of whole brackets, strings, all else. Possessive: nothing twice."""
    inside = rb'[^"\[\]{}]++|' + _STRING
    for _ in range(levels):
        inside = rb'[^"\[\]{}]++|%s|[\[{](?:%s)*+[\]}]' % (_STRING, inside)
    return rb"(?:%s)*+" % inside


_DEEP = re.compile(_nested(_LEVELS), re.DOTALL)
_TOP = re.compile(rb'(?:[^"\[\]{},]++|%s|[\[{]%s[\]}])*+' % (_STRING, _nested(_LEVELS)), re.DOTALL)
_MANY = re.compile(rb'(?:(?:[^"\[\]{},]++|%s|[\[{]%s[\]}])++,)*+' % (_STRING, _nested(_LEVELS)), re.DOTALL)
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)  # may stop anywhere and go on from there
_OPENS, _CLOSES = re.compile(rb"[\[{]++"), re.compile(rb"[\]}]++")
_KEY = re.compile(rb"[ \t\r\n]*+(%s)[ \t\r\n]*+:[ \t\r\n]*+" % _STRING, re.DOTALL)
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_TOKEN = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_QUOTE = ord('"')
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}


class Segment(NamedTuple):
    """What stands between two separators. One over the cap keeps its head only."""

    offset: int
    raw: bytes
    size: int
    end: bytes  # the separator behind it: b"," b"]" or b"}"
    sha: str = ""


class Scanner:
    """A stream of JSON text, consumed from the front."""

    def __init__(self, stream: BinaryIO, offset: int, name: str) -> None:
        self._stream, self._name = stream, name
        self._buffer = b""
        self._at = 0  # what of the buffer is consumed
        self._before = offset  # bytes before the buffer
        self._fresh = False  # since `whole` last looked

    @property
    def offset(self) -> int:
        """Of the next byte."""
        return self._before + self._at

    def bom(self) -> None:
        """Consume a byte order mark."""
        while len(self._buffer) < len(rows.BOM) and self._fill():
            pass
        self._at += len(rows.BOM) if self._buffer.startswith(rows.BOM) else 0

    def blanks(self) -> bytes:
        """Consume blanks; the byte behind them, b"" at the end."""
        while True:
            run = _BLANKS.match(self._buffer, self._at)
            self._at = run.end() if run else self._at
            if self._at < len(self._buffer) or not self._fill():
                return self._buffer[self._at : self._at + 1]

    def key(self) -> tuple[str, int, bytes]:
        """The name of the member that comes, where its value begins, and that byte. Consumes nothing."""
        while not (found := _KEY.match(self._buffer, self._at)) or found.end() == len(self._buffer):
            if len(self._buffer) - self._at > rows.MAX_ROW_BYTES or not self._fill():
                self.refuse("has no name and value where a member of an object belongs", self.offset)
        return self._name_of(found[1], self.offset), self._before + found.end(), self._buffer[found.end() :][:1]

    def take(self, size: int) -> None:
        """Consume bytes that were looked at."""
        self._at += size

    def whole(self) -> bytes:
        """The segments that are in the buffer to their ends, commas included; once a buffer. Consumes nothing."""
        run = _MANY.match(self._buffer, self._at) if self._fresh else None
        self._fresh = False
        return self._buffer[self._at : run.end()] if run else b""

    def segment(self) -> Segment:
        """The bytes up to the next separator of this level, which is consumed too."""
        start, depth, pos, in_string = self.offset, 0, self._at, False
        long: _Long | None = None
        while True:
            run = (_IN_STRING if in_string else _DEEP if depth else _TOP).match(self._buffer, pos)
            pos = run.end() if run else pos
            sign = self._buffer[pos : pos + 1]
            if sign == b'"':  # outside, one whose end is not in the buffer yet
                in_string, pos = not in_string, pos + 1
            elif not sign or in_string:
                if pos - self._at > rows.MAX_ROW_BYTES:
                    long = long or _Long(self._buffer[self._at : self._at + rows.HEAD_BYTES])
                    long.take(self._buffer[self._at : pos])
                    self._at = pos
                pos -= self._at
                if not self._fill():
                    self.refuse("ends in the middle of a row, so it was cut short", self.offset + pos)
                pos += self._at
            elif opens := _OPENS.match(self._buffer, pos):
                depth, pos = depth + opens.end() - pos, opens.end()
                if depth > _DEEPEST:
                    at = self._before + pos - depth + _DEEPEST
                    self.refuse(f"is nested deeper than {_DEEPEST:,} levels, which no parser need follow", at)
            elif depth and (closes := _CLOSES.match(self._buffer, pos)):
                count = min(depth, closes.end() - pos)
                depth, pos = depth - count, pos + count
            else:
                return self._cut(start, pos, sign, long)

    def named(self, segment: Segment) -> tuple[str, int]:
        """The name of a member, and where in `segment.raw` its value begins. Refused where there is none."""
        found = _KEY.match(segment.raw)
        if not found:
            self.refuse("has no name and value where a member of an object belongs", segment.offset)
        return self._name_of(found[1], segment.offset), found.end()

    def member(self, segment: Segment) -> tuple[str, object]:
        """Name and value of a member, as the standard library parses it. Refused where it does not."""
        if segment.sha:
            self.refuse(f"has a member of more than {rows.MAX_ROW_BYTES:,} bytes beside its rows", segment.offset)
        try:
            text = segment.raw.decode()
        except UnicodeDecodeError as error:
            self.refuse("is not UTF-8", segment.offset + error.start, "convert it to UTF-8")
        try:
            ((name, value),) = json.loads("{" + text + "}").items()
        except json.JSONDecodeError as error:
            at = segment.offset + len(text[: max(error.pos - 1, 0)].encode())
            self.refuse(f"is not valid JSON: {error.msg}", at)
        except (ValueError, RecursionError) as error:  # no member, a number of over 4,300 digits, nesting without end
            self.refuse(f"is not JSON that every parser reads ({str(error)[:60]})", segment.offset)
        return str(name), value

    def refuse(self, what: str, at: int, next_step: str = "check how the file was written") -> NoReturn:
        raise InputError(f"{self._name}: the file {what} (byte {at:,})", next_step)

    def _name_of(self, raw: bytes, at: int) -> str:
        try:
            return str(json.loads(raw.decode()))
        except ValueError as error:
            self.refuse(f"has a name that is no JSON string: {error}", at)

    def _cut(self, start: int, pos: int, sign: bytes, long: _Long | None) -> Segment:
        raw = self._buffer[self._at : pos]
        self._at = pos + 1
        if long is None:
            return Segment(start, raw, len(raw), sign)
        long.take(raw)
        return Segment(start, long.head, long.size, sign, long.hasher.hexdigest()[:16])

    def _fill(self) -> bool:
        """Read on; at least as much as is held, so that a long row costs no more than its length."""
        left = self._buffer[self._at :]
        chunk = self._stream.read(max(len(left), _CHUNK))
        self._before += self._at
        self._at = 0
        self._buffer = left + chunk
        self._fresh = True
        return bool(chunk)


class _Long:
    """A segment over the cap: its head, size and hash."""

    def __init__(self, head: bytes) -> None:
        self.head, self.size, self.hasher = head, 0, hashlib.sha256()

    def take(self, part: bytes) -> None:
        self.size += len(part)
        self.hasher.update(part)


def unsure(raw: bytes) -> int:
    """Where a row that does not parse stops telling where it ends; -1 where it is one whole bracket for certain.

    Certain: every string ends before a control character does, and each bracket closes as it opened.
    """
    opened = bytearray()
    if raw[:1] not in (b"[", b"{"):
        return 0
    for token in _TOKEN.finditer(raw):
        sign = raw[token.start()]
        if sign in _CLOSING:
            opened.append(_CLOSING[sign])
        elif token[0] == b'"' or (sign != _QUOTE and (not opened or opened.pop() != sign)):
            return token.start()
        if not opened:
            return -1 if token.end() == len(raw) else token.end()
    return len(raw)


def name_end(raw: bytes) -> int:
    """Where the value of a member begins; 0 where there is no name."""
    found = _KEY.match(raw)
    return found.end() if found else 0
