"""Conversations: chat (shapes 6 and 7), ShareGPT (8) and nested (9). One record, one sample, all turns."""

from __future__ import annotations

from dataclasses import replace

from screen.data.readers.rows import BadRow
from screen.data.records.messages import holds_messages, read_turns, require_scored
from screen.data.records.reading import How, first, kind, listed, make_sample, with_system
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject

_SHAREGPT = ("conversations", "conversation")


def find(value: JsonObject) -> dict[str, str] | None:
    return {"messages": "messages"} if holds_messages(value.get("messages")) else None


def find_system(value: JsonObject) -> dict[str, str] | None:
    name = first(value, ("system", "system_prompt"))
    if name is None or type(value[name]) is not str or find(value) is None:
        return None
    return {"messages": "messages", "system": name}


def find_sharegpt(value: JsonObject) -> dict[str, str] | None:
    name = next((n for n in _SHAREGPT if holds_messages(value.get(n))), None)
    return {"conversations": name} if name else None


def find_nested(value: JsonObject) -> dict[str, str] | None:
    inner = listed(value.get("conversation"))
    if type(inner) is not dict or not holds_messages(inner.get("messages")):
        return None
    return {"messages": "conversation.messages"}


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """All turns of `messages`, behind the record's own system prompt."""
    return _conversation(value, value.get("messages"), "messages", place, how)


def build_sharegpt(value: JsonObject, place: Place, how: How) -> list[Sample]:
    name = first(value, _SHAREGPT) or "conversations"
    return _conversation(value, value.get(name), name, place, how)


def build_nested(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """`conversation.messages`; what stands beside the messages inside counts as the record's own."""
    inner = listed(value.get("conversation"))
    if type(inner) is not dict:
        raise BadRow("wrong_shape", f"`conversation` is {kind(inner)}, not an object with messages")
    made = _conversation({**value, **inner}, inner.get("messages"), "conversation.messages", place, how)
    return [replace(s, unused=tuple(name for name in s.unused if name != "conversation")) for s in made]


def _conversation(value: JsonObject, messages: object, name: str, place: Place, how: How) -> list[Sample]:
    if messages is None:
        raise BadRow("wrong_shape", f"the row has no `{name}`, as the dataset's shape {how.shape} asks for")
    turns = with_system(value, read_turns(messages, how))
    require_scored(turns)
    return [make_sample(value, place, how, turns, read=(name.rpartition(".")[2],))]
