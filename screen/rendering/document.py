"""Running text as windows of tokens. Knows no template and no messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from screen.data.sample import Sample
from screen.rendering.drafts import Setup
from screen.rendering.ladder.masks import MaskRefused
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.rendering.rendered import Sequence as Tokenised
from screen.rendering.spans import Encoding, Ints, Range, clip, cut_text, marked


class DocumentDraft:
    """Running text in windows. Every token after the first window's prompt is scored exactly once.

    The tokens after the first prompt are dealt evenly to as few windows as fit; each window is its share and the
    prompt's worth of tokens that stand before it. So neighbours overlap by a prompt, and no window is a stub.
    """

    def __init__(self, setup: Setup, sample: Sample, prefix: Sequence[int], special: int) -> None:
        self._setup, self._prefix, self._special = setup, prefix, special
        self._text = "".join(turn.content for turn in sample.turns)
        self.texts = cut_text(self._text, 100_000)

    def finish(self, encodings: Sequence[Encoding]) -> Rendered:
        ids, starts, ends = self._joined(encodings)
        windows = self._windows(len(ids))
        if not windows:
            raise MaskRefused("no_answer_tokens", "the document has fewer than two tokens: nothing is left to score")
        made = [self._sequence(number, window, ids, starts, ends) for number, window in enumerate(windows)]
        return Rendered(tuple(made), "document", 0, self._special)

    def show(self, encodings: Sequence[Encoding]) -> list[tuple[str, bool]]:
        ids, starts, _ = self._joined(encodings)
        windows = self._windows(len(ids))
        scored = [(int(starts[windows[0][1]]), len(self._text))] if windows else []
        return marked(self._text, scored)

    def _windows(self, total: int) -> list[tuple[int, int, int]]:
        """(start, first scored, end) of each window, in tokens of the document."""
        room = min(self._setup.document_window, self._setup.context - len(self._prefix))
        prompt = min(self._setup.document_prompt, total // 2, room // 2)
        if prompt < 1:  # as of fewer than two tokens
            return []
        share = room - prompt
        count = -(-(total - prompt) // share)
        edges = [prompt + (total - prompt) * k // count for k in range(count + 1)]
        return [(a - prompt, a, b) for a, b in pairwise(edges)]

    def _joined(self, encodings: Sequence[Encoding]) -> tuple[Ints, Ints, Ints]:
        ids = [np.array(e.ids, dtype=np.int32) for e in encodings]
        offsets = []
        at = 0
        for text, encoding in zip(self.texts, encodings, strict=True):
            offsets.append(np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2) + np.int32(at))
            at += len(text)
        spans = np.concatenate(offsets)
        return np.concatenate(ids), spans[:, 0], spans[:, 1]

    def _sequence(self, number: int, window: tuple[int, int, int], ids: Ints, starts: Ints, ends: Ints) -> Tokenised:
        first, answer, end = window
        before = len(self._prefix)
        a, b = int(starts[answer]), int(ends[end - 1])
        positions = np.arange(answer - first + before, end - first + before, dtype=np.int32)
        turn = ScoredTurn(number, positions, self._text[int(starts[first]) : a], self._text[a:b])
        own_starts, own_ends = starts[first:end].copy(), ends[first:end].copy()

        def chars(i: int, _: int) -> Range:
            i -= before
            return clip((int(own_starts[i]), int(own_ends[i])), a, b - a) if i >= 0 else (0, 0)

        own = np.concatenate([np.array(self._prefix, dtype=np.int32), ids[first:end]])
        return Tokenised(own, (turn,), chars)
