"""A conversation written into one text, with role marks."""

from __future__ import annotations

from dataclasses import replace

from screen.data.records.answered import scored_answers
from screen.data.records.marks import raw, split, style_of
from screen.data.records.messages import require_scored
from screen.data.records.reading import How, make_sample, with_system
from screen.data.sample import Layout, Place, Sample
from screen.data.shapes import document
from screen.foreign import JsonObject


def find(value: JsonObject) -> dict[str, str] | None:
    return {"text": "text"} if type(value.get("text")) is str and style_of(value["text"]) else None


def find_lone(value: JsonObject) -> dict[str, str] | None:
    found = document.find_lone(value)
    return found if found and style_of(value[found["text"]]) else None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """A text with role marks, as its turns. One that is no conversation is a document, its marks on record."""
    name = how.fields.get("text", "text")
    text = value.get(name)
    style = style_of(text) if type(text) is str and how.train_on != "all" else None
    if style is None or type(text) is not str:
        return document.build(value, place, replace(how, shape="document"))
    how = replace(how, shape="dialogue")
    plain = how.render == "plain"
    turns = scored_answers(raw(text, style) if plain else split(text, style), how)
    require_scored(turns)
    turns = turns if plain else with_system(value, turns)
    layout: Layout = "plain" if plain else "chat"
    return [make_sample(value, place, how, turns, layout, read=(name,), as_texts=True, split_at=style.name)]
