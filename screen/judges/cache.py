"""Where judgements are kept, by content. On disk: `screen.store.cache.judgements`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from screen.foreign import JsonObject


class JudgementStore(Protocol):
    """Values of plain JSON by key. What was put is got back, or nothing."""

    def get(self, key: str) -> JsonObject | None: ...

    def put(self, key: str, value: JsonObject) -> None: ...


def key_of(content: JsonObject) -> str:
    """sha256 (hex) over the content as canonical JSON. Any text will do, lone surrogates too."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class MemoryCache:
    """Forgets everything at the end."""

    def __init__(self) -> None:
        self._values: dict[str, Mapping[str, object]] = {}

    def get(self, key: str) -> JsonObject | None:
        return self._values.get(key)

    def put(self, key: str, value: JsonObject) -> None:
        self._values[key] = value
