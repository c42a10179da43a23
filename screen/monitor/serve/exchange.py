"""What was asked and what was answered, put together from the bytes of a request and of its response.

Of chat completions and completions, streamed or not, with several choices, tool calls and reasoning. What cannot be
read is said in `unread` and never raised: the bytes are somebody else's. Knows nothing of HTTP, files or models.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

import orjson

from screen.foreign import JsonObject
from screen.monitor.serve.groups import NONE, shown
from screen.monitor.serve.sse import DONE, events

MOST_BYTES: Final = 16 << 20  # of a request, and of a response, that is kept
Ended = Literal["whole", "cut", "client_gone"]  # as the upstream ended it, before it did, or the client went away
Kind = Literal["chat", "completion"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Copies of what passed. Bodies are None where they were too long to keep; `encoding`: of the response."""

    kind: Kind
    request: bytes | None
    response: bytes | None
    encoding: str
    streamed: bool
    ended: Ended
    group: str | None  # None: by the model's name
    time: float  # seconds since 1970, at the end

    def __len__(self) -> int:
        return len(self.request or b"") + len(self.response or b"")


@dataclass(slots=True)
class Answer:
    """One choice. `finish`: as the server says it; `ids`: its tokens, where the server gives them."""

    choice: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[dict[str, object]] = field(default_factory=list)
    finish: str | None = None
    ids: list[int] | None = None

    @property
    def said(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.text or self.reasoning or self.refusal or self.tool_calls)

    def message(self) -> dict[str, object]:
        """As a message of a conversation."""
        made: dict[str, object] = {"role": "assistant", "content": self.text or self.refusal}
        if self.reasoning:
            made["reasoning_content"] = self.reasoning
        if self.tool_calls:
            made["tool_calls"] = self.tool_calls
        return made


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answers. messages: of a chat; prompts: of a completion, one a choice or one for all."""

    kind: Kind
    group: str
    time: float
    streamed: bool
    ended: Ended
    id: str | None = None
    model: str | None = None
    messages: tuple[object, ...] = ()
    prompts: tuple[str, ...] = ()
    tools: tuple[object, ...] = ()
    answers: tuple[Answer, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    unread: tuple[str, str] | None = None  # (code, why): nothing of it can be scored

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: JsonObject) -> Exchange:
        unread = value["unread"]
        lists = {name: tuple(value[name]) for name in ("messages", "prompts", "tools")}
        answers = tuple(Answer(**answer) for answer in value["answers"])
        made = {**value, **lists, "answers": answers, "unread": tuple(unread) if unread else None}
        return cls(**made)

    def conversation(self, answer: Answer) -> dict[str, object]:
        """As a row of a dataset whose last turn alone is to be scored."""
        if self.kind == "completion":
            prompt = self.prompt(answer)
            return {"prompt": prompt, "completion": answer.text}
        earlier = [_unscored(message) for message in self.messages]
        tools = {"tools": list(self.tools)} if self.tools else {}
        return {"messages": [*earlier, answer.message()], **tools}

    def prompt(self, answer: Answer) -> str:
        """Of a completion: servers number the choices of the first prompt first."""
        each = len(self.answers) // len(self.prompts) or 1
        return self.prompts[min(answer.choice // each, len(self.prompts) - 1)]


class _Unread(Exception):
    def __init__(self, code: str, why: str) -> None:
        super().__init__(code, why)


def read(taken: Taken) -> Exchange:
    """Never raises."""
    base = Exchange(taken.kind, NONE if taken.group is None else taken.group, taken.time, taken.streamed, taken.ended)
    try:
        asked = _object(taken.request, "request")
        data = _unpacked(taken.response, taken.encoding)
        pieces = _pieces(data) if taken.streamed else [_object(data, "response")]
        made = _put_together(base, asked, pieces)
        return made if taken.group is not None else replace(made, group=shown(made.model or ""))
    except _Unread as problem:
        code, why = problem.args
        return replace(base, unread=(code, why))
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError) as error:
        return replace(base, unread=("wrong_shape", f"not of the OpenAI protocol's shape ({type(error).__name__})"))


def _with(base: Exchange, **fields: object) -> Exchange:
    return Exchange.from_json({**base.to_json(), **fields})


def _put_together(base: Exchange, asked: JsonObject, pieces: Sequence[JsonObject]) -> Exchange:
    chat = base.kind == "chat"
    answers: dict[int, Answer] = {}
    found: dict[str, object] = {"model": asked.get("model")}
    for piece in pieces:
        if piece.get("error"):
            found["ended"] = "cut"
        for name in ("id", "model"):
            if isinstance(piece.get(name), str):
                found[name] = piece[name]
        for place, choice in enumerate(piece.get("choices") or ()):
            index = choice.get("index")
            at = index if type(index) is int and index >= 0 else place
            _add(answers.setdefault(at, Answer(at)), choice, chat)
        usage = piece.get("usage")
        for name in ("prompt_tokens", "completion_tokens"):
            if isinstance(usage, dict) and type(usage.get(name)) is int:
                found[name] = usage[name]
    if not answers and base.ended == "whole" and "ended" not in found:
        raise _Unread("no_answer", "the response holds no choice")
    for answer in answers.values():
        answer.tool_calls = [call for call in answer.tool_calls if call]
    found["answers"] = [asdict(answers[at]) for at in sorted(answers)]
    if chat:
        messages = asked.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise _Unread("wrong_shape", "the request has no list of messages")
        tools = asked.get("tools")
        found |= {"messages": messages, "tools": tools if isinstance(tools, list) else []}
    else:
        found["prompts"] = _prompts(asked.get("prompt"))
    made = _with(base, **found)
    if asked.get("echo") and not chat:
        for answer in made.answers:
            answer.text = answer.text.removeprefix(made.prompt(answer))
    return made


def _prompts(prompt: object) -> list[str]:
    prompts = prompt if isinstance(prompt, list) else [prompt]
    texts = [one for one in prompts if isinstance(one, str)]
    if not texts or len(texts) < len(prompts):
        raise _Unread("not_text", "the prompt is given as token ids, which may be those of another tokenizer")
    return texts


def _add(answer: Answer, choice: JsonObject, chat: bool) -> None:
    """A choice, or what an event adds to one."""
    finish, ids = choice.get("finish_reason"), choice.get("token_ids")
    if isinstance(finish, str):
        answer.finish = finish
    if isinstance(ids, list) and all(type(i) is int for i in ids):
        answer.ids = [*(answer.ids or ()), *ids]
    if not chat:
        answer.text += _text(choice.get("text"))
        return
    said = choice.get("delta") or choice.get("message") or {}
    answer.text += _text(said.get("content"))
    answer.reasoning += _text(said.get("reasoning_content") or said.get("reasoning"))
    answer.refusal += _text(said.get("refusal"))
    for place, call in enumerate(said.get("tool_calls") or ()):
        _add_call(answer.tool_calls, call, call.get("index", place))


def _add_call(calls: list[dict[str, object]], part: JsonObject, at: object) -> None:
    if type(at) is not int or not 0 <= at <= 1000:
        raise _Unread("wrong_shape", "a tool call has no place")
    calls.extend({} for _ in range(at + 1 - len(calls)))
    if not calls[at]:
        calls[at] = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
    call, more = calls[at], part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    function = call["function"]
    assert isinstance(function, dict)
    for name in ("name", "arguments"):
        function[name] += _text(more.get(name))


def _text(value: object) -> str:
    """Text, or the text of parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _unscored(message: object) -> object:
    """An earlier turn: it was scored when it was said."""
    if isinstance(message, Mapping) and message.get("role") == "assistant":
        return {**message, "weight": 0}
    return message


def _pieces(data: bytes) -> list[JsonObject]:
    return [_object(event, "event") for event in events(data) if event.strip() not in (DONE, b"")]


def _object(data: bytes | None, what: str) -> JsonObject:
    if data is None:
        raise _Unread("too_large", f"the {what} is longer than what is kept of one")
    try:
        value = orjson.loads(data)
    except ValueError:
        raise _Unread("bad_json", f"the {what} is no whole JSON") from None
    if not isinstance(value, dict):
        raise _Unread("bad_json", f"the {what} is a JSON {type(value).__name__}, not an object")
    return dict(value)


def _unpacked(data: bytes | None, encoding: str) -> bytes:
    """The response's own bytes, at most MOST_BYTES."""
    if data is None:
        raise _Unread("too_large", "the response is longer than what is kept of one")
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip" | "deflate":
            return _inflated(data)
        case "zstd":
            return _unzstd(data)
        case other:
            raise _Unread("content_encoding", f"the response is packed as {other[:20]!a}, which is not unpacked here")


def _inflated(data: bytes) -> bytes:
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # deflate comes with a zlib header and without
        unpacker = zlib.decompressobj(bits)
        try:
            made = unpacker.decompress(data, MOST_BYTES)
        except zlib.error:
            continue
        if unpacker.unconsumed_tail:
            raise _Unread("too_large", "the response unpacks to more than what is kept of one")
        return made
    raise _Unread("content_encoding", "the response cannot be unpacked")


def _unzstd(data: bytes) -> bytes:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as reader:
            made = reader.read(MOST_BYTES + 1)
    except zstandard.ZstdError:
        raise _Unread("content_encoding", "the response cannot be unpacked") from None
    if len(made) > MOST_BYTES:
        raise _Unread("too_large", "the response unpacks to more than what is kept of one")
    return bytes(made)
