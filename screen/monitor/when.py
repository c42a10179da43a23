"""When a conversation was had: the field of its row that says so, and what it says. Knows nothing of scores."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

NAMES: Final = (
    "timestamp", "@timestamp", "time", "ts", "datetime", "created_at", "createdAt", "created", "date", "start_time",
    "started_at", "request_time", "logged_at",
)  # fmt: skip
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))  # from what size a number counts nano, micro, milliseconds
_EARLIEST, _LATEST = 631152000.0, 4102444800.0  # 1990 and 2100: what lies outside is no time of a conversation


def seconds(value: object) -> float | None:
    """Seconds since 1970 of what a row says: ISO 8601, the form of mail headers, or a count of seconds, milli-, micro-
    or nanoseconds; without a zone it is UTC. None for what is no time."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if (number := _number(value)) is not None:
        told = number / next((unit for least, unit in _UNITS if number >= least), 1.0)
        return told if _EARLIEST <= told <= _LATEST else None
    text = str(value).strip().removesuffix(" UTC")
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            parsed = parse(text)
            told = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
        return told if _EARLIEST <= told <= _LATEST else None
    return None


def _number(value: float | str) -> float | None:
    """A count of units of time, not "2026" or "20260301"."""
    if isinstance(value, str) and not re.fullmatch(r"\d{9,19}(\.\d+)?", value.strip()):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def field_of(rows: Sequence[object]) -> str | None:
    """The field that holds a time in most of these rows: one of NAMES, at the top or one level below; None where none
    does."""
    candidates: dict[str, None] = {}
    for row in rows:
        candidates |= dict.fromkeys(_named(row))
    order = sorted(candidates, key=lambda name: ("." in name, NAMES.index(name.rpartition(".")[2])))
    return next((name for name in order if 2 * sum(at(row, name) is not None for row in rows) > len(rows)), None)


def _named(row: object) -> Iterable[str]:
    if not isinstance(row, dict):
        return
    for name, value in row.items():
        if name in NAMES:
            yield name
        elif isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in NAMES if inner in value)


def at(row: object, field: str) -> float | None:
    """What a row says in a field, a dotted path into nested objects."""
    for part in field.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return seconds(row)


def day(moment: float) -> str:
    """ "2026-03-01", in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def moment_of(moment: float) -> str:
    """ "2026-03-01T09:30:00Z"."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
