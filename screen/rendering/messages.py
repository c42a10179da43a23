"""Samples as the messages that a chat template reads, and the text fields in them. Knows no tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from screen.data.sample import Sample, Turn
from screen.rendering.ladder.align import Field, sentinel
from screen.rendering.templates.chat_template import Message
from screen.rendering.templates.sandbox import plain_data

_CLOSED = re.compile("</(think|thinking|reasoning)>")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A sample's messages in plain JSON, as a trainer hands them to the template."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, object], ...]
    kwargs: Mapping[str, object]


def conversation(sample: Sample) -> Conversation:
    """The messages of a chat sample. Keys without a value are left out, as `transformers` does."""
    return Conversation(
        tuple(message(turn) for turn in sample.turns),
        tuple(plain_data(tool) for tool in sample.tools),
        plain_data(sample.template_kwargs) if sample.template_kwargs else {},
    )


def message(turn: Turn) -> Message:
    """One message. Reasoning goes under both names that templates read it by."""
    made: Message = {"role": turn.role, "content": turn.content}
    if turn.reasoning is not None:
        made["reasoning_content"] = made["thinking"] = turn.reasoning
    if turn.tool_calls:
        made["tool_calls"] = [plain_data(call) for call in turn.tool_calls]
    if turn.name is not None:
        made["name"] = turn.name
    return made


def is_simple(turn: Turn) -> bool:
    """An assistant turn that is nothing but an answer: what the cached skeletons stand for."""
    if not turn.content or turn.tool_calls or turn.reasoning is not None:
        return False
    return "</" not in turn.content or not _CLOSED.search(turn.content)


def turn_fields(index: int, turn: Turn, strict: bool = True) -> list[Field]:
    """The text fields of a turn. Blank thoughts stay as they are: a sentinel would change what the template does.

    A thought in the content is what stands before the first closing tag, if its opening tag begins the content, or if
    it has none and the closing tag begins or ends a line: a tag that is spoken of in a sentence is part of the answer.
    Not `strict`: any closing tag ends one.
    """
    fields = []
    if turn.reasoning is not None and turn.reasoning.strip():
        fields.append(Field((index, "r"), turn.reasoning, -1))
    content = turn.content
    thought = _thought(content, strict) if turn.role == "assistant" else None
    if thought is None:
        return [*fields, Field((index, "c"), content)] if content else fields
    start, end, after = thought
    fields.append(Field((index, "t"), content[start:end], start))
    fields.append(Field((index, "c"), content[after:], after))
    return [field for field in fields if field.text.strip()]


def _thought(content: str, strict: bool) -> tuple[int, int, int] | None:
    """Where the thought's text starts and ends, and what follows its closing tag starts."""
    closed = _CLOSED.search(content)
    if closed is None:
        return None
    tag = f"<{closed[1]}>"
    at = content.find(tag, 0, closed.start())
    if at >= 0 and (not strict or not content[:at].strip()):
        return at + len(tag), closed.start(), closed.end()
    before, after = content[: closed.start()], content[closed.end() :]
    whole = not before.strip() or before.endswith("\n") or not after or after.startswith("\n")
    return (0, closed.start(), closed.end()) if at < 0 and (whole or not strict) else None


def masked(made: Message, fields: list[Field], base: str) -> Message:
    """The message with a sentinel in place of each of its fields, everything else as it is."""
    result = dict(made)
    for field in sorted(fields, key=lambda f: -f.offset):
        mark = sentinel(base, field.key)
        if field.key[1] == "r":
            result["reasoning_content"] = result["thinking"] = mark
        else:
            content = result["content"]
            result["content"] = content[: field.offset] + mark + content[field.offset + len(field.text) :]
    return result


def all_texts(talk: Conversation) -> list[str]:
    """Every string in the conversation, its tools and its settings."""
    return list(_strings([talk.messages, talk.tools, talk.kwargs]))


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.items() for part in item for text in _strings(part)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _strings(item)]
    return []
