"""AnswerCache: answers that a base model generated, kept on disk and reused by later runs.

A folder of append-only segments, one a writer, so that runs that write at once cannot disturb each other. A
segment is a row of frames, one a `put`: length, checksum, payload. A torn or damaged frame ends its segment;
the answers behind it count as not cached, which costs time and nothing else. Knows nothing of models or text.

    payload   records, each: key length u8, key, finished u8, token count u32, token ids u32 each (little endian)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from screen.disk import DISK, Disk, append_durably, storing
from screen.store.cache.keyindex import KeyIndex

SUFFIX = ".answers"
_MAGIC = b"screen answers 1\n"
_FRAME = struct.Struct("<I16s")  # payload bytes, first 16 bytes of their SHA-256
_TAIL = struct.Struct("<BI")


class KeptResponse(NamedTuple):
    """One generated answer."""

    ids: tuple[int, ...]
    finished: bool  # ended by the model itself, not by the token limit


class AnswerCache:
    """Reads every segment of `folders`, writes a segment of its own into `write_to` (None: read only)."""

    def __init__(self, folders: Sequence[Path], write_to: Path | None = None, *, disk: Disk = DISK) -> None:
        self._disk = disk
        self._write_to = write_to
        self._segments: list[Path] = []
        self._index = KeyIndex()
        self._own: int | None = None  # the number of the segment we append to
        self._end = 0  # its good bytes
        self.damaged: list[Path] = []  # segments that end in a torn or damaged frame
        everywhere = [*folders, *([write_to] if write_to is not None else [])]
        for folder in dict.fromkeys(everywhere):
            if folder.is_dir():
                with storing(folder, flag="--cache"):
                    for name in disk.names(folder):
                        if name.endswith(SUFFIX):
                            self._scan(folder / name)

    def __len__(self) -> int:
        return len(self._index)

    def get(self, keys: Iterable[str]) -> dict[str, KeptResponse]:
        """The answers that are cached, by key; the others are left out."""
        found = {}
        for key in keys:
            place = self._index.get(bytes.fromhex(key))
            if place is not None:
                answer = self._read(bytes.fromhex(key), *place)
                if answer is not None:
                    found[key] = answer
        return found

    def put(self, batch: Mapping[str, KeptResponse | tuple[Sequence[int], bool]]) -> None:
        """Keep a batch: all of it or, after an error or a crash, none of it. Durable on return."""
        new = {bytes.fromhex(k): KeptResponse(tuple(ids), done) for k, (ids, done) in batch.items()}
        new = {k: a for k, a in new.items() if self._index.get(k) is None}
        if not new:
            return
        if self._write_to is None:
            raise ValueError("this cache is open for reading")
        payload = b"".join(_record(k, a) for k, a in new.items())
        frame = _FRAME.pack(len(payload), hashlib.sha256(payload).digest()[:16]) + payload
        with storing(self._write_to, flag="--cache"):
            segment = self._segment()
            try:
                append_durably(self._segments[segment], frame, self._disk)
            except OSError:
                self._own = None  # its end is torn now: the next batch starts another
                raise
        self._note(segment, self._end + _FRAME.size, payload)
        self._end += len(frame)

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
        """Index a segment, frame by frame, up to its end or its first frame that does not hold."""
        self._segments.append(path)
        number = len(self._segments) - 1
        size = path.stat().st_size
        at = len(_MAGIC)
        if self._disk.read_at(path, 0, at) != _MAGIC:
            self.damaged.append(path)
            return
        while at < size:
            payload = self._frame(path, at, size)
            if payload is None:
                self.damaged.append(path)
                return
            self._note(number, at + _FRAME.size, payload)
            at += _FRAME.size + len(payload)

    def _frame(self, path: Path, at: int, size: int) -> bytes | None:
        head = self._disk.read_at(path, at, _FRAME.size)
        if len(head) < _FRAME.size:
            return None
        length, digest = _FRAME.unpack(head)
        if at + _FRAME.size + length > size:
            return None
        payload = self._disk.read_at(path, at + _FRAME.size, length)
        return payload if hashlib.sha256(payload).digest()[:16] == digest else None

    def _note(self, segment: int, start: int, payload: bytes) -> None:
        self._index.add((key, segment, start + offset) for key, offset in _keys(payload))

    def _read(self, key: bytes, segment: int, offset: int) -> KeptResponse | None:
        """None where another key has the same first eight bytes, or the segment was deleted meanwhile."""
        path = self._segments[segment]
        with storing(path.parent), contextlib.suppress(FileNotFoundError):
            head = self._disk.read_at(path, offset, 1 + len(key) + _TAIL.size)
            if len(head) < 1 + len(key) + _TAIL.size or head[: 1 + len(key)] != bytes([len(key)]) + key:
                return None
            finished, count = _TAIL.unpack(head[1 + len(key) :])
            data = self._disk.read_at(path, offset + len(head), 4 * count)
            if len(data) == 4 * count:
                return KeptResponse(struct.unpack(f"<{count}I", data), bool(finished))
        return None


def _record(key: bytes, answer: KeptResponse) -> bytes:
    count = len(answer.ids)
    return bytes([len(key)]) + key + _TAIL.pack(answer.finished, count) + struct.pack(f"<{count}I", *answer.ids)


def _keys(payload: bytes) -> Iterator[tuple[bytes, int]]:
    """Each record's key and offset."""
    at = 0
    while at < len(payload):
        end = at + 1 + payload[at]
        yield payload[at + 1 : end], at
        _, count = _TAIL.unpack_from(payload, end)
        at = end + _TAIL.size + 4 * count
