"""Shape 5: an answer in steps, each with a label."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.answered import Asked, build_answered
from screen.data.records.reading import How, listed
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject


def find(value: JsonObject) -> dict[str, str] | None:
    if type(listed(value.get("completions"))) is list and type(listed(value.get("labels"))) is list:
        return {"prompt": "prompt", "completions": "completions", "labels": "labels"} if "prompt" in value else None
    return None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    steps = listed(value.get("completions"))
    if type(steps) is not list or any(type(step) is not str for step in steps):
        raise BadRow("wrong_shape", "`completions` is not a list of texts")
    return build_answered(value, Asked("prompt"), "completions", place, how, answer="\n".join(steps))
