"""Preference pairs: OpenAI's (shape 2) and everybody else's (3). One record, two samples or none.

What both sides share is the prompt and is not scored; the scored turns are what a trainer contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from screen.data.readers.rows import BadRow
from screen.data.sample import Layout, Place, Sample, Turn
from screen.data.shapes.answers import extra_of, instruction_text, prompt_turns
from screen.data.shapes.chat import holds_messages, is_text
from screen.data.shapes.marks import Style, split, style_of
from screen.data.shapes.reading import How, first, kind, listed, make_sample, with_system

CHOSEN = ("chosen", "chosen_response")
REJECTED = ("rejected", "rejected_response")
Texts = tuple[str, list[str], tuple[str, ...]]  # a pair's prompt, its sides, and the fields that they are of
_PROMPTS = ("prompt", "conversations", "messages", "question", "query", "input")


def find_preference(value: Mapping[str, Any]) -> dict[str, str] | None:
    chosen, rejected = first(value, CHOSEN), first(value, REJECTED)
    if chosen is None or rejected is None or not (_side(value[chosen]) and _side(value[rejected])):
        return None
    prompt = "instruction" if value.get("instruction") else first(value, _PROMPTS)
    return ({"prompt": prompt} if prompt else {}) | {"chosen": chosen, "rejected": rejected}


def find_openai(value: Mapping[str, Any]) -> dict[str, str] | None:
    asked = listed(value.get("input"))
    if type(asked) is not dict or "messages" not in asked or value.get("preferred_output") is None:
        return None
    names = {"chosen": "preferred_output", "rejected": "non_preferred_output"}
    return {"prompt": "input.messages", **names} if "non_preferred_output" in value else None


def build_openai(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    asked = listed(value.get("input"))
    if type(asked) is not dict or asked.get("messages") is None:
        raise BadRow("wrong_shape", "the row has no `input.messages`")
    inner = {**value, **{k: asked[k] for k in ("tools", "chat_template_kwargs") if asked.get(k)}}
    read = ("input", "preferred_output", "non_preferred_output")
    prompt = _unscored(asked["messages"], "input.messages", how)
    sides = [_answer(value, (name,), how) for name in ("preferred_output", "non_preferred_output")]
    styles = [style_of(side) if isinstance(side, str) else None for side in sides]
    return _pair(inner, place, how, prompt, sides, styles, read)


def build_preference(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    """Text, one message or a list of messages a side; the prompt stands apart or is what both begin with."""
    texts = _as_texts(value, how)
    if texts is not None and how.render == "plain":
        return _plain(value, place, how, *texts)
    return _rendered(value, place, how, texts)


def _as_texts(value: Mapping[str, Any], how: How) -> Texts | None:
    """Prompt, sides and the fields that they are of, where all are texts."""
    name = "instruction" if value.get("instruction") else first(value, _PROMPTS)
    chosen, rejected = first(value, CHOSEN), first(value, REJECTED)
    if chosen is None or rejected is None:
        return None
    fields = tuple(field for field in (name, chosen, rejected) if field)
    for field in fields:
        if not is_text(value[field]):
            return None
    read = fields if name != "instruction" else tuple(field for field in (*fields, extra_of(value, how)) if field)
    prompt = instruction_text(value, how) if name == "instruction" else value[name] if name else ""
    return prompt, [value[chosen], value[rejected]], read


def _plain(
    value: Mapping[str, Any], place: Place, how: How, prompt: str, sides: list[str], read: tuple[str, ...]
) -> list[Sample]:
    """Prompt and sides as they stand, end to end."""
    if not prompt:
        return _texts(value, place, how, sides, read, True)
    if not all(sides):
        raise BadRow("empty_answer", "the answer on a side of the pair is empty")
    turns = [[Turn("user", prompt), Turn("assistant", side, True)] for side in sides]
    return _two(value, place, how, turns, read, "plain", True)


def _rendered(value: Mapping[str, Any], place: Place, how: How, texts: Texts | None) -> list[Sample]:
    prompt, asked = _prompt(value, how)
    sides: list[str | list[Turn]]
    if texts is not None:
        sides, read = [*texts[1]], texts[2]
    else:
        sides = [_answer(value, CHOSEN, how), _answer(value, REJECTED, how)]
        read = tuple(name for name in (*asked, first(value, CHOSEN), first(value, REJECTED)) if name)
    styles = [style_of(side) if isinstance(side, str) else None for side in sides]
    if not prompt and styles == [None, None] and (plain := [side for side in sides if isinstance(side, str)]) == sides:
        return _texts(value, place, how, plain, read, texts is not None)
    return _pair(value, place, how, prompt, sides, styles, read, texts is not None)


def _pair(
    value: Mapping[str, Any],
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
        shared = _alike(whole[0], whole[1])
    marked = [_mark(turns, shared, last_only=any(styles)) for turns in whole]
    return _two(value, place, how, [with_system(value, turns) for turns in marked], read, "chat", as_texts)


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


def _texts(
    value: Mapping[str, Any], place: Place, how: How, sides: list[str], read: tuple[str, ...], as_texts: bool
) -> list[Sample]:
    """Two plain texts: what they begin with in common, up to a blank, is the prompt."""
    if not all(sides):
        raise BadRow("empty_answer", "the answer on a side of the pair is empty")
    shared = _alike(sides[0], sides[1])
    if shared == min(map(len, sides)) or not sides[0][shared - 1 : shared].isspace():
        blanks = [sides[0].rfind(blank, 0, shared) for blank in (" ", "\n")]
        shared = max(blanks) + 1
    shared = shared if all(text[shared:].strip() for text in sides) else 0
    prompt = [Turn("user", sides[0][:shared])] if shared else []
    made = [[*prompt, Turn("assistant", text[shared:], True)] for text in sides]
    return _two(value, place, how, made, read, "plain", as_texts)


def _two(
    value: Mapping[str, Any],
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


def _prompt(value: Mapping[str, Any], how: How) -> tuple[list[Turn], tuple[str | None, ...]]:
    """What stands before both sides, and the fields that it is made of."""
    if type(value.get("instruction")) is str and value["instruction"]:
        return [Turn("user", instruction_text(value, how))], ("instruction", extra_of(value, how))
    name = first(value, _PROMPTS)
    return (_unscored(value[name], name, how) if name and value[name] != "" else []), (name,)


def _answer(value: Mapping[str, Any], names: tuple[str, ...], how: How) -> str | list[Turn]:
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
    return _unscored(found, name, how)


def _unscored(value: Any, name: str, how: How) -> list[Turn]:
    return prompt_turns(value, name, replace(how, train_on="last"))


def _alike(one: Sequence[Any], two: Sequence[Any]) -> int:
    """How many items, or characters, two sequences begin with in common."""
    for i, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return i
    return min(len(one), len(two))


def _side(value: Any) -> bool:
    return type(value) is str or type(value) is dict or holds_messages(value)
