"""Finds known pieces of text inside a rendered conversation. Pure strings: knows no templates, no samples.

A *skeleton* is a conversation rendered with a sentinel in place of each text field. It says what the template wrote
around the fields; `align` then proves, character by character, that the real text is that skeleton with the fields
put back, and says where each of them stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BASE = "zqSentinel"
_USED = re.compile(BASE + r"(?:(\d{1,9})q)?")
Key = tuple[int, str]  # message index, kind: "c" content, "t" thought inside content, "r" reasoning apart


class Field(NamedTuple):
    """A text that a message brings: `text` stands at `offset` of the message's content (-1: not in content)."""

    key: Key
    text: str
    offset: int = 0


class Spot(NamedTuple):
    """Where a field stands in the real text: `[start, end)`, its first character being `text[shift]`.

    `shift` is -1 where the template rewrote the field (escaped it), so that its characters do not map one to one.
    """

    start: int
    end: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Skeleton:
    """`pieces[i]` stands before field `keys[i]`; the last piece ends the text. `spans[key]` are places in `text`."""

    text: str
    pieces: tuple[str, ...]
    keys: tuple[Key, ...]
    spans: dict[Key, tuple[int, int]]

    def woven(self, texts: Sequence[str]) -> str:
        """The skeleton's text with `texts` in place of its fields."""
        parts = [""] * (2 * len(texts) + 1)
        parts[::2] = self.pieces
        parts[1::2] = texts
        return "".join(parts)


def sentinel(base: str, key: Key) -> str:
    """The stand-in for a field: letters and digits only, nothing that a trim could touch, no prefix of another."""
    return f"{base}{key[1]}{key[0]}x"


def unused_base(texts: Sequence[str]) -> str:
    """A sentinel base that occurs in none of the texts; the same texts give the same base."""
    used = {match[1] for text in texts for match in _USED.finditer(text)}
    if not used:
        return BASE
    return next(base for n in range(1, len(used) + 2) if (base := f"{BASE}{n}q") and str(n) not in used)


def read_skeleton(text: str, base: str) -> Skeleton | None:
    """The skeleton in a rendered text; None where a field was rendered twice."""
    pieces: list[str] = []
    spans: dict[Key, tuple[int, int]] = {}
    end = 0
    for match in re.finditer(re.escape(base) + r"([ctr])(\d+)x", text):
        key = (int(match[2]), match[1])
        if key in spans:
            return None
        pieces.append(text[end : match.start()])
        spans[key] = match.span()
        end = match.end()
    return Skeleton(text, (*pieces, text[end:]), tuple(spans), spans)


def common_prefix(a: str, b: str) -> int:
    """The number of characters that both begin with."""
    same, differs = 0, min(len(a), len(b)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if a[:middle] == b[:middle]:
            same = middle
        else:
            differs = middle
    return same


def align(skeleton: Skeleton, fields: Mapping[Key, Field], real: str) -> dict[Key, Spot] | None:
    """Where each field of the skeleton stands in `real`; None unless the two agree on every character."""
    texts = [fields[key].text for key in skeleton.keys]
    if skeleton.woven(texts) == real:
        return _spots(skeleton, texts, [0] * len(texts))
    trimmed = [text.strip() for text in texts]
    if skeleton.woven(trimmed) == real:
        return _spots(skeleton, trimmed, [len(text) - len(text.lstrip()) for text in texts])
    return _greedy(skeleton, texts, real)


def _spots(skeleton: Skeleton, texts: Sequence[str], shifts: Sequence[int]) -> dict[Key, Spot]:
    at = 0
    spots: dict[Key, Spot] = {}
    for key, piece, text, shift in zip(skeleton.keys, skeleton.pieces, texts, shifts, strict=False):
        start = at + len(piece)
        at = start + len(text)
        spots[key] = Spot(start, at, shift)
    return spots


def _greedy(skeleton: Skeleton, texts: Sequence[str], real: str) -> dict[Key, Spot] | None:
    """Each field in the first form that lets the text after it follow: a template may trim some and not others."""
    at = 0
    spots: dict[Key, Spot] = {}
    if not real.startswith(skeleton.pieces[0]):
        return None
    for number, (key, text) in enumerate(zip(skeleton.keys, texts, strict=True)):
        at += len(skeleton.pieces[number])
        after = skeleton.pieces[number + 1]
        for form, shift in _forms(text):
            end = at + len(form)
            if real.startswith(form, at) and real.startswith(after, end):
                spots[key] = Spot(at, end, shift)
                at = end
                break
        else:
            return None
    return spots if at + len(skeleton.pieces[-1]) == len(real) else None


def _forms(text: str) -> Iterator[tuple[str, int]]:
    seen: set[str] = set()
    for variant in _VARIANTS:
        form, shift = variant(text)
        if form not in seen:
            seen.add(form)
            yield form, shift


def _trim(form: Callable[[str], str], left: bool) -> Callable[[str], tuple[str, int]]:
    def apply(text: str) -> tuple[str, int]:
        trimmed = form(text)
        # Where the left end was trimmed, what is missing besides the right trim stood there.
        return trimmed, (text.find(trimmed) if left and trimmed else 0)

    return apply


_Variant = Callable[[str], tuple[str, int]]
_VARIANTS: tuple[_Variant, ...] = (
    _trim(str, False),
    _trim(str.strip, True),
    _trim(str.rstrip, False),
    _trim(str.lstrip, True),
    _trim(lambda text: text.strip("\n"), True),
    _trim(lambda text: text.rstrip("\n"), False),
    _trim(lambda text: text.lstrip("\n"), True),
    _trim(lambda text: text.lstrip("\n").rstrip(), True),
    _trim(lambda text: text.lstrip().rstrip("\n"), True),
    lambda text: (json.dumps(text, ensure_ascii=False)[1:-1], -1),
    lambda text: (json.dumps(text)[1:-1], -1),
)
