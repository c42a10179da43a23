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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from screen.data.sample import Sample, Turn
from screen.errors import ModelError
from screen.rendering.ladder.align import Field, Key, Spot
from screen.rendering.ladder.prefix import prefix_bounds
from screen.rendering.ladder.skeleton import Skeletons, Span
from screen.rendering.messages import Conversation, conversation, turn_fields
from screen.rendering.rendered import Rung
from screen.rendering.templates.chat_template import PASS_ANOTHER, RenderRequest, Template
from screen.rendering.templates.sandbox import Rendering, TemplateCap, TemplateFailed
from screen.rendering.thinking import thought_marks
from screen.rendering.tokenizer import Tokenizer

_HOPELESS = 3  # rows on which a template is stopped before it is given up
_OPENED = re.compile(r"<(think|thinking|reasoning)>\s*$")


class MaskRefused(Exception):
    """A row that cannot be rendered or masked: `code` and `message` of its Skip."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Stopped(MaskRefused):
    """A row on which the template was stopped at a limit."""

    def __init__(self, cap: TemplateCap) -> None:
        super().__init__("template_failed", f"{cap}; shorten the row or pass another --template")
        self.cap = cap


class Region(NamedTuple):
    """A scored turn in the rendered text. All ranges are half-open, in characters of that text."""

    turn: int  # index into Sample.turns
    start: int  # of the thought or the answer, whichever is first
    end: int
    parts: tuple[tuple[int, int], ...]  # what is scored as answer; none where the turn is only a thought
    thought: tuple[int, int] | None = None  # the thought's own text, without its tags
    begin: int | None = None  # where the prompt ends, if not at `start`: before an opening tag that the data brought


@dataclass(frozen=True, slots=True)
class Masked:
    """One rendered conversation and its scored regions, in order."""

    text: str
    regions: tuple[Region, ...]
    rung: Rung
    dropped: Mapping[str, int] = field(default_factory=dict)  # what the template left out (`Rendered.dropped`)


class Masker:
    """Renders chats and finds their scored regions. Pure but for its cache of skeletons."""

    def __init__(self, template: Template, tokenizer: Tokenizer) -> None:
        self._template = template
        self._skeletons = Skeletons(template, tokenizer.control_strings)
        self._capped = self._rendered = 0

    @cached_property
    def _writes_thoughts(self) -> bool:
        return thought_marks(self._template) is not None

    def mask(self, sample: Sample) -> Masked:
        """The rendered text and its regions. Raises MaskRefused."""
        (made,) = self.mask_all([sample])
        if isinstance(made, MaskRefused):
            raise made
        return made

    def mask_all(self, samples: Sequence[Sample]) -> list[Masked | MaskRefused]:
        """One outcome a sample. Raises ModelError where the template stops at its limits on row after row."""
        talks = [conversation(sample) for sample in samples]
        outcomes = self._template.render_all([RenderRequest(t.messages, t.tools, t.kwargs) for t in talks])
        made: list[Masked | MaskRefused] = []
        for sample, talk, outcome in zip(samples, talks, outcomes, strict=True):
            try:
                made.append(self._masked(sample, talk, outcome))
            except TemplateCap as error:
                self._stopped(sample, error)
                made.append(Stopped(error))
            except TemplateFailed as error:
                made.append(MaskRefused("template_failed", f"the chat template refused this row: {error}"))
            except MaskRefused as refused:
                made.append(refused)
        return made

    def _masked(self, sample: Sample, talk: Conversation, outcome: Rendering | TemplateFailed) -> Masked:
        if isinstance(outcome, TemplateFailed):
            raise outcome
        _ = self._writes_thoughts  # a template that its limits stop here is told with the first row
        scored = [i for i, turn in enumerate(sample.turns) if turn.scored]
        found = self._ladder(sample, talk, outcome.text, outcome.spans, scored)
        self._rendered += 1
        if found is None:
            raise MaskRefused(
                "no_response_mask",
                "the answers cannot be told apart in the rendered text; pass --template with one that marks them",
            )
        spans, dropped, rung = found
        if sample.tools and not any(name in outcome.text for name in _names(sample)):
            dropped = {**dropped, "tools": len(sample.tools)}
        regions = tuple(self._region(sample.turns, span, outcome.text) for span in spans)
        return Masked(outcome.text, regions, rung, dropped)

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
    ) -> tuple[list[Span], dict[str, int], Rung] | None:
        turns = sample.turns
        found = self._skeletons.find(turns, talk, text, scored)
        answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        if not marked or len(marked) != len(answers) or not set(scored) <= set(answers):
            marked = []
        marks = dict(zip(answers, marked, strict=True)) if marked else {}
        if found is not None:
            spans = [_inside(span, marks[span.turn]) for span in found.spans] if marks else found.spans
            return spans, found.dropped, "generation" if marks else "sentinel"
        if any(turns[i].spans is not None for i in scored):
            return None  # ranges of the content cannot be placed without finding the content
        if marks and (placed := _words([(i, marks[i]) for i in scored], turns, text)) is not None:
            return placed, _lost(turns, text), "generation"
        bounds = prefix_bounds(self._template, talk, text, scored)
        if bounds is not None and (placed := _words(bounds, turns, text)) is not None:
            return placed, _lost(turns, text), "prefix"
        return None

    def _region(self, turns: Sequence[Turn], span: Span, text: str) -> Region:
        turn, parts, thought = turns[span.turn], span.parts, span.thought
        if turn.spans is not None:
            fields = {f.key: f for strict in (False, True) for f in turn_fields(span.turn, turn, strict)}
            kept = _placed(turn.spans, fields, span.spots)
            parts = tuple(part for kind, part in kept if kind == "c")
            thought = next((part for kind, part in kept if kind == "t"), None)
        ranges = [*parts, *([thought] if thought else [])]
        start = min((a for a, _ in ranges), default=0)
        begin = None
        if (
            thought
            and start == thought[0]
            and not self._writes_thoughts
            and (tag := _OPENED.search(text, max(0, start - 64), start))
        ):
            begin = tag.start()
        return Region(span.turn, start, max((b for _, b in ranges), default=0), parts, thought, begin)


def _inside(span: Span, mark: tuple[int, int]) -> Span:
    """The span within what the template marks."""
    cut = [(max(a, mark[0]), min(b, mark[1])) for a, b in (*span.parts, *([span.thought] if span.thought else []))]
    parts = tuple((a, b) for a, b in cut[: len(span.parts)] if a < b)
    thought = next(((a, b) for a, b in cut[len(span.parts) :] if a < b), None)
    return span._replace(parts=parts, thought=thought)


def _words(bounds: Sequence[tuple[int, tuple[int, int]]], turns: Sequence[Turn], text: str) -> list[Span] | None:
    """Each turn's own words within its bounds; None where they do not stand there, once, as the message has them."""
    spans = []
    for i, (start, end) in bounds:
        if turns[i].tool_calls:
            return None
        fields = {f.key[1]: f.text.strip() for f in turn_fields(i, turns[i])}
        places = {kind: text.find(words, start, end) for kind, words in fields.items() if words}
        if any(at < 0 or text.find(fields[kind], at + 1, end) >= 0 for kind, at in places.items()):
            return None
        ranges = {kind: (at, at + len(fields[kind])) for kind, at in places.items()}
        thought = next((place for kind, place in ranges.items() if kind != "c"), None)
        if ranges:
            spans.append(Span(i, (ranges["c"],) if "c" in ranges else (), thought))
    return spans


def _lost(turns: Sequence[Turn], text: str) -> dict[str, int]:
    """What of the messages the text does not hold, where no skeleton tells."""
    lost = Counter(
        "reasoning" if f.key[1] != "c" else "answers" if turn.role == "assistant" else "messages"
        for i, turn in enumerate(turns)
        for f in turn_fields(i, turn)
        if f.text.strip() not in text
    )
    return dict(lost)


def _names(sample: Sample) -> list[str]:
    """The names of the sample's tools."""
    inner = [tool.get("function") if isinstance(tool.get("function"), Mapping) else tool for tool in sample.tools]
    return [str(tool.get("name")) for tool in inner if isinstance(tool, Mapping)]


def _placed(
    wanted: Sequence[tuple[int, int]], fields: Mapping[Key, Field], spots: Mapping[Key, Spot]
) -> list[tuple[str, tuple[int, int]]]:
    """Ranges of a turn's content as (kind, range of the rendered text), where the template kept those characters."""
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
                parts.append((key[1], (lo, hi)))
    return sorted(parts, key=lambda part: part[1])
