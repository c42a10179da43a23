"""JudgementCache: what judges said, as JSON, by content. Knows nothing of judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from screen.disk import DISK, Disk
from screen.foreign import JsonObject
from screen.store.cache.segments import SegmentCache

_SYNC_EVERY: Final = 64


class JudgementCache:
    """A `screen.judges.JudgementStore` in a folder. Safe to share between threads."""

    def __init__(self, folder: Path, *, flag: str = "--out", disk: Disk = DISK) -> None:
        self._kept = SegmentCache([], folder, flag=flag, sync_every=_SYNC_EVERY, disk=disk)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def damaged(self) -> list[Path]:
        """Segments with a torn or damaged frame."""
        return self._kept.damaged

    def get(self, key: str) -> JsonObject | None:
        values = self._kept.get([key])
        return dict(json.loads(values[key])) if values else None

    def put(self, key: str, value: JsonObject) -> None:
        """Keep a value: written on return, and durable after every 64th and at the close."""
        self._kept.put({key: json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()})

    def close(self) -> None:
        """Make all durable. The cache can be written again afterwards."""
        self._kept.close()

    def __enter__(self) -> JudgementCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
