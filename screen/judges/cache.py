"""What was judged, kept on disk by content: append-only JSON lines, each with its checksum.

A line is written with one call, so a process that dies loses at most the line it was writing; that line fails its
checksum and counts as not there. Several processes may append at once. Knows nothing of judges.

    {"key":"<sha256>","value":{...},"sha":"<first 16 digits of the sha256 of the line without it>"}
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from screen.errors import StoreError

_LONGEST: Final = 1 << 20
_SYNC_EVERY: Final = 64
_TAIL: Final = b',"sha":"'


class JudgementStore(Protocol):
    """Values of plain JSON by key. What was put is got back, or nothing."""

    def get(self, key: str) -> Mapping[str, Any] | None: ...

    def put(self, key: str, value: Mapping[str, Any]) -> None: ...


def key_of(content: Mapping[str, Any]) -> str:
    """sha256 (hex) over the content as canonical JSON. Any text will do, lone surrogates too."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class MemoryCache:
    """Forgets everything at the end."""

    def __init__(self) -> None:
        self._values: dict[str, Mapping[str, Any]] = {}

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self._values.get(key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        self._values[key] = value


class JsonlCache:
    """A file of judgements. Safe to share between threads. Raises StoreError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0  # lines that did not hold, torn ones included
        self._values: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()
        self._file: int | None = None
        self._unsynced = 0
        self._load()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self._values.get(key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a value: written on return, and durable after every 64th and at the close."""
        line = _line(key, value)
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                raise self._refused(error) from None
            self._values[key] = value

    def close(self) -> None:
        """Make all durable. The cache can be written again afterwards."""
        with self._lock:
            if self._file is None:
                return
            file, self._file = self._file, None
            try:
                os.fsync(file)
            except OSError as error:
                raise self._refused(error) from None
            finally:
                os.close(file)

    def __enter__(self) -> JsonlCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                line = b"\n" + line  # a torn line becomes a line of its own
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full, as a rule: the next put begins anew
            os.close(self._file)
            self._file = None
            raise OSError(28, "No space left on device")
        self._unsynced += 1
        if self._unsynced >= _SYNC_EVERY:
            os.fsync(self._file)
            self._unsynced = 0

    def _load(self) -> None:
        try:
            with open(self.path, "rb") as file:
                while line := file.readline(_LONGEST):
                    self._take(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refused(error) from None

    def _take(self, line: bytes) -> None:
        if line == b"\n":
            return
        body, mark, sha = line.rpartition(_TAIL)
        if not mark or sha != _sha(body) + b'"}\n':
            self.damaged += 1
            return
        value = json.loads(body + b"}")
        self._values[value["key"]] = value["value"]

    def _refused(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.path}: {error.strerror or error}",
            "make room or choose another folder, then run the same command again: what was judged is kept",
        )


def _line(key: str, value: Mapping[str, Any]) -> bytes:
    body = json.dumps({"key": key, "value": value}, separators=(",", ":"), ensure_ascii=True, allow_nan=False)[:-1]
    encoded = body.encode()
    return encoded + _TAIL + _sha(encoded) + b'"}\n'


def _sha(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
