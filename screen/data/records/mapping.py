"""--map: which field is what, and inside messages which key. A dot after a role leads into its messages
(`messages.role=from`), a dot in a field leads into an object (`prompt=question.text`)."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from screen.data.readers.rows import BadRow
from screen.data.records.reading import listed, shown
from screen.data.sample import RawRow
from screen.errors import InputError, UsageError
from screen.foreign import JsonObject

INNER = ("role", "content", "name", "reasoning_content", "tool_calls", "weight", "train")


def renamed(value: object, given: Mapping[str, str]) -> Any:
    """The record with the roles of --map in place."""
    if not given or type(value) is not dict:
        return value
    outer = {role: name for role, name in given.items() if not _inner(role)}
    moved = {role: at for role, name in outer.items() if (at := _dig(value, name)) is not None}
    gone = {name for role, name in outer.items() if role != name}
    made = {k: v for k, v in value.items() if k not in gone} | moved
    for role, name in given.items():
        if _inner(role):
            field, _, key = role.partition(".")
            made[field] = _inside(made.get(field), key, name)
    return {k: v for k, v in made.items() if v is not None or k in value}


def taken(given: Mapping[str, str]) -> frozenset[str]:
    """The fields of a record that a map takes something from."""
    names = [name for role, name in given.items() if not _inner(role)]
    return frozenset(part for name in names for part in (name, name.partition(".")[0]))


def check_map(given: Mapping[str, str], records: list[tuple[RawRow, JsonObject]], known: Collection[str]) -> None:
    """Raises UsageError for a role that no shape has, InputError for a field that no row has."""
    for role, name in given.items():
        field, _, key = role.partition(".")
        if field not in known or (key and key not in INNER):
            near = difflib.get_close_matches(role, sorted(known), 1)
            hint = f"did you mean {near[0]}? " if near else ""
            inside = ", ".join(f"{field}.{key}" for key in INNER) if key and field in known else ""
            there = f"inside messages there are {inside}" if inside else f"roles are {', '.join(sorted(known))}"
            raise UsageError(f"--map {role}={name}: no role {role}", hint + there)
        if key:
            _check_inside(role, name, field, given, records)
        elif all(_dig(row.value, name) is None for row, _ in records):
            raise InputError(
                f"--map {role}={name}: none of the first {len(records)} rows has the field {name}",
                f"the first row has {names_in(records[0][0].value)}",
            )


def names_in(value: JsonObject) -> str:
    """The names in a record, for a message."""
    names = [shown(name) for name in list(value)[:12]]
    return ", ".join(names) + (", ..." if len(value) > 12 else "") if names else "(none)"


def _check_inside(
    role: str, name: str, field: str, given: Mapping[str, str], records: list[tuple[RawRow, JsonObject]]
) -> None:
    held = [_messages(_dig(row.value, given.get(field, field))) for row, _ in records]
    first = next((messages[0] for messages in held if messages), None)
    if first is None:
        raise InputError(
            f"--map {role}={name}: none of the first {len(records)} rows has messages in {given.get(field, field)}",
            f"say which field holds them, such as --map {field}=FIELD; the first row has "
            + names_in(records[0][0].value),
        )
    if all(_dig(message, name) is None for messages in held for message in messages):
        raise InputError(
            f"--map {role}={name}: no message in the first {len(records)} rows has {name}",
            f"the first message has {names_in(first)}",
        )


def _inner(role: str) -> bool:
    return "." in role


def _messages(value: object) -> list[JsonObject]:
    try:
        found = listed(value)
    except BadRow:
        return []
    return [m for m in (found if type(found) is list else [found]) if type(m) is dict]


def _inside(value: object, key: str, name: str) -> Any:
    """The messages with what stands under `name` put under `key`; anything else as it is."""
    found = listed(value)
    if type(found) is dict:
        return _message(found, key, name)
    return [_message(m, key, name) if type(m) is dict else m for m in found] if type(found) is list else value


def _message(message: JsonObject, key: str, name: str) -> JsonObject:
    at = _dig(message, name)
    return message if at is None else {k: v for k, v in message.items() if k != name.partition(".")[0]} | {key: at}


def _dig(value: object, name: str) -> Any:
    if type(value) is dict and name in value:
        return value[name]
    for part in name.split("."):
        if type(value) is not dict:
            return None
        value = value.get(part)
    return value
