"""Which of the shapes a dataset has, from its first rows."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from screen.data.readers.rows import BadRow
from screen.data.records import reading
from screen.data.records.mapping import check_map, names_in, renamed
from screen.data.sample import RawRow
from screen.data.shapes.document import is_message
from screen.data.shapes.forms import (
    ANSWERED,
    BY_NAME,
    CHATS,
    FORMS,
    MIXED,
    Build,
    ShapeReader,
    build_chat_of,
    build_mixed,
    recognise,
)
from screen.errors import InputError, UsageError
from screen.foreign import JsonObject


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of a dataset look like. `fields`: role -> field of the record."""

    name: str
    fields: Mapping[str, str]
    evidence: str  # one sentence for people
    preference: bool
    map: Mapping[str, str] = field(default_factory=dict)  # as the user gave it
    render: str = "chat"  # plain: its texts are laid end to end, without the chat template


NAMES = tuple(dict.fromkeys(form.name for form in FORMS))
COMMON_ROLES = ("id", "system", "tools", "chat_template_kwargs", "weight")
_ALIASES = {
    "messages": "chat", "openai": "chat", "conversations": "sharegpt", "dpo": "preference", "text": "document",
    "pretrain": "document", "tokenized": "tokenised", "instruction": "alpaca",
}  # fmt: skip


def build_of(shape: Shape, *, exact: bool) -> Build:
    """How a row is read. Not `exact`: a chat of another shape than its dataset's is read by its own."""
    if shape.name == MIXED:
        return build_mixed
    if shape.name == "document" and not exact:
        return BY_NAME["dialogue"].build  # a conversation far down is one all the same
    form = BY_NAME[shape.name]
    return form.build if exact or form.name not in CHATS + ANSWERED else build_chat_of(form)


def detect(rows: Sequence[RawRow], forced: str | None, given: Mapping[str, str], *, trusted: bool = False) -> Shape:
    """The shape of the dataset that begins with `rows` (parsed, maybe unusable). Raises InputError.

    `trusted`: a configuration names the shape, so that a row need only have one of its fields.
    """
    if forced == MIXED:
        return Shape(MIXED, {}, "each row that is a conversation is read by its own shape", False, dict(given))
    records = []
    for row in rows:
        with suppress(BadRow):  # JSON text too deep to be looked into
            if type(row.value) is dict:
                records.append((row, renamed(row.value, given)))
    if not records:
        raise InputError(
            f"none of the first {len(rows)} rows is a JSON object with named fields",
            'write each row as an object, such as {"messages": [...]}',
        )
    check_map(given, records, {role for form in FORMS for role in form.roles} | set(COMMON_ROLES))
    candidates = _candidates(forced, given)
    found: dict[str, tuple[RawRow, dict[str, str], int]] = {}
    weak: dict[str, tuple[RawRow, dict[str, str], int]] = {}
    for row, record in records:
        form, fields = _recognise(record, candidates, trusted and forced is not None)
        if form is not None and fields is not None:
            into = weak if form.weak else found
            seen = into.get(form.name)
            into[form.name] = (seen[0], fields | seen[1], seen[2] + 1) if seen else (row, fields, 1)
    return _decide(found or weak, forced, given, records)


def _recognise(
    record: JsonObject, candidates: Sequence[ShapeReader], trusted: bool
) -> tuple[ShapeReader, dict[str, str]] | tuple[None, None]:
    if candidates[0].name == "kto" == candidates[-1].name and type(record.get("label")) is int:
        record = {**record, "label": bool(record["label"])}  # --format kto says what the numbers mean
    if found := recognise(record, candidates):
        return found
    if trusted and (name := next((role for role in candidates[0].roles if role in record), None)):
        return candidates[0], {name: name}
    return None, None


def _decide(
    found: dict[str, tuple[RawRow, dict[str, str], int]],
    forced: str | None,
    given: Mapping[str, str],
    records: list[tuple[RawRow, JsonObject]],
) -> Shape:
    if {"chat", "chat-system"} <= set(found):
        chat, system = found.pop("chat"), found["chat-system"]
        found["chat-system"] = (system[0], system[1], system[2] + chat[2])
    if {"dialogue", "document"} <= set(found):
        document, spoken = found.pop("document"), found["dialogue"]
        found["dialogue"] = (spoken[0], spoken[1], spoken[2] + document[2])
    if not found:
        _refuse_unknown(forced, records)
    if len(found) > 1 and set(found) <= set(CHATS + ANSWERED) and not given:
        return _mixed(found, len(records))
    if len(found) > 1:
        (one, (row_a, *_)), (two, (row_b, *_)) = sorted(found.items(), key=lambda item: -item[1][2])[:2]
        raise InputError(
            f"the dataset mixes shapes: {row_a.place} is {one}, {row_b.place} is {two}",
            f"split it, or give --format {one} to score those rows and skip the others",
        )
    ((name, (_, fields, count)),) = found.items()
    named = {role: given.get(role, name) for role, name in fields.items()}
    said = " and ".join(f"`{reading.shown(field)}`" for field in named.values())
    evidence = f"{count} of the first {len(records)} rows {'has' if count == 1 else 'have'} {said}"
    return Shape(name, named, evidence, BY_NAME[name].preference, dict(given))


def _mixed(found: Mapping[str, tuple[RawRow, dict[str, str], int]], looked_at: int) -> Shape:
    """Conversations of several shapes are one dataset: each row is read by its own."""
    counts = sorted(((count, name) for name, (_, _, count) in found.items()), reverse=True)
    told = ", ".join(f"{count:,} {name}" for count, name in counts)
    return Shape(MIXED, {}, f"of the first {looked_at} rows {told}; each is read by its own shape", False)


def _candidates(forced: str | None, given: Mapping[str, str]) -> list[ShapeReader]:
    if forced is not None:
        name = _ALIASES.get(forced, forced)
        if name not in NAMES:
            near = difflib.get_close_matches(forced, NAMES, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"--format {forced}: no such shape", f"{hint}known are {', '.join((*NAMES, MIXED))}")
        return [f for f in FORMS if f.name == name or (name == "chat-system" and f.name == "chat")]
    asked = {role.partition(".")[0] for role in given} - set(COMMON_ROLES)
    fitting = [form for form in FORMS if asked <= set(form.roles)]
    if fitting:
        return fitting
    raise UsageError(
        f"--map names {', '.join(sorted(asked))}, which no one shape has together",
        "name the roles of one shape: " + "; ".join(f"{f.name}: {', '.join(f.roles)}" for f in FORMS if f.roles),
    )


def _refuse_unknown(forced: str | None, records: list[tuple[RawRow, JsonObject]]) -> None:
    row = records[0][0]
    if not forced and is_message(row.value):
        raise InputError(
            f"each row is one message of a conversation, not a whole one: {row.place} has {names_in(row.value)}",
            'join the messages of a conversation into one row, {"messages": [{"role": ..., "content": ...}, ...]}',
        )
    what = f"no row fits --format {forced}" if forced else "the rows have no shape that is known"
    raise InputError(
        f"{what}: {row.place} has the fields {names_in(row.value)}",
        "say which field is what, for example --map prompt=FIELD --map completion=FIELD",
    )
