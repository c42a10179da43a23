"""The process in which chat templates run: conversations in on stdin, texts out on stdout.

Imports jinja2 and the standard library only, so that it starts in a tenth of a second. Once its modules are loaded
it gives up opening and writing files, starting processes and all but MEMORY bytes; each render has a limit of
processor time that the kernel holds, whatever one call in C is busy with. Frames are documented in `template_frames`.
"""

from __future__ import annotations

import contextlib
import importlib
import marshal
import signal
import sys
from typing import TYPE_CHECKING, Any

from screen.rendering.templates import frames
from screen.rendering.templates.language import compile_template, run_template

if TYPE_CHECKING:
    import jinja2

MEMORY = 2 << 30
OUTPUT_SLACK = 1_000_000  # characters a template may write whatever it is given
OUTPUT_FACTOR = 8  # and per character that it is given
_REASON = 300  # characters of an error that are told
# what jinja2 and the standard library load on first use, and could not load once files are shut
_CODECS = ("ascii", "cp1252", "hex_codec", "idna", "latin_1", "punycode", "raw_unicode_escape", "unicode_escape",
           "utf_16", "utf_32", "utf_8_sig")  # fmt: skip
_LATER = ("_strptime", "html", "jinja2.constants", "jinja2.debug", "linecache", "pprint", "textwrap", "traceback",
          "unicodedata", *(f"encodings.{name}" for name in _CODECS))  # fmt: skip


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what a Ctrl-C means
    for name in _LATER:
        importlib.import_module(name)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    frames.write(sink, frames.HELLO, ",".join(confine()).encode())
    compiled: dict[int, jinja2.Template] = {}
    while (batch := frames.read_batch(source)) is not None:
        seconds, jobs = batch
        for job in jobs:
            with _timed(seconds):
                kind, payload, spans = reply(job, compiled)
            frames.write(sink, kind, payload, spans)
            if kind == frames.MEMORY:
                return  # a fresh process is surer than one that has just run out of memory


def reply(job: bytes, compiled: dict[int, jinja2.Template]) -> tuple[bytes, bytes, list[tuple[int, int]]]:
    """Kind, payload and spans of the answer to one job: (template's number, its source or None, variables or None)."""
    try:
        number, source, variables = marshal.loads(job)
        if source is not None:
            compiled[number] = compile_template(source)
        if variables is None:
            return frames.TEXT, b"", []
        limit = OUTPUT_SLACK + OUTPUT_FACTOR * _chars(variables)
        made = run_template(compiled[number], variables, limit)
        if made is None:
            return frames.FLOOD, str(limit).encode(), []
        return frames.TEXT, made[0].encode("utf-8", "surrogatepass"), made[1]
    except MemoryError:
        return frames.MEMORY, b"", []
    except RecursionError:
        return frames.ERROR, b"it calls itself without end (RecursionError)", []
    except Exception as error:  # a template is somebody else's program: it may raise anything
        text = " ".join(str(error)[: 4 * _REASON].split())[:_REASON] or type(error).__name__
        return frames.ERROR, text.encode("utf-8", "replace"), []


def confine() -> list[str]:
    """Set what limits the platform has; the names of those that it has not."""
    absent = [] if hasattr(signal, "setitimer") else ["processor time"]
    try:
        import resource
    except ImportError:  # Windows
        return ["memory", *absent, "files", "processes"]
    limits = {
        "memory": (resource.RLIMIT_AS, MEMORY),
        "files": (resource.RLIMIT_NOFILE, 0),
        "processes": (resource.RLIMIT_NPROC, 0),
        "writing": (resource.RLIMIT_FSIZE, 0),
        "core files": (resource.RLIMIT_CORE, 0),
    }
    for name, (what, most) in limits.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            absent.append(name)
    return absent


def _timed(seconds: float) -> contextlib.AbstractContextManager[object]:
    return contextlib.ExitStack() if not hasattr(signal, "setitimer") else _Timer(seconds)


class _Timer:
    """Processor time for one job: SIGPROF ends the process, in the middle of whatever it does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _chars(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return len(value)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return 1
    return sum([_chars(item) for item in value])
