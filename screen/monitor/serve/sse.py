"""Server-sent events, from bytes that came in whatever pieces. Knows nothing of what the events say."""

from __future__ import annotations

import re
from collections.abc import Iterator

DONE = b"[DONE]"
_LINES = re.compile(rb"\r\n|\n|\r")


def events(data: bytes) -> Iterator[bytes]:
    """The data of each event that is whole: an event ends with an empty line. An unended last one is left out."""
    lines = _LINES.split(data.removeprefix(b"\xef\xbb\xbf"))
    held: list[bytes] = []
    for line in lines[:-1]:  # what stands behind the last line break is no whole line
        if not line:
            if held:
                yield b"\n".join(held)
            held = []
        elif line.startswith(b"data:"):
            held.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            held.append(b"")


class DoneWatch:
    """Tells the piece of a stream with which `data: [DONE]` is there, after which clients read no further."""

    def __init__(self) -> None:
        self._tail = b""

    def __call__(self, piece: bytes) -> bool:
        seen = self._tail + piece
        self._tail = seen[-64:]
        at = seen.rfind(DONE)
        return at >= 0 and re.search(rb"(?:^|[\r\n])data: ?\[DONE\]", seen) is not None
