"""Shape 10: a prompt and its answer in fields of their own."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.answered import Asked, build_answered
from screen.data.records.messages import holds_messages
from screen.data.records.reading import How, first
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject

_PAIRS = {  # prompt field -> answer fields that go with it, the likeliest first
    "prompt": ("completion", "response", "answer", "solution", "output"),
    "question": ("answer", "response", "completion", "solution", "output"),
    "query": ("response", "answer", "completion", "output"),
    "problem": ("solution", "answer", "response", "completion"),
    "input": ("output", "response", "completion"),
}


def find(value: JsonObject) -> dict[str, str] | None:
    names = _pair(value)
    if names is None or not (_textual(value[names[0]]) and _textual(value[names[1]])):
        return None
    return {"prompt": names[0], "completion": names[1]}


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    names = _pair(value)
    if names is None:
        prompt = first(value, _PAIRS)
        if prompt is None:
            raise BadRow("wrong_shape", f"the row has none of the prompt fields {', '.join(_PAIRS)}")
        raise BadRow("no_response", f"the row has `{prompt}` but no answer to it")
    return build_answered(value, Asked(names[0]), names[1], place, how)


def _pair(value: JsonObject) -> tuple[str, str] | None:
    """Prompt and answer field. Beside an `instruction`, other fields hold copies of its parts."""
    if "instruction" in value:
        return ("prompt", "completion") if first(value, ("prompt",)) and first(value, ("completion",)) else None
    for prompt, answers in _PAIRS.items():
        if value.get(prompt) is not None and (answer := first(value, answers)):
            return prompt, answer
    return None


def _textual(value: object) -> bool:
    return type(value) is str or (type(value) is dict and "role" in value) or holds_messages(value)
