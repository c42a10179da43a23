"""Where each key's answer lies, in 16 bytes a key: a dict of a million keys would take 200 MB.

A key stands by its first eight bytes; two keys that share them are told apart by the reader, who finds the full
key at the place. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_OFFSET_BITS = 44  # 16 TB a segment, a million segments
_PENDING = 1 << 14  # new keys wait in a dict, so that the sorted arrays are not copied for every batch


class KeyIndex:
    """(segment, offset) by key."""

    def __init__(self) -> None:
        self._prefixes = np.empty(0, np.uint64)
        self._places = np.empty(0, np.uint64)
        self._pending: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._prefixes) + len(self._pending)

    def add(self, items: Iterable[tuple[bytes, int, int]]) -> None:
        """Keys with their segment and offset; a key that is known keeps its place."""
        for key, segment, offset in items:
            prefix = _prefix(key)
            if self._find(prefix) is None:
                self._pending[prefix] = segment << _OFFSET_BITS | offset
                if len(self._pending) >= _PENDING:
                    self._merge()

    def get(self, key: bytes) -> tuple[int, int] | None:
        place = self._find(_prefix(key))
        return None if place is None else (place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1))

    def _find(self, prefix: int) -> int | None:
        if prefix in self._pending:
            return self._pending[prefix]
        at = int(np.searchsorted(self._prefixes, np.uint64(prefix)))
        if at < len(self._prefixes) and int(self._prefixes[at]) == prefix:
            return int(self._places[at])
        return None

    def _merge(self) -> None:
        prefixes = np.concatenate([self._prefixes, np.fromiter(self._pending, np.uint64)])
        places = np.concatenate([self._places, np.fromiter(self._pending.values(), np.uint64)])
        order = np.argsort(prefixes, kind="stable")
        self._prefixes, self._places = prefixes[order], places[order]
        self._pending = {}


def _prefix(key: bytes) -> int:
    if len(key) < 8:
        raise ValueError("a key needs at least 16 hex digits")
    return int.from_bytes(key[:8], "big")
