"""Shape 4: KTO. An answer and whether it is wanted; one that is not has the sign -1."""

from __future__ import annotations

from dataclasses import replace

from screen.data.readers.rows import BadRow
from screen.data.records.answered import Asked, build_answered
from screen.data.records.messages import holds_messages
from screen.data.records.reading import How
from screen.data.sample import Place, Sample
from screen.data.shapes import alpaca, chat
from screen.foreign import JsonObject

_LABELS = ("label", "kto_tag")


def find(value: JsonObject) -> dict[str, str] | None:
    label = next((n for n in _LABELS if _truth(value.get(n)) is not None), None)
    if label is None:
        return None
    if "prompt" in value and "completion" in value:
        return {"prompt": "prompt", "completion": "completion", "label": label}
    if label == "kto_tag" and (fields := alpaca.find(value)):
        return {**fields, "label": label}
    messages = next((n for n in ("messages", "conversations") if holds_messages(value.get(n))), None)
    return {"messages": messages, "label": label} if messages and label == "kto_tag" else None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """The completion; one that is not wanted has the sign -1."""
    label = next((found for n in _LABELS if (found := _truth(value.get(n), numbers=True)) is not None), None)
    if label is None:
        raise BadRow("no_label", "the row has no label of true or false, so it trains neither toward nor away from it")
    how = replace(how, train_on="assistant") if how.train_on == "all" else how  # never any loss on the prompt
    rest = {name: held for name, held in value.items() if name not in _LABELS}
    if value.get("completion") is None and "messages" in value:
        made = chat.build(rest, place, how)
    elif value.get("completion") is None and "conversations" in value:
        made = chat.build_sharegpt(rest, place, how)
    elif "instruction" in value and (value.get("completion") is None or value.get("prompt") is None):
        made = alpaca.build(rest, place, how)
    else:
        made = build_answered(rest, Asked("prompt"), "completion", place, how)
    return made if label else [replace(sample, sign=-sample.sign) for sample in made]


def _truth(value: object, *, numbers: bool = False) -> bool | None:
    """A label: true or false, also as the text that a table holds; 1 or 0 only where the rows are known to be KTO's."""
    if type(value) is bool or (numbers and type(value) is int and value in (0, 1)):
        return bool(value)
    return {"true": True, "false": False}.get(value.strip().lower()) if type(value) is str else None
