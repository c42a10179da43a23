"""Shape 3: preference pairs as everybody else has them. One record, two samples or none."""

from __future__ import annotations

from screen.data.readers.rows import BadRow
from screen.data.records.marks import style_of
from screen.data.records.messages import holds_messages, is_text
from screen.data.records.reading import How, first
from screen.data.records.sides import alike, answer_side, build_sides, two_samples, unscored
from screen.data.sample import Place, Sample, Turn
from screen.data.shapes.alpaca import extra_of, instruction_text
from screen.foreign import JsonObject

CHOSEN = ("chosen", "chosen_response")
REJECTED = ("rejected", "rejected_response")
_PROMPTS = ("prompt", "conversations", "messages", "question", "query", "input")
Texts = tuple[str, list[str], tuple[str, ...]]  # a pair's prompt, its sides, and the fields that they are of


def find(value: JsonObject) -> dict[str, str] | None:
    chosen, rejected = first(value, CHOSEN), first(value, REJECTED)
    if chosen is None or rejected is None or not (_side(value[chosen]) and _side(value[rejected])):
        return None
    prompt = "instruction" if value.get("instruction") else first(value, _PROMPTS)
    return ({"prompt": prompt} if prompt else {}) | {"chosen": chosen, "rejected": rejected}


def _side(value: object) -> bool:
    return type(value) is str or type(value) is dict or holds_messages(value)


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """Text, one message or a list of messages a side; the prompt stands apart or is what both begin with."""
    texts = _as_texts(value, how)
    if texts is not None and how.render == "plain":
        return _plain(value, place, how, *texts)
    return _rendered(value, place, how, texts)


def _as_texts(value: JsonObject, how: How) -> Texts | None:
    """Prompt, sides and the fields that they are of, where all are texts."""
    name = "instruction" if value.get("instruction") else first(value, _PROMPTS)
    chosen, rejected = first(value, CHOSEN), first(value, REJECTED)
    if chosen is None or rejected is None:
        return None
    fields = tuple(field for field in (name, chosen, rejected) if field)
    for field in fields:
        if not is_text(value[field]):
            return None
    read = fields if name != "instruction" else tuple(field for field in (*fields, extra_of(value, how)) if field)
    prompt = instruction_text(value, how) if name == "instruction" else value[name] if name else ""
    return prompt, [value[chosen], value[rejected]], read


def _plain(
    value: JsonObject, place: Place, how: How, prompt: str, sides: list[str], read: tuple[str, ...]
) -> list[Sample]:
    """Prompt and sides as they stand, end to end."""
    if not prompt:
        return _texts(value, place, how, sides, read, True)
    if not all(sides):
        raise BadRow("empty_answer", "the answer on a side of the pair is empty")
    turns = [[Turn("user", prompt), Turn("assistant", side, True)] for side in sides]
    return two_samples(value, place, how, turns, read, "plain", True)


def _rendered(value: JsonObject, place: Place, how: How, texts: Texts | None) -> list[Sample]:
    prompt, asked = _prompt(value, how)
    sides: list[str | list[Turn]]
    if texts is not None:
        sides, read = [*texts[1]], texts[2]
    else:
        sides = [answer_side(value, CHOSEN, how), answer_side(value, REJECTED, how)]
        read = tuple(name for name in (*asked, first(value, CHOSEN), first(value, REJECTED)) if name)
    styles = [style_of(side) if isinstance(side, str) else None for side in sides]
    if not prompt and styles == [None, None] and (plain := [side for side in sides if isinstance(side, str)]) == sides:
        return _texts(value, place, how, plain, read, texts is not None)
    return build_sides(value, place, how, prompt, sides, styles, read, texts is not None)


def _texts(
    value: JsonObject, place: Place, how: How, sides: list[str], read: tuple[str, ...], as_texts: bool
) -> list[Sample]:
    """Two plain texts: what they begin with in common, up to a blank, is the prompt."""
    if not all(sides):
        raise BadRow("empty_answer", "the answer on a side of the pair is empty")
    shared = alike(sides[0], sides[1])
    if shared == min(map(len, sides)) or not sides[0][shared - 1 : shared].isspace():
        blanks = [sides[0].rfind(blank, 0, shared) for blank in (" ", "\n")]
        shared = max(blanks) + 1
    shared = shared if all(text[shared:].strip() for text in sides) else 0
    prompt = [Turn("user", sides[0][:shared])] if shared else []
    made = [[*prompt, Turn("assistant", text[shared:], True)] for text in sides]
    return two_samples(value, place, how, made, read, "plain", as_texts)


def _prompt(value: JsonObject, how: How) -> tuple[list[Turn], tuple[str | None, ...]]:
    """What stands before both sides, and the fields that it is made of."""
    if type(value.get("instruction")) is str and value["instruction"]:
        return [Turn("user", instruction_text(value, how))], ("instruction", extra_of(value, how))
    name = first(value, _PROMPTS)
    return (unscored(value[name], name, how) if name and value[name] != "" else []), (name,)
