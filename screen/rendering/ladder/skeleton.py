"""The sentinel rung: where each turn's own text stands in one real render, proved by a skeleton of it.

What counts of a turn is what its message brought: its words, its thought, its tool calls as the template writes them.
Headers, channels, empty thoughts and ends of turn are the template's, and stand outside. Knows nothing of tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

from screen.data.sample import Turn
from screen.rendering.ladder.align import BASE, Field, Key, Skeleton, Spot, align, unused_base
from screen.rendering.ladder.calls import Calls, find_calls
from screen.rendering.ladder.frame import Frames
from screen.rendering.messages import Conversation, all_texts, is_simple, masked, turn_fields
from screen.rendering.templates.chat_template import Template


class Span(NamedTuple):
    """A turn in the real render: the ranges of its own words and calls, in order, and of its thought."""

    turn: int
    parts: tuple[tuple[int, int], ...]
    thought: tuple[int, int] | None = None
    spots: Mapping[Key, Spot] = MappingProxyType({})


class FoundText(NamedTuple):
    """The scored turns in the real render, and what of the messages does not stand in it: kind -> how many."""

    spans: list[Span]
    dropped: dict[str, int]


class Skeletons:
    """Finds turns in real renders of one template. `controls`: text of the tokenizer's special tokens."""

    def __init__(self, template: Template, controls: frozenset[str]) -> None:
        self._frames = Frames(template)
        self._controls = controls

    def find(self, turns: Sequence[Turn], talk: Conversation, real: str, scored: Sequence[int]) -> FoundText | None:
        """Where the scored turns stand; None where no skeleton proves it."""
        if all(turn.role != "assistant" or is_simple(turn) for turn in turns):
            skeleton = self._frames.frame(turns, talk, BASE)
            fields = {(i, "c"): Field((i, "c"), turn.content) for i, turn in enumerate(turns) if turn.content}
            if skeleton and (spots := align(skeleton, fields, real)) is not None:
                return FoundText(_spans(scored, spots, {}), _dropped(turns, fields, spots, ()))
        base = unused_base([real, *all_texts(talk)])
        everyone = {i for i, turn in enumerate(turns) if turn.content or turn.role == "assistant"}
        answers = {i for i in everyone if turns[i].role == "assistant" or i in scored}
        # A template that looks into the other messages has to see them as they are. One may take a tag that is only
        # spoken of for the end of a thought.
        tries = ((everyone, True), (answers, True), (everyone, False), (answers, False))
        mentions = any(turn_fields(i, t) != turn_fields(i, t, strict=False) for i, t in enumerate(turns))
        for hidden, strict in tries if mentions else tries[:2]:
            if (found := self._general(turns, talk, real, scored, base, hidden, strict)) is not None:
                return found
        return None

    def _general(
        self,
        turns: Sequence[Turn],
        talk: Conversation,
        real: str,
        scored: Sequence[int],
        base: str,
        hidden: Set[int],
        strict: bool,
    ) -> FoundText | None:
        """Texts and thoughts are masked; tool calls stay in the skeleton as they are."""
        own = {i: turn_fields(i, turns[i], strict) for i in hidden}
        fields = {f.key: f for several in own.values() for f in several}
        messages = [masked(m, own[i], base) if i in hidden else m for i, m in enumerate(talk.messages)]
        skeleton = self._frames.skeleton(messages, talk, base, set(fields))
        if skeleton is None or (spots := align(skeleton, fields, real)) is None:
            return None
        calls = find_calls(turns, talk, messages, skeleton, self._frames, base, self._controls)
        if calls is None:
            return None
        return FoundText(
            _spans(scored, spots, _moved(skeleton, spots, calls)), _dropped(turns, fields, spots, calls.lost)
        )


def _moved(skeleton: Skeleton, spots: Mapping[Key, Spot], calls: Calls) -> dict[int, tuple[int, int]]:
    """The ranges of calls, which lie between fields of the skeleton, in the real text."""
    ends = [end for _, end in skeleton.spans.values()]
    moved = [spots[key].end for key in skeleton.keys]

    def place(position: int) -> int:
        before = bisect_right(ends, position) - 1
        return position if before < 0 else moved[before] + position - ends[before]

    return {turn: (place(start), place(end)) for turn, (start, end) in calls.ranges.items()}


def _spans(scored: Sequence[int], spots: Mapping[Key, Spot], calls: Mapping[int, tuple[int, int]]) -> list[Span]:
    own: dict[int, dict[Key, Spot]] = {i: {} for i in scored}
    for key, spot in spots.items():
        if key[0] in own:
            own[key[0]][key] = spot
    spans = []
    for i in scored:
        words = [(spot.start, spot.end) for (_, kind), spot in own[i].items() if kind == "c"]
        thought = next(((s.start, s.end) for (_, kind), s in own[i].items() if kind != "c"), None)
        parts = sorted(words + ([calls[i]] if i in calls else []))
        if parts or thought:
            spans.append(Span(i, _joined(parts), thought, own[i]))
    return spans


def _joined(parts: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges that touch, as one."""
    out: list[tuple[int, int]] = []
    for start, end in parts:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return tuple(out)


def _dropped(
    turns: Sequence[Turn], fields: Mapping[Key, Field], spots: Mapping[Key, Spot], calls: Sequence[int]
) -> dict[str, int]:
    """Fields that the template did not write, by kind."""
    lost = Counter(
        "reasoning" if kind != "c" else "answers" if turns[i].role == "assistant" else "messages"
        for i, kind in fields
        if (i, kind) not in spots
    )
    return dict(lost) | ({"tool_calls": len(calls)} if calls else {})
