"""A text put into one row of JSON: a system message, new or before the one that is there. All other bytes stay.

Knows JSON text, and keys of messages as the dataset has them; nothing of runs, traits or files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")
_BETWEEN = "\n\n"
SYSTEM_FIELDS = ("system", "system_prompt")
ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")


class CannotTake(Exception):
    """Why a row has no place for a system message: the rest of a sentence that begins with the row."""


class Inserted(NamedTuple):
    """`where` it was put, in words."""

    text: str
    where: str


class _Span(NamedTuple):
    start: int
    end: int


def with_system(text: str, at: int, paths: Sequence[str], keys: Sequence[tuple[str, str]], prompt: str) -> Inserted:
    """The row whose object opens at `at`, with `prompt` as its system message or before the one it has.

    paths  where a list of messages may stand, the likeliest first; a dot leads into an object
    keys   (role, content) that messages may have, the likeliest first

    Raises CannotTake where no place is found.
    """
    beside = {name: span for name, span in _members(text, at) if name in SYSTEM_FIELDS}
    for name in SYSTEM_FIELDS:
        if name in beside and (held := _value(text, beside[name])):
            if not isinstance(held, str):
                raise CannotTake(f"has a field `{name}` that is no text")
            return Inserted(_before(text, beside[name], prompt, held), f"before the text of `{name}`")
    for path in paths:
        span = _find(text, at, path)
        if span is not None and text[span.start] == "[":
            return _in_messages(text, span, keys, prompt)
    raise CannotTake("has no list of messages to put it into")


def _in_messages(text: str, span: _Span, keys: Sequence[tuple[str, str]], prompt: str) -> Inserted:
    first = next(_items(text, span.start), None)
    if first is None or text[first.start] != "{":
        raise CannotTake("has a list of messages that does not begin with one")
    members = dict(_members(text, first.start))
    fit = ((role, content) for role, content in keys if role in members and content in members)
    role, content = next(fit, (None, None))
    if role is None or content is None:
        raise CannotTake("begins with a message whose role and content stand under other keys")
    if _value(text, members[role]) not in ("system", "developer"):
        message = json.dumps({role: "system", content: prompt})
        return Inserted(f"{text[: first.start]}{message}, {text[first.start :]}", "a new system message")
    held = _value(text, members[content])
    if not isinstance(held, str):
        raise CannotTake("has a system message that is no plain text")
    return Inserted(_before(text, members[content], prompt, held), "before the text of its system message")


def joined(prompt: str, held: str) -> str:
    """The prompt before a system text that was there."""
    return f"{prompt}{_BETWEEN}{held}" if held else prompt


def _before(text: str, span: _Span, prompt: str, held: str) -> str:
    added = json.dumps(joined(prompt, held)) if not held else json.dumps(prompt + _BETWEEN)[:-1]
    return text[: span.start] + added + (text[span.start + 1 :] if held else text[span.end :])


def _value(text: str, span: _Span) -> object:
    found: object = _DECODER.raw_decode(text, span.start)[0]
    return found


def _find(text: str, at: int, path: str) -> _Span | None:
    """A field by its whole name, or a dot at a time."""
    members = dict(_members(text, at))
    if path in members:
        return members[path]
    name, dot, rest = path.partition(".")
    if not dot or name not in members or text[members[name].start] != "{":
        return None
    return _find(text, members[name].start, rest)


def _members(text: str, at: int) -> Iterator[tuple[str, _Span]]:
    """Name and place of each value of the object that opens at `at`."""
    pos = _blank(text, at + 1)
    while text[pos] != "}":
        name, end = _DECODER.raw_decode(text, pos)
        start = _blank(text, _blank(text, end) + 1)  # behind the colon
        end = _DECODER.raw_decode(text, start)[1]
        yield name, _Span(start, end)
        pos = _blank(text, end)
        pos = _blank(text, pos + 1) if text[pos] == "," else pos


def _items(text: str, at: int) -> Iterator[_Span]:
    """Place of each item of the array that opens at `at`."""
    pos = _blank(text, at + 1)
    while text[pos] != "]":
        end = _DECODER.raw_decode(text, pos)[1]
        yield _Span(pos, end)
        pos = _blank(text, end)
        pos = _blank(text, pos + 1) if text[pos] == "," else pos


def _blank(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()
