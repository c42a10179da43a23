"""The field of a row that `--group-by` names."""

from __future__ import annotations

import difflib

from screen.data.dataset import Dataset
from screen.data.sample import RawRow
from screen.errors import InputError

_SHOWN = 8


def group_of(value: object, field: str) -> str:
    """The text of a row's field, a dotted path into nested objects; "" where the row has none."""
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else value if isinstance(value, str) else str(value)


def check_group(dataset: Dataset, field: str, flag: str = "--group-by") -> None:
    """Raises InputError, about `flag`, where no row has the field. Reads as far as the first row that does."""
    known: set[str] = set()
    for window in dataset.windows(256):
        for entry in window.entries:
            if isinstance(entry, RawRow):
                if group_of(entry.value, field):
                    return
                known.update(_fields(entry.value))
    close = difflib.get_close_matches(field, known, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    shown = sorted(known)
    more = ", ..." if len(shown) > _SHOWN else ""
    fields = ", ".join(ascii(name)[1:-1] for name in shown[:_SHOWN]) + more
    raise InputError(f"{flag} {field}: no row has this field", f"{hint}fields of the rows: {fields}")


def _fields(value: object, depth: int = 2) -> list[str]:
    """The names of a row's fields that hold a value of their own, those of nested objects as dotted paths."""
    if not isinstance(value, dict):
        return []
    names = [name for name, v in value.items() if isinstance(v, str | int | float)]
    nested = [(name, v) for name, v in value.items() if isinstance(v, dict) and depth > 1]
    return names + [f"{name}.{inner}" for name, v in nested for inner in _fields(v, depth - 1)]
