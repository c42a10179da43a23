"""Shape 11: Alpaca. Instruction and input make the prompt; `history` comes before them."""

from __future__ import annotations

from collections.abc import Iterable

from screen.data.readers.rows import BadRow
from screen.data.records.answered import Asked, build_answered
from screen.data.records.reading import How, first, kind, listed, said
from screen.data.records.wording import ALPACA
from screen.data.sample import Place, Sample
from screen.foreign import JsonObject

_OUTPUTS = ("output", "response", "completion", "answer")


def find(value: JsonObject) -> dict[str, str] | None:
    name = next((n for n in _OUTPUTS if type(value.get(n)) is str), None)
    if name is None or type(value.get("instruction")) is not str:
        return None
    more = {n: n for n in ("input", "history") if n in value}
    if "input" not in value and type(value.get("context")) is str:
        more["input"] = "context"
    return {"instruction": "instruction", **more, "output": name}


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """Instruction and input on lines of their own make the prompt; `history` comes before them."""
    if type(value.get("instruction")) is not str:
        raise BadRow("wrong_shape", "the row has no text in `instruction`")
    name = first(value, _OUTPUTS)
    if name is None:
        raise BadRow("no_response", f"the row has an instruction but none of {', '.join(_OUTPUTS)}")
    if how.render == "plain":
        return build_answered(value, _worded(value, how), name, place, how, layout="pieces")
    turns = [*_history(value.get("history")), {"role": "user", "content": instruction_text(value, how)}]
    read = tuple(field for field in ("instruction", extra_of(value, how), "history") if field)
    return build_answered(value, Asked("instruction", turns, read, history=True), name, place, how)


def _worded(value: JsonObject, how: How) -> Asked:
    """An instruction as a plain prompt."""
    wording = how.wording or ALPACA
    extra, system = extra_of(value, how), wording.field_system
    if extra is not None and type(value.get(extra)) not in (str, type(None)):
        raise BadRow("wrong_shape", f"`{extra}` is {kind(value[extra])}, not text")
    said_by_system = str(value.get(system) or "") if system else ""
    text = wording.prompt(value["instruction"], (value.get(extra) or "") if extra else "", said_by_system)
    return Asked("instruction", text, tuple(name for name in ("instruction", extra, system) if name))


def extra_of(value: JsonObject, how: How) -> str | None:
    """The field that completes an instruction: `input`, or Dolly's `context` where that has nothing to say."""
    if said(value.get("input")) or how.mapped or how.exact:
        return "input"
    return "context" if type(value.get("context")) is str and value["context"] else None


def instruction_text(value: JsonObject, how: How) -> str:
    """The user's turn of an Alpaca record."""
    name = extra_of(value, how)
    extra = value.get(name) if name else None
    if extra is not None and type(extra) is not str:
        raise BadRow("wrong_shape", f"`{name}` is {kind(extra)}, not text")
    instruction = str(value.get("instruction") or "")
    return f"{instruction}\n{extra}" if extra and instruction else instruction or extra or ""


def _history(history: object) -> Iterable[dict[str, str]]:
    pairs = listed(history) or []
    if type(pairs) is not list:
        raise BadRow("wrong_shape", f"`history` is {kind(history)}, not a list of [question, answer]")
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2 or any(type(text) is not str for text in pair):
            raise BadRow("wrong_shape", "`history` is not a list of [question, answer]")
        yield {"role": "user", "content": pair[0]}
        yield {"role": "assistant", "content": pair[1]}
