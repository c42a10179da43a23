"""Rows that the dataset tokenised itself. Knows no text but what the ids decode to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from screen.data.sample import Sample
from screen.rendering.drafts import Setup
from screen.rendering.ladder.masks import MaskRefused
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.rendering.rendered import Sequence as Tokenised
from screen.rendering.spans import Encoding, Range, clip, runs


class GivenDraft:
    """Token ids and mask as the dataset gives them. Each run of scored tokens is a turn."""

    texts: list[str]

    def __init__(self, setup: Setup, sample: Sample) -> None:
        self.texts = []
        self._setup, self._sample = setup, sample

    def finish(self, encodings: Sequence[Encoding]) -> Rendered:
        ids, mask, tokenizer = self._sample.token_ids, self._sample.token_mask, self._setup.tokenizer
        bad = next((i for i in ids if not 0 <= i < tokenizer.vocab_size), None)
        if bad is not None:
            raise MaskRefused(
                "bad_token_id",
                f"token id {bad} is not in the tokenizer's vocabulary of {tokenizer.vocab_size}: "
                "the row was tokenised for another model",
            )
        if len(mask) != len(ids):
            raise MaskRefused("no_response_mask", f"{len(ids)} token ids have a mask of {len(mask)}")
        kept = min(len(ids), self._setup.context)
        found = self._runs(kept)
        if not found and any(mask[1:]):
            raise MaskRefused(
                "too_long", f"no scored token within the model's context: {kept} of {len(ids)} tokens fit"
            )
        if not found:
            raise MaskRefused("no_answer_tokens", "the row's mask leaves no token to score")
        turns = tuple(self._turn(number, run, found) for number, run in enumerate(found))

        def chars(i: int, t: int) -> Range:
            start = found[t][0]
            a, b = (len(tokenizer.decode(ids[start:stop])) if stop > start else 0 for stop in (i, i + 1))
            return clip((a, b), 0, len(turns[t].text))

        sequence = Tokenised(np.array(ids[:kept], dtype=np.int32), turns, chars)
        return Rendered((sequence,), "tokens", len(ids) - kept, 0)

    def show(self, encodings: Sequence[Encoding]) -> list[tuple[str, bool]]:
        decode, ids = self._setup.tokenizer.decode, self._sample.token_ids
        pieces = []
        at = 0
        for lo, hi in self._runs(min(len(ids), self._setup.context)):
            pieces += [(decode(ids[at:lo]), False), (decode(ids[lo:hi]), True)]
            at = hi
        return [(text, scored) for text, scored in [*pieces, (decode(ids[at:]), False)] if text]

    def _runs(self, kept: int) -> list[Range]:
        mask = self._sample.token_mask
        return runs([i for i in range(1, min(kept, len(mask))) if mask[i]])

    def _turn(self, number: int, run: Range, found: Sequence[Range]) -> ScoredTurn:
        lo, hi = run
        decode, ids = self._setup.tokenizer.decode, self._sample.token_ids
        before = found[number - 1][1] if number else 0
        return ScoredTurn(number, np.arange(lo, hi, dtype=np.int32), decode(ids[before:lo]), decode(ids[lo:hi]))
