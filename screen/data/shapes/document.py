"""Shape 13: a document, all of it scored."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.marks import held_marks
from screen.data.records.messages import ROLES
from screen.data.records.reading import How, kind, make_sample, shown
from screen.data.sample import Place, Sample, Turn
from screen.foreign import JsonObject


def find(value: JsonObject) -> dict[str, str] | None:
    return {"text": "text"} if type(value.get("text")) is str and not is_message(value) else None


def find_lone(value: JsonObject) -> dict[str, str] | None:
    """A record of one field that is text: a document whatever its name."""
    name = next(iter(value), "")
    return {"text": name} if len(value) == 1 and type(value[name]) is str else None


def is_message(value: JsonObject) -> bool:
    """Whether a record is one message of a conversation that stands in several rows: no document, whoever speaks."""
    role = next((value[key] for key in ("role", "from") if type(value.get(key)) is str), "")
    return role.strip().lower() in ROLES


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    name = how.fields.get("text", "text")
    text = value.get(name)
    if type(text) is not str:
        raise BadRow("wrong_shape", f"`{shown(name)}` is {kind(text)}, not text")
    if not text.strip():
        raise BadRow("empty_answer", "the document has no text")
    return [
        make_sample(
            value, place, how, (Turn("assistant", text, True),), "document", read=(name,), marks=held_marks(text)
        )
    ]
