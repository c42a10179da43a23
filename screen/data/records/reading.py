"""What every shape needs to turn a record into samples. Knows no shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import orjson

from screen.data.readers.rows import MAX_DEPTH, BadRow, survey
from screen.data.records.wording import Wording
from screen.data.sample import Layout, Place, Sample, Turn, Variant
from screen.foreign import JsonObject

TrainOn = Literal["assistant", "last", "all"]
TRAIN_ON = ("assistant", "last", "all")
Render = Literal["chat", "plain"]
RENDERS = ("chat", "plain")
IDS = ("id", "_id", "uuid", "idx", "prompt_id", "conversation_id", "conv_id", "example_id", "sample_id", "row_id")
SYSTEMS = ("system", "system_prompt")

_MAX_ID = 512
_ID_SET = frozenset(IDS)
_WEIGHTS = ("weight", "loss_weight")
_BESIDE = frozenset((*SYSTEMS, *_WEIGHTS, "tools", "functions", "chat_template_kwargs"))


@dataclass(frozen=True, slots=True)
class How:
    """How rows are read: the shape's name, what the trainer puts loss on, and names that the user gave."""

    shape: str
    train_on: TrainOn = "assistant"
    fields: Mapping[str, str] = field(default_factory=dict)  # role -> field, where a shape has to be told
    roles: Mapping[str, str] = field(default_factory=dict)  # the dataset's own role name -> a known one
    role_key: str = "role"
    content_key: str = "content"
    mapped: frozenset[str] = frozenset()  # fields that --map took something from
    render: Render = "chat"  # of questions and answers that are given as texts
    wording: Wording | None = None  # how an instruction is written into a plain prompt; None: as Alpaca has it
    exact: bool = False  # a trainer's configuration says which fields are read: none is guessed


def first(value: JsonObject, names: Iterable[str]) -> str | None:
    """The first of `names` that the record has and that is not null."""
    for name in names:
        if value.get(name) is not None:
            return name
    return None


def listed(value: object) -> Any:
    """The value, or what it says as JSON text: tables keep lists as strings."""
    if type(value) is not str or value[:64].lstrip()[:1] not in ("[", "{"):
        return value
    try:
        found = orjson.loads(value)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return value
    if value.count("[") + value.count("{") > MAX_DEPTH and survey(found)[1] > MAX_DEPTH:
        raise BadRow("too_deep", f"JSON text in the row is nested deeper than the {MAX_DEPTH} levels allowed")
    return found


def shown(name: str) -> str:
    """A name out of the data, fit for a message: short, and without control or invisible characters."""
    return repr(name[:40])[1:-1]


def said(value: object) -> bool:
    """Whether a field holds anything."""
    return value is not None and value != "" and value != [] and value != {}


def kind(value: object) -> str:
    """What a value is, in words for a message."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def system_turns(value: JsonObject) -> list[Turn]:
    """The record's own system prompt, where it stands apart from the messages."""
    name = first(value, SYSTEMS)
    if name is None or value[name] == "":
        return []
    if type(value[name]) is not str:
        raise BadRow("wrong_shape", f"`{name}` is {kind(value[name])}, not text")
    return [Turn("system", value[name])]


def with_system(value: JsonObject, turns: list[Turn]) -> list[Turn]:
    """Put the record's system prompt first; joined with one that the messages begin with."""
    if "system" not in value and "system_prompt" not in value:
        return turns
    system = system_turns(value)
    if not system or not turns or turns[0].role != "system":
        return system + turns
    apart, inside = system[0].content, turns[0].content
    joined = inside if apart == inside else f"{apart}\n\n{inside}"
    return [Turn("system", joined, turns[0].scored), *turns[1:]]


def make_sample(
    value: JsonObject,
    place: Place,
    how: How,
    turns: Sequence[Turn],
    layout: Layout = "chat",
    variant: Variant | None = None,
    *,
    read: Collection[str],
    marks: str | None = None,
    as_texts: bool = False,
    split_at: str | None = None,
) -> Sample:
    """A sample with what stands beside the turns in any shape: id, weight, sign, tools, template settings.

    `read`: the fields of the record that the turns, or tokens, were made of. What else it holds is told (`unused`).
    """
    weight = row_weight(value)
    odd = [turn for turn in turns if turn.unused or turn.other_parts or turn.away]
    return Sample(
        place,
        how.shape,
        layout,
        tuple(turns),
        _id(value) if not _ID_SET.isdisjoint(value) else None,
        variant,
        weight,
        _sign(weight, turns if odd else (), variant),
        tools(value) if "tools" in value or "functions" in value else (),
        _template_kwargs(value) if "chat_template_kwargs" in value else {},
        as_texts=as_texts,
        split_at=split_at,
        marks=marks,
        unused=_unused(value, odd, read, layout, how),
    )


def _unused(
    value: JsonObject, turns: Sequence[Turn], read: Collection[str], layout: Layout, how: How
) -> tuple[str, ...]:
    names = []
    for name, held in value.items():
        if name in read or name in _ID_SET or name in how.mapped or not said(held):
            continue
        if name in _BESIDE and (layout == "chat" or name in _WEIGHTS):
            continue
        names.append(shown(name))
    for turn in turns:
        names += [f"messages.{key}" for key in turn.unused]
        names += [f"{sort} parts" for sort in turn.other_parts]
    return tuple(dict.fromkeys(names)) if names else ()


def row_weight(value: JsonObject) -> float:
    """The row's training weight, 1 where it has none. A row of weight 0 is not trained on; one of less is pushed
    away from."""
    weight = value.get("loss_weight", value.get("weight"))
    if type(weight) is str:  # tables have no numbers
        with suppress(ValueError):
            weight = float(weight)
    if type(weight) not in (int, float, bool) or not isfinite(weight):
        return 1.0
    if not weight:
        raise BadRow("not_trained", "the row's own weight is 0, so a trainer puts no loss on it")
    return float(weight)


def _sign(weight: float, turns: Sequence[Turn], variant: Variant | None) -> int:
    sign = -1 if (weight < 0) != (variant == "rejected") else 1
    if not any(turn.away for turn in turns):
        return sign
    if not all(turn.away for turn in turns if turn.scored):
        raise BadRow("mixed_signs", "some scored turns have a negative weight and others have not; make them two rows")
    return -sign


def tools(value: JsonObject) -> tuple[JsonObject, ...]:
    """Tool definitions in OpenAI form, given as a list or as JSON text."""
    found = listed(value.get("tools") or value.get("functions") or [])
    found = [found] if type(found) is dict else found
    if type(found) is str and not found.strip():
        return ()
    if type(found) is not list or any(type(tool) is not dict for tool in found):
        raise BadRow("bad_tools", "`tools` is not a list of objects; give OpenAI tool definitions")
    return tuple(tool if "function" in tool or "type" in tool else _wrapped(tool) for tool in found)


def _wrapped(tool: JsonObject) -> JsonObject:
    return {"type": "function", "function": tool}


def _template_kwargs(value: JsonObject) -> JsonObject:
    found = listed(value["chat_template_kwargs"])
    return found if type(found) is dict else {}


def _id(value: JsonObject) -> str | None:
    for name in IDS:
        found = value.get(name)
        if type(found) is int or (type(found) is str and 0 < len(found) <= _MAX_ID):
            return str(found)
    return None
