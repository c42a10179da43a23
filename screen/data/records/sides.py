"""Two answers to one prompt, a sample each. What both sides share is not scored: a trainer contrasts the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from screen.data.readers.rows import BadRow
from screen.data.records.answered import prompt_turns
from screen.data.records.marks import Style, split
from screen.data.records.messages import holds_messages
from screen.data.records.reading import How, first, kind, listed, make_sample, with_system
from screen.data.sample import Layout, Place, Sample, Turn
from screen.foreign import JsonObject


def build_sides(
    value: JsonObject,
    place: Place,
    how: How,
    prompt: list[Turn],
    sides: list[str | list[Turn]],
    styles: list[Style | None],
    read: tuple[str, ...],
    as_texts: bool = False,
) -> list[Sample]:
    whole = [_whole(prompt, side, style) for side, style in zip(sides, styles, strict=True)]
    shared = 0
    if whole[0][: len(prompt)] == prompt == whole[1][: len(prompt)]:
        shared = len(prompt)
    if not shared:
        shared = alike(whole[0], whole[1])
    marked = [_mark(turns, shared, last_only=any(styles)) for turns in whole]
    return two_samples(value, place, how, [with_system(value, turns) for turns in marked], read, "chat", as_texts)


def _whole(prompt: list[Turn], side: str | list[Turn], style: Style | None) -> list[Turn]:
    """A side with its prompt; one that begins with a question of its own has it already."""
    if isinstance(side, str):
        return split(side, style) if style else [*prompt, Turn("assistant", side)]
    stands_alone = bool(side) and side[0].role in ("system", "user")
    return side if stands_alone else prompt + side


def _mark(turns: list[Turn], shared: int, *, last_only: bool) -> list[Turn]:
    """Score the assistant's turns behind the shared ones; the last one even where both sides agree."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers or turns[-1].role == "user":
        raise BadRow("no_response", "a side of the pair does not end with an answer")
    scored = [i for i in answers if i >= shared] or answers[-1:]
    scored = scored[-1:] if last_only else scored
    marked = list(turns)
    for i in scored:
        if turns[i].content or turns[i].tool_calls or turns[i].reasoning:
            marked[i] = turns[i].with_loss()
        elif i == scored[-1]:
            raise BadRow("empty_answer", "the answer on a side of the pair is empty")
    return marked


def two_samples(
    value: JsonObject,
    place: Place,
    how: How,
    sides: list[list[Turn]],
    read: tuple[str, ...],
    layout: Layout,
    as_texts: bool,
) -> list[Sample]:
    return [
        make_sample(value, place, how, sides[0], layout, "chosen", read=read, as_texts=as_texts),
        make_sample(value, place, how, sides[1], layout, "rejected", read=read, as_texts=as_texts),
    ]


def answer_side(value: JsonObject, names: tuple[str, ...], how: How) -> str | list[Turn]:
    name = first(value, names)
    if name is None:
        there = next((n for n in names if n in value), None)
        if there is None:
            raise BadRow("wrong_shape", f"the row has no `{names[0]}`")
        raise BadRow("no_response", f"`{there}` is null, and a pair needs both sides")
    found = value[name]
    if type(found) is str and not holds_messages(found):
        return found
    if type(listed(found)) not in (list, dict):
        raise BadRow("wrong_shape", f"`{name}` is {kind(found)}, not text, a message or a list of messages")
    return unscored(found, name, how)


def unscored(value: object, name: str, how: How) -> list[Turn]:
    return prompt_turns(value, name, replace(how, train_on="last"))


def alike(one: Sequence[object], two: Sequence[object]) -> int:
    """How many items, or characters, two sequences begin with in common."""
    for i, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return i
    return min(len(one), len(two))
