"""What a training configuration says about a dataset; and how one that cannot be honoured is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from screen.data.records.wording import Wording
from screen.errors import InputError
from screen.foreign import JsonObject


@dataclass(frozen=True, slots=True)
class StatedConfig:
    """What a configuration says. `map`: role -> field, as --map."""

    format: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    train_on: str | None = None
    train_on_chat: str | None = None  # the same for conversations only
    roles: Mapping[str, str] = field(default_factory=dict)  # the dataset's role name -> a known one
    role_key: str = "role"
    content_key: str = "content"
    render: str | None = None  # of questions and answers given as texts: chat or plain
    wording: Wording | None = None
    ignored: frozenset[str] = frozenset()  # fields that the trainer does not read, though their names are usual
    notes: tuple[str, ...] = ()  # what is in the file and not followed


def pick(path: Path, entries: list[tuple[str, JsonObject]], datasets: Sequence[str]) -> JsonObject:
    """The entry of this dataset by its file name, or the only one."""
    names = {os.path.basename(name.rstrip("/")) for name in datasets}
    fitting = [info for name, info in entries if os.path.basename(name.rstrip("/")) in names]
    if len(fitting) == 1 or (not fitting and len(entries) == 1):
        return fitting[0] if fitting else entries[0][1]
    there = ", ".join(name for name, _ in entries[:8])
    raise InputError(
        f"{path}: cannot tell which of its {len(entries)} datasets this is ({there})",
        "leave only that one in a copy of the file, or give --format and --map",
    )


def refuse(path: Path, what: str) -> NoReturn:
    raise InputError(f"{path}: the configuration {what}", "give --format and --map instead")
