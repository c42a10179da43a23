"""Texts that a trainer tokenises one by one and lays end to end: no token reaches over a border."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from screen.data.sample import Sample
from screen.rendering.drafts import Setup, TextDraft
from screen.rendering.ladder.masks import Masked
from screen.rendering.rendered import Rendered
from screen.rendering.spans import Encoding


class PiecesDraft(TextDraft):
    """A plain sample whose turns are encoded apart."""

    def __init__(self, setup: Setup, sample: Sample, masked: Masked, prefix: Sequence[int], special: int) -> None:
        super().__init__(setup, sample, masked, prefix, special)
        self._rest = []
        self.texts = [turn.content for turn in sample.turns if turn.content]

    def finish(self, encodings: Sequence[Encoding]) -> Rendered:
        return super().finish([_Joined(encodings, self.texts)])

    def show(self, encodings: Sequence[Encoding]) -> list[tuple[str, bool]]:
        return super().show([_Joined(encodings, self.texts)])


class _Joined:
    """Several encodings as one of the whole text: as much of an encoding as `Tokens` asks for."""

    def __init__(self, encodings: Sequence[Encoding], texts: Sequence[str]) -> None:
        self._parts = encodings
        self._tokens = list(accumulate((len(e) for e in encodings), initial=0))
        self._chars = list(accumulate(map(len, texts), initial=0))
        self.ids = [i for encoding in encodings for i in encoding.ids]

    def __len__(self) -> int:
        return self._tokens[-1]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        return [self.token_to_chars(i) for i in range(len(self))]

    def token_to_chars(self, i: int) -> tuple[int, int]:
        part = bisect_right(self._tokens, i) - 1
        a, b = self._parts[part].offsets[i - self._tokens[part]]
        return a + self._chars[part], b + self._chars[part]

    def char_to_token(self, char: int) -> int | None:
        part = min(bisect_right(self._chars, char) - 1, len(self._parts) - 1)
        found = self._parts[part].char_to_token(char - self._chars[part])
        return None if found is None else found + self._tokens[part]
