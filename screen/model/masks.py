"""Which characters of a rendered conversation count (METHOD.md section 3): the ladder.

    generation  the template marks answers with `{% generation %}`: its own word, as in `apply_chat_template`
    sentinel    a skeleton render says what the template writes around each text; the one real render must then be
                that skeleton with the texts put back, character by character
    prefix      the render of what stands before a turn, generation prompt included, is a prefix of the real one
    refused     `no_response_mask`

Every rung works on **one** real render; other renders only say where to look in it. Scoring follows the messages of
the dataset: text such as `<|im_end|>` inside a message stays part of that message's turn, whatever the model's
tokenizer makes of it. Knows nothing of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from screen.data.sample import Sample, Turn
from screen.errors import ModelError
from screen.model.render_align import Field, Key, Spot
from screen.model.render_messages import Conversation, conversation, thought_in, turn_fields
from screen.model.render_prefix import prefix_spans, without_end
from screen.model.render_skeleton import Skeletons, Span
from screen.model.rendered import Rung
from screen.model.template import PASS_ANOTHER, Request, Template
from screen.model.template_sandbox import Rendering, TemplateCap, TemplateFailed
from screen.model.tokenizer import Tokenizer

_HOPELESS = 3  # rows on which a template is stopped before it is given up
_OPENED = re.compile(r"<(think|thinking|reasoning)>\s*$")


class Refused(Exception):
    """A row that cannot be rendered or masked: `code` and `message` of its Skip."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Stopped(Refused):
    """A row on which the template was stopped at a limit."""

    def __init__(self, cap: TemplateCap) -> None:
        super().__init__("template_failed", f"{cap}; shorten the row or pass another --template")
        self.cap = cap


class Region(NamedTuple):
    """A scored turn in the rendered text. All ranges are half-open, in characters of that text."""

    turn: int  # index into Sample.turns
    start: int
    end: int
    parts: tuple[tuple[int, int], ...]  # what is scored of [start, end): all of it, or the turn's own spans
    thought: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Masked:
    """One rendered conversation and its scored regions, in order."""

    text: str
    regions: tuple[Region, ...]
    rung: Rung


class Masker:
    """Renders chats and finds their scored regions. Pure but for its cache of skeletons."""

    def __init__(self, template: Template, tokenizer: Tokenizer) -> None:
        self._template = template
        self._skeletons = Skeletons(template)
        self._capped = self._rendered = 0
        self._ends = tuple(sorted(tokenizer.special_strings | template.control_strings, key=len, reverse=True))

    def mask(self, sample: Sample) -> Masked:
        """The rendered text and its regions. Raises Refused."""
        (made,) = self.mask_all([sample])
        if isinstance(made, Refused):
            raise made
        return made

    def mask_all(self, samples: Sequence[Sample]) -> list[Masked | Refused]:
        """One outcome a sample. Raises ModelError where the template stops at its limits on row after row."""
        talks = [conversation(sample) for sample in samples]
        outcomes = self._template.render_all([Request(t.messages, t.tools, t.kwargs) for t in talks])
        made: list[Masked | Refused] = []
        for sample, talk, outcome in zip(samples, talks, outcomes, strict=True):
            try:
                made.append(self._masked(sample, talk, outcome))
            except TemplateCap as error:
                self._stopped(sample, error)
                made.append(Stopped(error))
            except TemplateFailed as error:
                made.append(Refused("template_failed", f"the chat template refused this row: {error}"))
            except Refused as refused:
                made.append(refused)
        return made

    def _masked(self, sample: Sample, talk: Conversation, outcome: Rendering | TemplateFailed) -> Masked:
        if isinstance(outcome, TemplateFailed):
            raise outcome
        scored = [i for i, turn in enumerate(sample.turns) if turn.scored]
        found = self._ladder(sample, talk, outcome.text, outcome.spans, scored)
        self._rendered += 1
        if found is None:
            raise Refused(
                "no_response_mask",
                "the answers cannot be told apart in the rendered text; pass --template with one that marks them",
            )
        return Masked(outcome.text, *found)

    def _stopped(self, sample: Sample, error: TemplateCap) -> None:
        """Rows that a template cannot render cost a skip each; a template that can render hardly any ends the run."""
        self._capped += 1
        if self._capped >= _HOPELESS and self._capped > self._rendered:
            raise ModelError(
                f"{self._template.where} was stopped on {self._capped} rows and rendered {self._rendered};"
                f" {sample.place}: {error}",
                PASS_ANOTHER,
            ) from None

    def _ladder(
        self, sample: Sample, talk: Conversation, text: str, marked: list[tuple[int, int]], scored: list[int]
    ) -> tuple[tuple[Region, ...], Rung] | None:
        if not scored:
            return (), "sentinel"
        turns = sample.turns
        if marked and (spans := self._generation(turns, text, marked, scored)):
            return tuple(_region(turns, span, text) for span in spans), "generation"
        if (spans := self._skeletons.spans(turns, talk, text, scored)) is not None:
            return tuple(_region(turns, span, text) for span in spans), "sentinel"
        if any(turns[i].spans is not None for i in scored):
            return None  # ranges of the content cannot be placed without finding the content
        if (spans := prefix_spans(self._template, talk, text, scored, self._ends)) is not None:
            return tuple(_region(turns, span, text) for span in spans), "prefix"
        return None

    def _generation(
        self, turns: Sequence[Turn], text: str, marked: list[tuple[int, int]], scored: list[int]
    ) -> list[Span] | None:
        """The template's own marks, if there is one an assistant turn and each holds its turn's answer."""
        answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        if len(answers) != len(marked) or any(turns[i].spans is not None for i in scored):
            return None
        if not set(scored) <= set(answers):
            return None
        spans = []
        for i, (start, end) in zip(answers, marked, strict=True):
            answer = next((f.text.strip() for f in turn_fields(i, turns[i]) if f.key[1] == "c"), "")
            at = text.find(answer, start, end)
            if at < 0:
                return None
            if i in scored:
                spans.append(Span(i, start, without_end(text, start, end, self._ends, at + len(answer))))
        return spans


def _region(turns: Sequence[Turn], span: Span, text: str) -> Region:
    turn = turns[span.turn]
    parts: tuple[tuple[int, int], ...] = ((span.start, span.end),)
    if turn.spans is not None:
        fields = {f.key: f for f in turn_fields(span.turn, turn)}
        parts = tuple(_placed(turn.spans, fields, span.spots))
    return Region(span.turn, span.start, span.end, parts, _thought(span, text))


def _placed(
    wanted: Sequence[tuple[int, int]], fields: Mapping[Key, Field], spots: Mapping[Key, Spot]
) -> list[tuple[int, int]]:
    """Ranges of a turn's content as ranges of the rendered text, where the template kept those characters."""
    parts = []
    for key, spot in spots.items():
        field = fields[key]
        if field.offset < 0 or spot.shift < 0:
            continue
        first = field.offset + spot.shift  # the content's character that stands at spot.start
        for a, b in wanted:
            lo = max(spot.start, spot.start + a - first)
            hi = min(spot.end, spot.start + b - first)
            if lo < hi:
                parts.append((lo, hi))
    return sorted(parts)


def _thought(span: Span, text: str) -> tuple[int, int] | None:
    """The thought with its tags: written by the dataset, or by the template around the reasoning it was given."""
    if text.find("</", span.start, span.end) < 0 and all(kind == "c" for _, kind in span.spots):
        return None
    opened = _OPENED.search(text, max(0, span.start - 64), span.start) is not None
    if found := thought_in(text[span.start : span.end], opened):
        return span.start + found[0], span.start + found[1]
    for (_, kind), spot in span.spots.items():
        if kind in "rt" and span.start <= spot.start:
            return spot.start, spot.end
    return None
