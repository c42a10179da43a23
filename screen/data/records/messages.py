"""A list of messages, in any of the common dialects -> turns. Knows nothing of files or shapes.

Text is kept as it stands. What is not text (images, audio) is counted, never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from screen.data.readers.rows import BadRow
from screen.data.records.parts import MessageParts, call_from_text, read_calls, read_content
from screen.data.records.reading import How, kind, listed, said, shown
from screen.data.sample import Role, Turn
from screen.foreign import JsonObject

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "ai", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "ipython", "observation", "function_response"), "tool"),
}
_ROLE_KEYS = ("role", "from")
_CALLS = ("tool_calls", "function_call")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_FLAGS = ("training", "train", "training_detail", "train_detail")
_WEIGHTS = ("weight", "loss_weight")
_CONTENTS = ("content", "value", "parts", "text")


def holds_messages(value: object) -> bool:
    """Whether a value is a list of messages, possibly as JSON text."""
    found = listed(value) if type(value) is str else value
    if type(found) is not list or not found or type(found[0]) is not dict:
        return False
    return any(type(found[0].get(key)) is str for key in _ROLE_KEYS)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is text, and not messages as JSON text."""
    return type(value) is str and not holds_messages(value)


def read_turns(value: object, how: How, *, prompt: bool = False) -> list[Turn]:
    """Turns with the trainer's loss marked. A prompt has none, whatever flags stand in it. Raises BadRow."""
    messages = listed(value)
    if type(messages) is dict:
        messages = [messages]
    if type(messages) is not list:
        raise BadRow("wrong_shape", f"a list of messages was expected, not {kind(value)}")
    told = how.train_on == "assistant" and not prompt
    turns = [_turn(message, index, how, told) for index, message in enumerate(messages)]
    return turns if prompt and how.train_on != "all" else _marked(turns, messages, how)


def _marked(turns: list[Turn], messages: Sequence[JsonObject], how: How) -> list[Turn]:
    every, last = how.train_on == "all", -1
    if how.train_on == "last":
        last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    for index, (turn, message) in enumerate(zip(turns, messages, strict=True)):
        if turn.scored:
            continue
        scored = every or (turn.role == "assistant" and last in (-1, index))
        if len(message) > 2:
            scored, spans = _flags(message, scored, turn.content)
            if spans is not None:
                turn = turn._replace(spans=spans)
            away = scored and _negative(message)
        else:
            away = False
        if scored and (turn.content or turn.reasoning or turn.tool_calls):
            turns[index] = turn.with_loss(away)
    return turns


def require_scored(turns: Sequence[Turn]) -> None:
    """Refuse a row in which nothing is left to score, and say why. Raises BadRow."""
    for turn in turns:
        if turn.scored:
            return
    answers = [turn for turn in turns if turn.role == "assistant"]
    if not answers:
        raise BadRow("no_response", "the row has no answer by the assistant, so there is nothing to score")
    if not any(turn.content or turn.reasoning or turn.tool_calls for turn in answers):
        raise BadRow("empty_answer", "every answer of the row is empty")
    raise BadRow("not_trained", "training flags in the row switch off every answer that has text")


def _turn(message: object, index: int, how: How, told: bool) -> Turn:
    """A message's turn, not scored yet; a plain answer already, where it is `told` that answers are."""
    if type(message) is not dict:
        raise BadRow("bad_message", f"message {index} is {kind(message)}, not an object with role and content")
    name = message.get(how.role_key) or message.get("role") or message.get("from")
    role = _role(name, index, how)
    content = message.get(how.content_key)
    if type(content) is str and len(message) == 2 and name != "function_call":
        return Turn(role, content, told and role == "assistant" and content != "")
    return _full(message, role, str(name), index, how)


def _role(name: object, index: int, how: How) -> Role:
    if type(name) is not str:
        raise BadRow("bad_role", f"message {index} has no role")
    role = ROLES.get(how.roles.get(name, name)) or ROLES.get(name.strip().lower())
    if role is None:
        raise BadRow("bad_role", f"message {index} has the unknown role {name[:40]!r}; known are {', '.join(ROLES)}")
    return role


def _full(message: JsonObject, role: Role, said: str, index: int, how: How) -> Turn:
    """Any message: content in parts, calls, thoughts, names."""
    parts = MessageParts()
    content = message.get(how.content_key)
    if content is None:
        content = next((message[k] for k in _CONTENTS if message.get(k) is not None), None)
    if content is None:
        content = message.get("refusal")
    call = call_from_text(content) if said == "function_call" else None
    if call is not None:
        parts.calls += call
    else:
        read_content(content, parts, index)
    parts.calls += read_calls(message, index)
    for key in _REASONING:
        if type(message.get(key)) is str:
            parts.thoughts.append(message[key])
            break
    name = message.get("name")
    return Turn(
        role,
        "".join(parts.text),
        False,
        "\n".join(parts.thoughts) or None,
        tuple(parts.calls),
        name if type(name) is str else None,
        None,
        dict(parts.others),
        _unread(message, how),
    )


def _unread(message: JsonObject, how: How) -> tuple[str, ...]:
    """Keys of a message with something in them that nothing here reads."""
    content = next((k for k in (how.content_key, *_CONTENTS, "refusal") if message.get(k) is not None), None)
    thought = next((k for k in _REASONING if type(message.get(k)) is str), None)
    read = (content, thought, how.role_key, *_ROLE_KEYS, *_CALLS, *_FLAGS, *_WEIGHTS, "name")
    return tuple(shown(key) for key, value in message.items() if key not in read and said(value))


def _flags(message: JsonObject, scored: bool, content: str) -> tuple[bool, tuple[tuple[int, int], ...] | None]:
    """Training flags: a weight of 0 takes loss away; axolotl's `train` gives or takes it; details narrow it."""
    for key in _FLAGS[:2]:
        if type(message.get(key)) is bool:
            scored = message[key]
    for key in _WEIGHTS:
        weight = message.get(key)
        if type(weight) in (int, float, bool) and not weight:
            scored = False
    for key in _FLAGS[2:]:
        if message.get(key):
            spans = _detail(listed(message[key]), scored, len(content))
            return bool(spans), spans or None
    return scored, None


def _negative(message: JsonObject) -> bool:
    weights = (message.get(key) for key in _WEIGHTS)
    return any(isinstance(weight, int | float) and weight < 0 for weight in weights)


def _detail(details: Any, scored: bool, length: int) -> tuple[tuple[int, int], ...]:
    """Character ranges with loss. Ends are inclusive, as axolotl has them; text in no range is as the message."""
    marks = bytearray([scored]) * length
    try:
        for detail in details:
            start, end = max(0, int(detail["begin_offset"])), min(length, int(detail["end_offset"]) + 1)
            if start < end:
                marks[start:end] = bytes([bool(detail["train"])]) * (end - start)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise BadRow("bad_flag", "a training_detail needs begin_offset, end_offset (inclusive) and train") from None
    spans, at = [], 0
    while (start := marks.find(1, at)) >= 0:
        at = marks.find(0, start)
        at = length if at < 0 else at
        spans.append((start, at))
    return tuple(spans)
