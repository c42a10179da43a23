"""Character ranges of a text as tokens, and back. Knows no templates and no samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Range = tuple[int, int]
_SCANNED = 20_000


class Encoding(Protocol):
    """What is asked of a `tokenizers.Encoding`. Offsets are characters of the text."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def offsets(self) -> list[Range]: ...
    def __len__(self) -> int: ...
    def token_to_chars(self, token_index: int, /) -> Range: ...
    def char_to_token(self, char_pos: int, /) -> int | None: ...


class Tokens:
    """A text's tokens after `prefix` ids that stand for no text. Positions count the prefix; ranges are characters.

    Asks the encoding for single tokens: a list of all offsets would cost a fifth of the encoding itself.
    """

    def __init__(self, encoding: Encoding, prefix: Sequence[int], limit: int) -> None:
        self.total = len(encoding) + len(prefix)
        self.kept = min(self.total, limit)
        self._before = len(prefix)
        ids = encoding.ids[: max(0, limit - len(prefix))]
        self.ids: Ints = np.fromiter([*prefix, *ids] if prefix else ids, dtype=np.int32, count=self.kept)
        self._range: Callable[[int], Range] = encoding.token_to_chars
        # A scan in compiled code: ten times as fast as bisecting from here, until a text has thousands of tokens.
        self._holding = encoding.char_to_token if self.total < _SCANNED and self.kept == self.total else None
        if self.kept < self.total:  # the encoding holds the lost tokens too: keep only what is needed
            offsets = np.array(encoding.offsets[: len(ids)], dtype=np.int32).reshape(-1, 2)
            self._range = lambda i: (int(offsets[i, 0]), int(offsets[i, 1]))

    def range_of(self, position: int) -> Range:
        """The characters of the token at `position`; (0, 0) for the prefix."""
        return self._range(position - self._before) if position >= self._before else (0, 0)

    def first_from(self, char: int) -> int:
        """The position of the first token that starts at `char` or later, prefix aside; `kept` where none does."""
        get = self._range
        if self._holding is not None and (near := self._holding(char)) is not None:
            while near < self.total - self._before and get(near)[0] < char:
                near += 1  # it began before `char`
            return int(near) + self._before
        found = bisect_left(range(self.kept - self._before), char, key=lambda i: get(i)[0])
        return found + self._before

    def inside(self, start: int, end: int, special: Collection[int]) -> Range:
        """Positions [lo, hi) of the tokens that start in `[start, end)`.

        A special token that swallows the whitespace before it starts in the text that it ends: it does not count.
        """
        lo = max(1, self.first_from(start))
        hi = self.first_from(end)
        while hi > lo and int(self.ids[hi - 1]) in special and self.range_of(hi - 1)[1] > end:
            hi -= 1
        return lo, max(lo, hi)


def cut_text(text: str, size: int) -> list[str]:
    """The text in pieces of at most `size` characters that tokenise apart as they do together, or nearly so.

    Cuts fall after a line break or before a space in the second half of a piece; where there is neither, anywhere.
    """
    pieces = []
    at = 0
    while len(text) - at > size:
        end = at + size
        middle = at + size // 2
        line, space = text.rfind("\n", middle, end), text.rfind(" ", middle + 1, end)
        if line >= 0 and not text[line + 1].isspace():
            end = line + 1
        elif space >= 0:
            end = space
        pieces.append(text[at:end])
        at = end
    return [*pieces, text[at:]]


def runs(positions: Sequence[int] | Ints) -> list[Range]:
    """Ascending positions as half-open runs of consecutive ones."""
    found: list[Range] = []
    for position in map(int, positions):
        if found and found[-1][1] == position:
            found[-1] = (found[-1][0], position + 1)
        else:
            found.append((position, position + 1))
    return found


def marked(text: str, ranges: Sequence[Range]) -> list[tuple[str, bool]]:
    """The text cut at the ranges' ends: each piece with whether it is inside one."""
    pieces = []
    at = 0
    for start, end in ranges:
        pieces += [(text[at:start], False), (text[start:end], True)]
        at = end
    return [(piece, inside) for piece, inside in [*pieces, (text[at:], False)] if piece]


def clip(span: Range, start: int, length: int) -> Range:
    """`span` in characters from `start`, clipped to `length`."""
    return max(0, min(length, span[0] - start)), max(0, min(length, span[1] - start))
