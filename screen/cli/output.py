"""Data on standard output, for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from screen.errors import UsageError


def dump(value: Any) -> str:
    """One line of JSON in ASCII, so that nothing in it can steer a terminal; NaN and infinities become null."""
    text = json.dumps(_finite(value), default=str)
    return text.replace("\x7f", "\\u007f")


def one_format(first: bool, second: bool, names: tuple[str, str] = ("--json", "--csv")) -> None:
    if first and second:
        raise UsageError(f"{' and '.join(names)} exclude each other", "give one of them")


def print_json(value: Any) -> None:
    sys.stdout.write(dump(value) + "\n")


def print_json_lines(values: Iterable[Any]) -> None:
    for value in values:
        print_json(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
