"""The log: JSON lines, appended to and never changed; and where a process that begins goes on.

Every message of the journal stands in it once, in the journal's order, so its end tells what is scored. What detectors
knew is kept beside it now and then, with the place in the log that it was true at; lines behind that place are told
again. Knows nothing of models or of what a score means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from screen import seal
from screen.disk import append_durably, truncate_durably, write_atomically
from screen.errors import StoreError
from screen.foreign import JsonObject
from screen.jsonl import dump

LOG: Final = "scores.jsonl"
STATE: Final = "state.json"
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A message: the exchange's position in the journal, and which of its choices."""

    exchange: int = 0
    choice: int = -1


class ScoreLog:
    """Opened by the one process that writes it; a torn last line is cut off."""

    def __init__(self, folder: Path) -> None:
        self.path, self._state = folder / LOG, folder / STATE
        if not self.path.exists():
            self.path.touch(mode=0o600)
        size = self.path.stat().st_size
        self._size = _whole(self.path, size)
        if self._size < size:
            truncate_durably(self.path, self._size)
        self.kept: JsonObject = {}  # what `keep` was last given
        self._from = 0  # place in the log that it was true at
        self.last = Mark()
        self._recover()

    def _recover(self) -> None:
        try:
            state = seal.open_json(self._state.read_bytes())
        except FileNotFoundError:
            state = {}
        except (seal.Broken, ValueError) as error:
            raise StoreError(
                f"{self._state} is damaged: {error}", "delete it: the log is read from its start"
            ) from None
        if state:
            self.kept, self.last = state["kept"], Mark(*state["last"])
            self._from = state["bytes"] if state["bytes"] <= self._size else 0  # a log that was moved away begins anew
        for line in self.since():
            if "exchange" in line:
                self.last = max(self.last, Mark(line["exchange"], line.get("choice", -1)))

    def since(self) -> Iterator[JsonObject]:
        """Lines behind the place that `kept` was true at."""
        with open(self.path, "rb") as file:
            file.seek(self._from)
            for number, line in enumerate(file, 1):
                try:
                    value = json.loads(line)
                except ValueError:
                    value = None
                if not isinstance(value, dict):
                    raise StoreError(
                        f"{self.path} is damaged: line {number} behind byte {self._from} is no JSON object",
                        "move the folder's files away and begin a new folder",
                    )
                yield value

    def append(self, lines: Sequence[Mapping[str, object]]) -> None:
        """On disk on return. Raises OSError; the log then ends where it did."""
        data = "".join(dump(line) + "\n" for line in lines).encode()
        try:
            append_durably(self.path, data)
        except OSError:
            truncate_durably(self.path, self._size)
            raise
        self._size += len(data)

    def keep(self, kept: JsonObject, last: Mark) -> None:
        """Have what is known now at hand for the process that begins next."""
        value = {"kept": kept, "last": [last.exchange, last.choice], "bytes": self._size}
        write_atomically(self._state, seal.sealed_json(value))
        self._from = self._size


def _whole(path: Path, size: int) -> int:
    """Bytes up to the end of the last whole line."""
    with open(path, "rb") as file:
        while size > 0:
            begin = max(0, size - _BLOCK)
            if (at := _read(file, begin, size - begin).rfind(b"\n")) >= 0:
                return begin + at + 1
            size = begin
    return 0


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
