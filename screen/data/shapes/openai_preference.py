"""Shape 2: OpenAI's preference pairs, `input.messages` and two outputs."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.marks import style_of
from screen.data.records.reading import How, listed
from screen.data.records.sides import answer_side, build_sides, unscored
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject


def find(value: JsonObject) -> dict[str, str] | None:
    asked = listed(value.get("input"))
    if type(asked) is not dict or "messages" not in asked or value.get("preferred_output") is None:
        return None
    names = {"chosen": "preferred_output", "rejected": "non_preferred_output"}
    return {"prompt": "input.messages", **names} if "non_preferred_output" in value else None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    asked = listed(value.get("input"))
    if type(asked) is not dict or asked.get("messages") is None:
        raise BadRow("wrong_shape", "the row has no `input.messages`")
    inner = {**value, **{k: asked[k] for k in ("tools", "chat_template_kwargs") if asked.get(k)}}
    read = ("input", "preferred_output", "non_preferred_output")
    prompt = unscored(asked["messages"], "input.messages", how)
    sides = [answer_side(value, (name,), how) for name in ("preferred_output", "non_preferred_output")]
    styles = [style_of(side) if isinstance(side, str) else None for side in sides]
    return build_sides(inner, place, how, prompt, sides, styles, read)
