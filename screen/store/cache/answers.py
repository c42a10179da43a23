"""AnswerCache: answers that a model generated, reused by later runs. Knows nothing of models or text.

A value: ended u8 (1 where the model itself ended the answer, 0 where it is truncated), token ids u32 each, little
endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from screen.disk import DISK, Disk
from screen.store.cache.segments import SegmentCache


class KeptResponse(NamedTuple):
    """One generated answer."""

    ids: tuple[int, ...]
    truncated: bool  # it reached the length limit; the model did not end it itself


class AnswerCache:
    """Reads what `folders` hold, writes into `write_to` (None: read only). Each batch is durable when `put` returns."""

    def __init__(
        self, folders: Sequence[Path], write_to: Path | None = None, *, flag: str = "--cache", disk: Disk = DISK
    ) -> None:
        self._kept = SegmentCache(folders, write_to, flag=flag, disk=disk)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def damaged(self) -> list[Path]:
        """Segments with a torn or damaged frame."""
        return self._kept.damaged

    def get(self, keys: Iterable[str]) -> dict[str, KeptResponse]:
        """The answers that are cached, by key; the others are left out."""
        return {key: _answer(value) for key, value in self._kept.get(keys).items()}

    def put(self, batch: Mapping[str, KeptResponse | tuple[Sequence[int], bool]]) -> None:
        """Keep a batch: all of it or, after an error or a crash, none of it. Durable on return."""
        self._kept.put({key: _value(ids, truncated) for key, (ids, truncated) in batch.items()})


def _value(ids: Sequence[int], truncated: bool) -> bytes:
    return struct.pack(f"<B{len(ids)}I", not truncated, *ids)


def _answer(value: bytes) -> KeptResponse:
    ended, *ids = struct.unpack(f"<B{(len(value) - 1) // 4}I", value)
    return KeptResponse(tuple(ids), not ended)
