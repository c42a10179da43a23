"""Shape 12: texts laid end to end, each with or without loss."""

from __future__ import annotations

from dataclasses import replace

from screen.data.readers.rows import BadRow
from screen.data.records.reading import How, listed, make_sample
from screen.data.sample import Place, Sample, Turn
from screen.foreign import JsonObject


def find(value: JsonObject) -> dict[str, str] | None:
    found = listed(value.get("segments"))
    fits = type(found) is list and found and type(found[0]) is dict and "text" in found[0]
    return {"segments": "segments"} if fits else None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """Texts laid end to end without a template; those labelled true are scored."""
    found = listed(value.get("segments"))
    if type(found) is not list or any(type(s) is not dict or type(s.get("text")) is not str for s in found):
        raise BadRow("wrong_shape", "`segments` is not a list of objects with label and text")
    turns = [
        Turn("assistant" if s.get("label") else "user", s["text"], bool(s.get("label") and s["text"])) for s in found
    ]
    if not any(turn.scored for turn in turns):
        raise BadRow("no_response", "no segment with text is labelled true")
    return [replace(make_sample(value, place, how, turns, "pieces", read=("segments",)), bos=False)]
