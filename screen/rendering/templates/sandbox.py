"""Runs chat templates that nobody has to trust, in a child process with limits of memory and processor time.

One child serves a process, whatever templates it renders; it is started when it is first needed, and started anew
after a template has ended it. Knows nothing of samples, tokens or masks.
"""

from __future__ import annotations

import atexit
import importlib.util
import marshal
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import screen
from screen.errors import ModelError
from screen.rendering.templates import frames
from screen.rendering.templates.child import MEMORY, OUTPUT_FACTOR, OUTPUT_SLACK

SECONDS = 10.0  # of processor time, for one row
_PATIENCE: Final = 6  # and so many times as long by the clock, where processor time cannot be limited or is not had
_BATCH_BYTES: Final = 1 << 20  # sent at once, or one row where that is longer
_TICK: Final = 0.25
_START: Final = "import sys; sys.path += sys.argv[1:]; from screen.rendering.templates.child import main; main()"


class TemplateFailed(Exception):
    """A template refused what it was given; the text says why."""


class TemplateCap(TemplateFailed):
    """A template wrote too much, took too long, needed too much memory or crashed."""


class Rendering(NamedTuple):
    """A rendered text and the character spans of its `{% generation %}` blocks, in order."""

    text: str
    spans: list[tuple[int, int]]


class Job(NamedTuple):
    """A template's source and what it is given, plain JSON; None to compile it and no more."""

    source: str
    variables: Mapping[str, object] | None


def run_templates(jobs: Sequence[Job]) -> list[Rendering | TemplateFailed]:
    """What each job gives, in order. Raises ModelError where the child process cannot be started."""
    return _RUNNER.run(jobs)


def limits_absent() -> list[str]:
    """Names of the limits that this platform cannot set. Starts the child."""
    return _RUNNER.absent()


def plain_data(value: object) -> Any:
    """`value` rebuilt from plain JSON types: nothing else reaches a template."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(item) for item in value]
    return str(value)


class _Child:
    """The process, and the thread that ends it when an answer is overdue by the clock."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.known: dict[str, int] = {}  # sources that the child has compiled
        self._due: float | None = None
        self._late = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, *_homes()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.path.abspath(os.sep),
            env={"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {},
        )
        threading.Thread(target=self._watch, name="template-watch", daemon=True).start()
        hello = self.read(1 << 16, 60.0)
        if hello is None or hello.kind != frames.HELLO:
            said = self.close()
            raise ModelError(
                f"the process that renders chat templates does not start: {said or 'it said nothing'}",
                "check that this Python can start itself and import jinja2",
            )
        self.absent = [name for name in hello.text.split(",") if name]

    def send(self, seconds: float, jobs: Sequence[bytes]) -> None:
        self._due = time.monotonic() + _PATIENCE * seconds
        try:
            assert self._process.stdin is not None
            with suppress(OSError):  # it is gone: reading says how
                frames.write_batch(self._process.stdin, seconds, jobs)
        finally:
            self._due = None

    def read(self, most: int, seconds: float) -> frames.RenderReply | None:
        """The next answer; None where the child ended first, or was ended because it took `seconds`."""
        self._due = time.monotonic() + seconds
        try:
            assert self._process.stdout is not None
            return frames.read(self._process.stdout, most)
        except (OSError, ValueError):
            return None
        finally:
            self._due = None

    def close(self) -> str:
        """End the process; the last line that it said of an error."""
        self._process.kill()
        _, said = self._process.communicate()
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def signal(self) -> int:
        """The signal that ended the process, 0 for none; asked after `close`."""
        return max(0, -(self._process.returncode or 0))

    @property
    def overdue(self) -> bool:
        """Time ended the process, by the processor or by the clock."""
        return self._late or self.signal == getattr(signal, "SIGPROF", -1)

    def _watch(self) -> None:
        while self._process.returncode is None:
            time.sleep(_TICK)
            due = self._due
            if due is not None and time.monotonic() > due:
                self._late = True
                self._process.kill()
                return


class _Runner:
    """Keeps a child, and numbers the templates it knows. One thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._child: _Child | None = None

    def run(self, jobs: Sequence[Job]) -> list[Rendering | TemplateFailed]:
        with self._lock:
            made: list[Rendering | TemplateFailed] = []
            while len(made) < len(jobs):
                made += self._batch(jobs[len(made) :])
            return made

    def absent(self) -> list[str]:
        with self._lock:
            return self._ready().absent

    def close(self) -> None:
        if self._child is not None and self._child.pid == os.getpid():
            self._child.close()
        self._child = None

    def _ready(self) -> _Child:
        if self._child is None or self._child.pid != os.getpid():  # a fork's child is its parent's
            self._child = _Child()
        return self._child

    def _batch(self, jobs: Sequence[Job]) -> list[Rendering | TemplateFailed]:
        """Outcomes of the first jobs, one at least."""
        child = self._ready()
        packed = _packed(child.known, jobs)
        if not packed:
            return [TemplateFailed("what it is given is nested too deeply")]
        child.send(SECONDS, packed)
        made: list[Rendering | TemplateFailed] = []
        for job, sent in zip(jobs, packed, strict=False):
            most = 4 * (OUTPUT_SLACK + OUTPUT_FACTOR * len(sent)) + (1 << 16)
            reply = child.read(most, _PATIENCE * SECONDS)
            if reply is None or reply.kind == frames.MEMORY:
                self._child = None
                return [*made, _ending(child, reply)]
            if job.variables is None and reply.kind == frames.ERROR:
                del child.known[job.source]
            made.append(_outcome(reply))
        return made


def _packed(known: dict[str, int], jobs: Sequence[Job]) -> list[bytes]:
    """The first jobs as bytes, a batch of them; none where the first cannot be written down."""
    packed: list[bytes] = []
    size = 0
    for source, variables in jobs:
        new = source not in known
        number = known.setdefault(source, len(known))
        try:
            job: Any = (number, source if new else None, variables)
            packed.append(marshal.dumps(job))
        except ValueError:  # marshal's own limit of depth
            if new:
                del known[source]
            break
        size += len(packed[-1])
        if size > _BATCH_BYTES:
            break
    return packed


def _outcome(reply: frames.RenderReply) -> Rendering | TemplateFailed:
    if reply.kind == frames.TEXT:
        return Rendering(reply.text, reply.spans)
    if reply.kind == frames.FLOOD:
        return TemplateCap(f"the template wrote more than {reply.text} characters for one row")
    return TemplateFailed(reply.text)


def _ending(child: _Child, reply: frames.RenderReply | None) -> TemplateCap:
    """Why the child is no more."""
    said = child.close()
    if reply is not None:
        return TemplateCap(f"the template needs more than {MEMORY >> 30} GiB of memory for one row")
    if child.overdue:
        return TemplateCap(f"the template took longer than {SECONDS:g} seconds for one row")
    return TemplateCap(f"the template ended the process that renders it ({said or f'signal {child.signal}'})")


def _homes() -> list[str]:
    """The folders that the child imports from: this package's, jinja2's, and that of jinja2's own dependency."""
    found = [Path(screen.__file__).parents[1]]
    for name in ("jinja2", "markupsafe"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModelError(f"chat templates need the package {name}", f"install it: pip install {name}")
        found.append(Path(spec.origin).parents[1])
    return list(dict.fromkeys(map(str, found)))


_RUNNER = _Runner()
atexit.register(_RUNNER.close)
