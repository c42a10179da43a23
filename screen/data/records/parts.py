"""What is inside one message: text, thoughts, tool calls, and parts without text that are only counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from screen.data.readers.rows import BadRow
from screen.data.records.reading import kind, listed
from screen.foreign import JsonObject

_MAX_KIND = 64  # a part's type is the user's text: keep it short in tables


@dataclass(slots=True)
class MessageParts:
    """What was found so far."""

    text: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[JsonObject] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def read_content(content: object, parts: MessageParts, index: int) -> None:
    """Text, null, one part, or a list of parts. Raises BadRow."""
    if type(content) is str:
        parts.text.append(content)
    elif type(content) is list:
        for part in content:
            _part(part, parts, index)
    elif type(content) is dict:
        _part(content, parts, index)
    elif content is not None:
        raise BadRow("bad_message", f"the content of message {index} is {kind(content)}, not text or a list of parts")


def _part(part: object, parts: MessageParts, index: int) -> None:
    if type(part) is str:
        parts.text.append(part)
        return
    if type(part) is not dict:
        raise BadRow("bad_message", f"a content part of message {index} is {kind(part)}, not text or an object")
    sort = part.get("type")
    if sort in ("thinking", "reasoning"):
        thought = next((part[k] for k in ("thinking", "reasoning", "text") if type(part.get(k)) is str), "")
        parts.thoughts.append(thought)
    elif sort == "tool_use":
        parts.calls.append(_call(part.get("name"), part.get("input"), part.get("id")))
    elif sort == "tool_result":
        parts.others["tool_result"] += 1
        if type(part.get("content")) in (str, list):
            read_content(part["content"], parts, index)
    elif type(text := part.get("text")) is str or type(text := part.get("refusal")) is str:
        parts.text.append(text)
    else:
        parts.others[str(sort)[:_MAX_KIND] if sort else "unknown"] += 1


def read_calls(message: JsonObject, index: int) -> list[JsonObject]:
    """`tool_calls`, or the older `function_call`, in OpenAI form; arguments as given. Raises BadRow."""
    calls = listed(message.get("tool_calls"))
    if not calls:
        old = listed(message.get("function_call"))
        return [_call(old.get("name"), old.get("arguments"), None)] if type(old) is dict else []
    calls = [calls] if type(calls) is dict else calls
    if type(calls) is not list or any(type(call) is not dict for call in calls):
        raise BadRow("bad_message", f"the tool_calls of message {index} are not a list of objects")
    return [
        call if "function" in call else _call(call.get("name"), call.get("arguments"), call.get("id")) for call in calls
    ]


def call_from_text(content: object) -> list[JsonObject] | None:
    """The calls that a `function_call` message holds as JSON text; None where it is something else."""
    found = listed(content)
    calls = found if type(found) is list else [found]
    if not calls or any(type(call) is not dict or type(call.get("name")) is not str for call in calls):
        return None
    return [_call(call["name"], call.get("arguments", call.get("parameters")), None) for call in calls]


def _call(name: object, arguments: object, id_: object) -> JsonObject:
    call = {
        "type": "function",
        "function": {"name": str(name or ""), "arguments": {} if arguments is None else arguments},
    }
    return {"id": id_, **call} if type(id_) is str else call
