"""SegmentCache: values by key in a folder that several processes share, kept whatever dies or fails.

A folder of append-only segments, one a writer, so that processes that write at once cannot disturb each other, on
network file systems as well. A segment is a row of frames, one a `put`: length, checksum, payload. A frame that is
torn or damaged counts as not cached, which costs time and nothing else. Why not SQLite: docs/decisions/0011.
Knows nothing of what the values are.

    payload   records, each: key length u8, key, value length u32 (little endian), value
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from screen.disk import DISK, Disk, storing
from screen.store.cache.keyindex import KeyIndex

SUFFIX = ".cache"
_MAGIC = b"screen cache 1\n"
_FRAME = struct.Struct("<I16s")  # payload bytes, first 16 bytes of their SHA-256
_SIZE = struct.Struct("<I")


class SegmentCache:
    """Reads every segment of `folders`, writes a segment of its own into `write_to` (None: read only).

    `flag`: the option that names the folder, for messages. `sync_every`: puts after which all so far are durable.
    Safe to share between threads. Raises StoreError where the disk refuses.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        write_to: Path | None = None,
        *,
        flag: str = "--cache",
        sync_every: int = 1,
        disk: Disk = DISK,
    ) -> None:
        self._disk, self._flag, self._sync_every = disk, flag, sync_every
        self._write_to = write_to
        self._segments: list[Path] = []
        self._index = KeyIndex()
        self._own: int | None = None  # the number of the segment we append to
        self._end = 0  # its good bytes
        self._puts = 0
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()
        self.damaged: list[Path] = []  # segments with a torn or damaged frame
        everywhere = [*folders, *([write_to] if write_to is not None else [])]
        for folder in dict.fromkeys(everywhere):
            if folder.is_dir():
                with storing(folder, flag=flag):
                    for name in disk.names(folder):
                        if name.endswith(SUFFIX):
                            self._scan(folder / name)

    def __len__(self) -> int:
        return len(self._index)

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values that are cached, by key (hex); the others are left out."""
        values = {}
        with self._lock:
            for key in keys:
                place = self._index.get(bytes.fromhex(key))
                value = None if place is None else self._read(bytes.fromhex(key), *place)
                if value is not None:
                    values[key] = value
        return values

    def put(self, batch: Mapping[str, bytes]) -> None:
        """Keep a batch: all of it or, after an error or a crash, none of it. A key that is known keeps its value."""
        with self._lock:
            new = {bytes.fromhex(key): value for key, value in batch.items()}
            new = {key: value for key, value in new.items() if self._index.get(key) is None}
            if not new:
                return
            if self._write_to is None:
                raise ValueError("this cache is open for reading")
            payload = b"".join(bytes([len(k)]) + k + _SIZE.pack(len(v)) + v for k, v in new.items())
            frame = _FRAME.pack(len(payload), hashlib.sha256(payload).digest()[:16]) + payload
            with storing(self._write_to, flag=self._flag):
                self._append(frame)
            assert self._own is not None
            self._note(self._own, self._end + _FRAME.size, payload)
            self._end += len(frame)

    def close(self) -> None:
        """Make all durable. The cache can be used afterwards."""
        with self._lock:
            if self._write_to is not None:
                with storing(self._write_to, flag=self._flag):
                    self._sync()

    def _append(self, frame: bytes) -> None:
        path = self._segments[self._segment()]
        try:
            self._disk.append(path, frame)
            self._unsynced.add(path)
            self._puts += 1
            if self._puts % self._sync_every == 0:
                self._sync()
        except OSError:
            self._own = None  # its end is torn now: the next batch starts another
            raise

    def _sync(self) -> None:
        paths, self._unsynced = self._unsynced, set()
        for path in paths:
            self._disk.fsync_file(path)

    def _segment(self) -> int:
        if self._own is None:
            assert self._write_to is not None
            path = self._write_to / f"{os.getpid()}-{uuid.uuid4().hex}{SUFFIX}"
            self._disk.make_folder(self._write_to)
            self._disk.write_new(path, _MAGIC)
            self._disk.fsync_file(path)
            self._disk.fsync_dir(self._write_to)
            self._segments.append(path)
            self._own, self._end = len(self._segments) - 1, len(_MAGIC)
        return self._own

    def _scan(self, path: Path) -> None:
        """Index a segment."""
        self._segments.append(path)
        number = len(self._segments) - 1
        whole = True
        for start, payload in self._payloads(path):
            if payload is None:
                whole = False
            else:
                self._note(number, start, payload)
        if not whole:
            self.damaged.append(path)

    def _payloads(self, path: Path) -> Iterator[tuple[int, bytes | None]]:
        """Where each frame's payload begins, and the payload: None for one that does not hold."""
        size, at = path.stat().st_size, len(_MAGIC)
        if self._disk.read_at(path, 0, at) != _MAGIC:
            yield at, None
            return
        while at < size:
            head = self._disk.read_at(path, at, _FRAME.size)
            length, digest = _FRAME.unpack(head) if len(head) == _FRAME.size else (size, b"")
            at += _FRAME.size
            payload = self._disk.read_at(path, at, length) if at + length <= size else b""
            good = len(payload) == length and hashlib.sha256(payload).digest()[:16] == digest
            yield at, payload if good else None
            at += length

    def _note(self, segment: int, start: int, payload: bytes) -> None:
        self._index.add((key, segment, start + offset) for key, offset in _keys(payload))

    def _read(self, key: bytes, segment: int, offset: int) -> bytes | None:
        """None where another key has the same first eight bytes, or the segment was deleted meanwhile."""
        path = self._segments[segment]
        with storing(path.parent, flag=self._flag), contextlib.suppress(FileNotFoundError):
            size = 1 + len(key) + _SIZE.size
            head = self._disk.read_at(path, offset, size)
            if len(head) == size and head[: -_SIZE.size] == bytes([len(key)]) + key:
                (length,) = _SIZE.unpack(head[-_SIZE.size :])
                value = self._disk.read_at(path, offset + size, length)
                return value if len(value) == length else None
        return None


def _keys(payload: bytes) -> Iterator[tuple[bytes, int]]:
    """Each record's key and offset."""
    at = 0
    while at < len(payload):
        end = at + 1 + payload[at]
        yield payload[at + 1 : end], at
        (length,) = _SIZE.unpack_from(payload, end)
        at = end + _SIZE.size + length
