"""How the process that renders templates is spoken to. Standard library only: both sides import it.

To the child:   number of jobs u32, seconds of processor time a job f64, then each job: length u64, marshal bytes.
To the parent:  kind 1 byte, length of the payload u64, number of spans u64; payload (UTF-8); spans as pairs of u64.

A batch is read whole before the first answer is written, so neither side waits for the other with a full pipe. What
comes back is never unmarshalled: the child is the side that nobody has to trust.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO, NamedTuple

HELLO, TEXT, ERROR, FLOOD, MEMORY = b"h", b"t", b"e", b"f", b"m"
_BATCH, _JOB, _REPLY = struct.Struct("<Id"), struct.Struct("<Q"), struct.Struct("<cQQ")


class RenderReply(NamedTuple):
    """One answer of the child."""

    kind: bytes
    text: str
    spans: list[tuple[int, int]]


def write_batch(sink: IO[bytes], seconds: float, jobs: Sequence[bytes]) -> None:
    """Send jobs; the sink is flushed."""
    sink.write(_BATCH.pack(len(jobs), seconds) + b"".join(_JOB.pack(len(job)) + job for job in jobs))
    sink.flush()


def read_batch(source: IO[bytes]) -> tuple[float, list[bytes]] | None:
    """Seconds and jobs; None at the end of the stream."""
    head = source.read(_BATCH.size)
    if len(head) < _BATCH.size:
        return None
    count, seconds = _BATCH.unpack(head)
    return seconds, [source.read(*_JOB.unpack(source.read(_JOB.size))) for _ in range(count)]


def write(sink: IO[bytes], kind: bytes, payload: bytes, spans: Sequence[tuple[int, int]] = ()) -> None:
    """Send an answer; the sink is flushed."""
    places = [place for span in spans for place in span]
    sink.write(_REPLY.pack(kind, len(payload), len(spans)) + payload + struct.pack(f"<{len(places)}Q", *places))
    sink.flush()


def read(source: IO[bytes], most: int) -> RenderReply | None:
    """The next answer; None where the stream ends first, or where more than `most` bytes are announced."""
    head = source.read(_REPLY.size)
    if len(head) < _REPLY.size:
        return None
    kind, size, count = _REPLY.unpack(head)
    if size + 16 * count > most:
        return None
    payload, places = source.read(size), source.read(16 * count)
    if len(payload) + len(places) < size + 16 * count:
        return None
    text = payload.decode("utf-8", "surrogatepass")
    return RenderReply(kind, text, [(a, b) for a, b in struct.iter_unpack("<QQ", places)])
