"""Samples on their way to tokens: what to encode, and what to make of the encodings. Knows no template.

A draft has the texts that the tokenizer has yet to encode; `finish(encodings)` makes the `Rendered` of them, and
`show(encodings)` the same for people. Both may raise MaskRefused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from screen.data.sample import Sample
from screen.rendering.ladder.masks import Masked, MaskRefused, Region
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.rendering.rendered import Sequence as Tokenised
from screen.rendering.spans import Encoding, Ints, Range, Tokens, clip, cut_text, marked, runs
from screen.rendering.tokenizer import Tokenizer

ENCODED_CHARS = 1_000_000  # a chat longer than this, and than 40 characters a token of context, is not kept whole
_END_REACH = 3  # tokens after an answer among which the one that ends the turn is looked for


@dataclass(frozen=True, slots=True)
class Setup:
    """What all drafts of a run share."""

    tokenizer: Tokenizer
    context: int
    end_of_turn: bool
    document_window: int
    document_prompt: int


class Draft(Protocol):
    """See the module's docstring."""

    texts: list[str]

    def finish(self, encodings: Sequence[Encoding]) -> Rendered: ...

    def show(self, encodings: Sequence[Encoding]) -> list[tuple[str, bool]]: ...


class TextDraft:
    """One rendered text with regions: chats and plain segments."""

    def __init__(self, setup: Setup, sample: Sample, masked: Masked, prefix: Sequence[int], special: int) -> None:
        self._setup, self._sample, self._masked = setup, sample, masked
        self._prefix, self._special = prefix, special
        self._prompts = _prompts(sample)
        head, *self._rest = cut_text(masked.text, max(ENCODED_CHARS, 40 * setup.context))
        self.texts = [head]

    def finish(self, encodings: Sequence[Encoding]) -> Rendered:
        tokens = Tokens(encodings[0], self._prefix, self._setup.context)
        found = [turn for region in self._masked.regions if (turn := self._turn(region, tokens)) is not None]
        lost = tokens.total - tokens.kept + self._setup.tokenizer.count(self._rest)
        if not found:
            self._refuse(tokens, lost)
        starts = [start for _, start in found]
        turns = tuple(turn for turn, _ in found)

        def chars(i: int, t: int) -> Range:
            return clip(tokens.range_of(i), starts[t], len(turns[t].text))

        sequence = Tokenised(tokens.ids, turns, chars)
        return Rendered((sequence,), self._masked.rung, lost, self._special, self._masked.dropped)

    def show(self, encodings: Sequence[Encoding]) -> list[tuple[str, bool]]:
        tokens = Tokens(encodings[0], self._prefix, self._setup.context)
        ranges = []
        for region in self._masked.regions:
            for lo, hi in runs(self._all_positions(region, tokens)):
                end = tokens.range_of(hi)[0] if hi < tokens.kept else tokens.range_of(hi - 1)[1]
                ranges.append((tokens.range_of(lo)[0], end))
        head = self._setup.tokenizer.decode(self._prefix) if self._prefix else ""
        return ([(head, False)] if head else []) + marked(self._masked.text, sorted(ranges))

    def _turn(self, region: Region, tokens: Tokens) -> tuple[ScoredTurn, int] | None:
        """The scored turn, and the character of the whole text at which its own text starts."""
        positions = self._positions(region, tokens)
        if not len(positions):
            return None
        thinking = self._thinking(region, tokens)
        first, last = (f(int(p[i]) for p in (positions, thinking) if len(p)) for f, i in ((min, 0), (max, -1)))
        start, end = tokens.range_of(first)[0], region.end
        if tokens.range_of(last)[0] >= region.end:  # the end-of-turn token counts
            end = tokens.range_of(last)[1]
        text = self._masked.text[start : min(end, tokens.range_of(last)[1])]
        thought = clip(region.thought, start, len(text)) if region.thought else (0, 0)
        begin = first if region.begin is None else max(1, tokens.first_from(region.begin))
        return ScoredTurn(
            turn=region.turn,
            tokens=positions,
            prompt=self._prompts[region.turn],
            text=text,
            thought=thought if len(thinking) and thought[0] < thought[1] else None,
            thought_tokens=thinking,
            begin=min(begin, first),
        ), start

    def _all_positions(self, region: Region, tokens: Tokens) -> Ints:
        return np.sort(np.concatenate([self._positions(region, tokens), self._thinking(region, tokens)]))

    def _thinking(self, region: Region, tokens: Tokens) -> Ints:
        if region.thought is None:
            return np.zeros(0, dtype=np.int32)
        return np.arange(*self._within(region.thought, tokens), dtype=np.int32)

    def _within(self, span: Range, tokens: Tokens) -> Range:
        """The tokens of a character range. A first token may bring along one space that stands before the range."""
        lo, hi = tokens.inside(*span, self._setup.tokenizer.special_ids)
        if lo > 1:
            start, end = tokens.range_of(lo - 1)
            if start == span[0] - 1 and span[0] < end and self._masked.text[start] == " ":
                return lo - 1, max(lo, hi)
        return lo, hi

    def _positions(self, region: Region, tokens: Tokens) -> Ints:
        special = self._setup.tokenizer.special_ids
        found = [self._within(part, tokens) for part in region.parts]
        found = [(lo, hi) for lo, hi in found if lo < hi]
        if found and self._setup.end_of_turn and region.parts[-1][1] == region.end:
            at = found[-1][1]
            ends = range(at, min(at + _END_REACH, tokens.kept))
            stop = next((i for i in ends if int(tokens.ids[i]) in special), at)
            if stop < tokens.kept:
                found.append((stop, stop + 1))
        if len(found) == 1:
            return np.arange(*found[0], dtype=np.int32)
        return np.array(sorted({i for lo, hi in found for i in range(lo, hi)}), dtype=np.int32)

    def _refuse(self, tokens: Tokens, lost: int) -> None:
        if lost:
            raise MaskRefused(
                "too_long",
                f"no answer begins within the model's context: {tokens.kept + lost} tokens, {tokens.kept} fit",
            )
        raise MaskRefused(
            "no_answer_tokens",
            "no token belongs to an answer: answers are blank, only a thought, or the template drops them",
        )


def _prompts(sample: Sample) -> list[str]:
    """For each turn, the text of the nearest turn before it that is not scored."""
    prompts, last = [], ""
    for turn in sample.turns:
        prompts.append(last)
        if not turn.scored:
            last = turn.content
    return prompts
