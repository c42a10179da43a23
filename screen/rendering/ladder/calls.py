"""Where a skeleton writes a turn's tool calls. Knows no real text and no tokens.

A call is scattered over markup of the template's own, so it is found by two more skeletons: one with other arguments,
which differs from the first exactly where the arguments stand, and one with a plain answer in place of the calls, which
shares the turn's header and its end. Between the two lies the call. It counts as the template writes it, up to the
control tokens nearest to its arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from screen.data.sample import Turn
from screen.foreign import JsonObject
from screen.rendering.ladder.align import Key, Skeleton, common_prefix, sentinel
from screen.rendering.ladder.frame import Frames
from screen.rendering.messages import Conversation
from screen.rendering.templates.chat_template import Message

_MARK = "zq"
_CONTROL = re.compile(r"<[|｜][^<>\s]{1,64}>|<[^<>\s|｜]{1,64}[|｜]>|\[/?[A-Z][A-Z_]{2,}\]")

_OPEN = re.compile(r"<[^<>\s]*\Z")
_CLOSED = re.compile(r"\s*</[^<>\s]+>\s*")
_REST = re.compile(r"[^<>\s]*>")


class Calls(NamedTuple):
    """`ranges[i]`: characters of the skeleton that hold turn i's calls; `lost`: turns with a call that it left out."""

    ranges: Mapping[int, tuple[int, int]]
    lost: tuple[int, ...]


def find_calls(
    turns: Sequence[Turn],
    talk: Conversation,
    messages: Sequence[Message],
    skeleton: Skeleton,
    frames: Frames,
    base: str,
    controls: frozenset[str],
) -> Calls | None:
    """The calls of every turn that has some; None where they cannot be told from what stands around them."""
    calling = [i for i, turn in enumerate(turns) if turn.tool_calls and turn.role == "assistant"]
    if not calling:
        return Calls({}, ())
    keys = set(skeleton.keys)
    others = [
        m | {"tool_calls": [_other(c) for c in m["tool_calls"]]} if i in calling else m for i, m in enumerate(messages)
    ]
    altered = frames.skeleton(others, talk, base, keys)
    if altered is None or altered.keys != skeleton.keys:
        return None
    cores = [(k, *_core(a, b)) for k, (a, b) in enumerate(zip(skeleton.pieces, altered.pieces, strict=True)) if a != b]
    owners = _owners(calling, [k for k, _, _ in cores], skeleton.keys)
    if owners is None:
        return None
    starts = _starts(skeleton)
    ranges = {}
    for turn, (k, first, end) in zip(owners, cores, strict=True):
        answers = _answers(messages, talk, turn, frames, base, keys | {(turn, "c")})
        around = next((found for one in answers if (found := _around(turn, k, skeleton, one))), None)
        if around is None:
            return None
        low, high = _within(skeleton.pieces[k], first, end, *around, controls)
        ranges[turn] = (starts[k] + low, starts[k] + high)
    return Calls(ranges, tuple(i for i in calling if not _whole(turns[i], i, ranges, skeleton.text)))


def _whole(turn: Turn, i: int, ranges: Mapping[int, tuple[int, int]], text: str) -> bool:
    """Whether every call of the turn is there: a template may write the first alone."""
    if i not in ranges:
        return False
    written = text[slice(*ranges[i])]
    for call in turn.tool_calls:
        texts = _texts(call.get("function", call))
        if texts and not any(form in written for t in texts for form in (t, json.dumps(t)[1:-1])):
            return False
    return True


def _texts(value: object) -> list[str]:
    """The strings among a call's arguments, without their names."""
    if isinstance(value, Mapping):
        arguments = value.get("arguments", value)
        parts = arguments.values() if isinstance(arguments, Mapping) else [arguments]
        return [text for part in parts for text in _texts(part)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) and not value.startswith(("{", "[")) else []


def _answers(
    messages: Sequence[Message], talk: Conversation, turn: int, frames: Frames, base: str, wanted: Set[Key]
) -> Iterator[Skeleton | None]:
    """Skeletons with a plain answer in the turn's place, the likest first: a template may want calls before a tool's
    result, and may write a thought in the last turn only. The calls of other turns stay as they are."""
    plain = {key: value for key, value in messages[turn].items() if key != "tool_calls"}
    plain["content"] = sentinel(base, (turn, "c"))
    before = messages[:turn]
    yield frames.skeleton([*before, plain, *messages[turn + 1 :]], talk, base, wanted)
    yield frames.skeleton([*before, plain], talk, base, wanted)
    yield frames.skeleton([*before, {key: plain[key] for key in ("role", "content")}], talk, base, wanted)


def _starts(skeleton: Skeleton) -> list[int]:
    """Where each piece begins in the skeleton's text."""
    return [0, *(skeleton.spans[key][1] for key in skeleton.keys)]


def _core(a: str, b: str) -> tuple[int, int]:
    """The characters of `a` in which it differs from `b`."""
    start = common_prefix(a, b)
    most = min(len(a), len(b)) - start
    same = common_prefix(a[::-1], b[::-1])
    return start, len(a) - min(same, most)


def _owners(calling: Sequence[int], places: Sequence[int], keys: Sequence[Key]) -> list[int] | None:
    """The calling turn that each differing piece belongs to; None where that is not certain."""
    owners: list[int] = []
    for k in places:
        low = keys[k - 1][0] if k else 0
        high = keys[k][0] if k < len(keys) else calling[-1]
        inside = [i for i in calling if low <= i <= high and i not in owners]
        if len(inside) != 1:
            return None
        owners += inside
    return owners


def _around(turn: int, k: int, skeleton: Skeleton, answered: Skeleton | None) -> tuple[str, str] | None:
    """What a plain answer in the turn's place has before and after it in the piece: (header, end of turn)."""
    if answered is None or (turn, "c") not in answered.keys:
        return None
    at = answered.keys.index((turn, "c"))
    before, ending = skeleton.keys[:k], answered.pieces[at + 1]
    if (turn, "c") in before:  # the calls follow the turn's own words
        return "", ending
    if answered.keys[:at] == before:
        return answered.pieces[at], ending
    if before and before[-1][0] == turn and answered.keys[:at] == before[:-1]:  # a thought that only a call brings out
        closed = _CLOSED.match(skeleton.pieces[k])
        return closed[0] if closed else "", ending
    return None


def _within(piece: str, first: int, end: int, header: str, ending: str, controls: frozenset[str]) -> tuple[int, int]:
    """`[first, end)` of the piece, widened to the header and the end of turn or to the control tokens nearest to it."""
    low = min(first, common_prefix(piece, header))
    high = max(end, len(piece) - common_prefix(piece[::-1], ending[::-1]))
    if (close := ending.strip()) and (at := piece.find(close, end)) >= 0:
        high = min(high, at)
    for token in _tokens(piece, controls):
        if token.end() <= first and token.end() > low:
            low = token.end()
        elif token.start() >= end and token.start() < high:
            high = token.start()
    if half := _OPEN.search(piece[:low]):  # of a tag: its first characters stand in the header too
        low = half.start()
    if _OPEN.search(piece[:high]) and (half := _REST.match(piece, high)):
        high = half.end()
    while low < first and piece[low].isspace() and header:
        low += 1
    return low, max(end, len(piece[:high].rstrip()))


def _tokens(piece: str, controls: frozenset[str]) -> list[re.Match[str]]:
    exact = "|".join(re.escape(c) for c in sorted(controls, key=len, reverse=True))
    found = list(_CONTROL.finditer(piece))
    return found + list(re.finditer(exact, piece)) if exact else found


def _other(call: JsonObject) -> dict[str, object]:
    """The call with other arguments; with another name where it has none."""
    made = dict(call)
    inner = dict(made["function"]) if isinstance(made.get("function"), Mapping) else made
    if inner.get("arguments"):
        inner["arguments"] = _changed(inner["arguments"])
    elif isinstance(inner.get("name"), str):
        inner["name"] += _MARK
    return made | {"function": inner} if inner is not made else made


def _changed(value: Any) -> Any:
    if isinstance(value, str):
        try:
            read = json.loads(value)
            return json.dumps(_changed(read)) if isinstance(read, (dict, list)) else value + _MARK
        except (ValueError, RecursionError):  # arguments that nest without end are a text like any other
            return value + _MARK
    if isinstance(value, Mapping):
        return {key + _MARK: _changed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_changed(item) for item in value]
    return _MARK if value is None or isinstance(value, bool) else value + 1
