"""Prompts that nobody has answered: recognised, and refused row by row."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.messages import holds_messages
from screen.data.records.reading import How, first
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject

_PROMPT_ONLY = ("prompt", "question", "instruction", "problem", "query")


def find(value: JsonObject) -> dict[str, str] | None:
    name = next((n for n in _PROMPT_ONLY if type(value.get(n)) is str or holds_messages(value.get(n))), None)
    return {"prompt": name} if name else None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    name = first(value, _PROMPT_ONLY)
    if name is None:
        raise BadRow("wrong_shape", f"the row has none of {', '.join(_PROMPT_ONLY)}")
    raise BadRow("no_response", f"the row has `{name}` and no answer, so there is nothing to score")
