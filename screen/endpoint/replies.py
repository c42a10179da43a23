"""What an OpenAI-compatible endpoint answers, checked field by field. Knows nothing of HTTP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

from screen.endpoint.failures import EndpointError
from screen.foreign import JsonObject


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """One token of an answer: its text, and (text, log-probability) of the most likely tokens in its place."""

    text: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ChatReply:
    """An answer. `truncated`: it reached the length limit. `tokens`: None where there are no log-probabilities."""

    text: str
    truncated: bool
    tokens: tuple[TokenChoice, ...] | None
    model: str = ""  # as the endpoint calls it


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion of token ids. `ids`: the answer's own tokens; `prompt_tokens`: how many of the prompt's the server
    saw. Each number is None where the endpoint does not give it."""

    text: str
    truncated: bool
    ids: tuple[int, ...] | None
    prompt_tokens: int | None = None
    tokens: int | None = None  # how many the answer has, the one that ended it among them or not


def read_chat(body: JsonObject) -> ChatReply:
    """Raises EndpointError of kind "refused", "filtered" or "shape"."""
    choice = _choices(body)[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        _wrong("choices[0].message", message)
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        raise EndpointError(
            "the endpoint's content filter stopped the answer",
            "reword the request, or use an endpoint without such a filter",
            kind="filtered",
        )
    refusal = message.get("refusal")
    if refusal:
        raise EndpointError(
            f"the model refused: {' '.join(str(refusal).split())[:200]}",
            "reword the request, or use another model",
            kind="refused",
        )
    text = message.get("content")
    if text is None and finish == "length":  # a model that spent all its tokens on thoughts
        text = ""
    if not isinstance(text, str):
        _wrong("choices[0].message.content", text)
    return ChatReply(text, finish == "length", _tokens(choice.get("logprobs")), str(body.get("model") or ""))


def read_completions(body: JsonObject, n: int) -> list[Completion]:
    """`n` completions in the order of their index."""
    choices = _choices(body)
    if len(choices) != n:
        _wrong("choices", choices, f"{n} of them")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    seen, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    made = []
    for at, choice in enumerate(sorted(choices, key=lambda c: c["index"] if isinstance(c.get("index"), int) else 0)):
        text, ids = choice.get("text"), choice.get("token_ids")
        if not isinstance(text, str):
            _wrong(f"choices[{at}].text", text)
        if ids is not None and not (isinstance(ids, list) and all(type(i) is int and i >= 0 for i in ids)):
            _wrong(f"choices[{at}].token_ids", ids)
        own = None if ids is None else tuple(ids)
        truncated = choice.get("finish_reason") == "length"
        made.append(Completion(text, truncated, own, seen, written if n == 1 else None))
    return made


def _count(value: object) -> int | None:
    return value if type(value) is int else None


def read_models(body: JsonObject) -> list[str]:
    """The names of the models that an endpoint serves."""
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(m, dict) and isinstance(m.get("id"), str) for m in data):
        _wrong("data", data)
    return [m["id"] for m in data]


def _choices(body: JsonObject) -> list[dict[str, Any]]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
        _wrong("choices", choices)
    return choices


def _tokens(logprobs: object) -> tuple[TokenChoice, ...] | None:
    """None where there are none: `logprobs` absent, null, or without content."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not content:
        return None
    if not isinstance(content, list):
        _wrong("choices[0].logprobs.content", content)
    made = []
    for token in content:
        top = token.get("top_logprobs") if isinstance(token, dict) else None
        if not isinstance(top, list) or not isinstance(token.get("token"), str):
            _wrong("choices[0].logprobs.content", content)
        if not all(isinstance(t, dict) and isinstance(t.get("token"), str) and _is_log(t.get("logprob")) for t in top):
            _wrong("choices[0].logprobs.content.top_logprobs", top)
        made.append(TokenChoice(token["token"], tuple((t["token"], float(t["logprob"])) for t in top)))
    return tuple(made)


def _is_log(value: object) -> bool:
    """A log-probability: a number up to 0, give or take rounding; minus infinity counts."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value) and value <= 1e-3


def _wrong(field: str, value: object, wanted: str = "") -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    raise EndpointError(
        f"the endpoint's answer has an unexpected `{field}`: {shown}" + (f" (asked for {wanted})" if wanted else ""),
        "it does not speak the OpenAI protocol; check OPENAI_BASE_URL",
        kind="shape",
    )
