"""The process that parses a file nobody vouches for: bytes in on stdin, places of arrays out on stdout.

Standard library only, so that it starts in some 40 ms. Once its modules are loaded it gives up opening files,
starting processes, writing files, and all but a second of processor time.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import sys

from screen.vectors.formats import container
from screen.vectors.formats.arrays import Unreadable

MEMORY = 1 << 30
SECONDS = 1


def main() -> None:
    """Read the file from stdin, reply on stdout."""
    _confine()
    sys.stdout.buffer.write(reply(sys.stdin.buffer.read()))
    sys.stdout.buffer.flush()


def reply(data: bytes) -> bytes:
    """A line of JSON: what the file holds, or why it was refused; then what was inflated."""
    head: dict[str, object]
    try:
        contents = container.read(data)
        arrays = {name: [a.dtype, a.shape, a.strides, a.start, a.place] for name, a in contents.arrays.items()}
        head = {"contents": {"kind": contents.kind, "arrays": arrays, "says": contents.says, "types": contents.types}}
        return json.dumps(head).encode() + b"\n" + contents.inflated
    except Unreadable as error:
        head = {"refused": [error.message, error.next_step]}
    except (MemoryError, RecursionError) as error:
        head = {"stopped": type(error).__name__}
    return json.dumps(head).encode() + b"\n"


def _confine() -> None:
    for codec in ("ascii", "latin-1", "utf-8", "cp437"):  # the last is for names in zips; loading one opens a file
        codecs.lookup(codec)
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is left
        return
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit that is already set stays
            resource.setrlimit(what, (most, most))
