"""Data on standard output, for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from screen.errors import UsageError
from screen.jsonl import dump


def one_format(first: bool, second: bool, names: tuple[str, str] = ("--json", "--csv")) -> None:
    if first and second:
        raise UsageError(f"{' and '.join(names)} exclude each other", "give one of them")


def print_json(value: Any) -> None:
    sys.stdout.write(dump(value) + "\n")


def print_json_lines(values: Iterable[Any]) -> None:
    for value in values:
        print_json(value)
