"""A process of this one's own: forked where that is sound, started anew elsewhere. It ends when its parent does, and
is the first to go where the machine's memory ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import stat
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Literal

from screen.errors import ScreenError
from screen.scan.workers.overheard import Overheard

How = Literal["fork", "spawn"]
_TICK = 1.0  # seconds between two looks at the clock
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # the other end of the connection
_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """A process that is started anew would first run the script that started this one, as its main module: from the
    top, without a guard, in which it would scan again. Nothing of it is needed there."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


class Hung(Exception):
    """No message within its time."""


class Child:
    """`target(connection, *arguments)` in a process of its own, which should begin with `settle`."""

    def __init__(self, target: Callable[..., None], how: How, *arguments: object) -> None:
        """Killed with `end`, or with its parent; it may have children of its own."""
        context: Any = multiprocessing.get_context(how)
        self.connection, theirs = context.Pipe()
        ours = self.connection if how == "fork" else None
        self._stderr = Overheard() if how == "fork" else None
        self.process = context.Process(target=_begin, args=(self._stderr, target, theirs, ours, *arguments))
        with _signals_held(), _without_script(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: `settle` sees to them
            self.process.start()
        theirs.close()  # or its death would not end the connection
        if self._stderr is not None:
            self._stderr.started()

    def send(self, message: object) -> None:
        if self._stderr is not None:
            self._stderr.pass_on()
            self._stderr.forget()
        with contextlib.suppress(OSError):  # a death is told when it is read
            self.connection.send(message)

    def receive(self, seconds: float | None = None) -> Any:
        """The next message; None where the process is dead. Raises Hung after this many seconds of this process's own
        time: those in which it was stopped itself do not count."""
        spent, last = 0.0, time.monotonic()
        try:
            while not self._listen(_TICK if seconds is None else min(_TICK, seconds)):
                now = time.monotonic()
                spent, last = spent + min(now - last, 2 * _TICK), now
                if seconds is not None and spent >= seconds:
                    raise Hung
            return self.connection.recv()
        except (EOFError, OSError):  # it may die in the middle of a message
            return None

    def _listen(self, seconds: float) -> bool:
        """Whether a message is there, or the end. What goes to stderr meanwhile is passed on."""
        if self._stderr is None or self._stderr.ended:
            return bool(self.connection.poll(seconds))
        ready = wait([self.connection, self._stderr.reader], seconds)
        if self._stderr.reader in ready:
            self._stderr.pass_on()
        return self.connection in ready

    def end(self, patience: float = 0.2) -> str:
        """Kill it, if it is not dead within so many seconds. How it had ended, and the last line that it wrote to its
        stderr since it was sent something."""
        self.connection.close()
        self.process.join(patience)
        code = self.process.exitcode
        self.process.kill()
        self.process.join()
        last = self._stderr.close() if self._stderr is not None else ""
        self._stderr = None
        return ended(code) + (f"; the last it wrote: {last}" if last else "")


def _begin(stderr: Overheard | None, target: Callable[..., None], *arguments: object) -> None:
    if stderr is not None:
        stderr.take_over()
    target(*arguments)


def ended(code: int | None) -> str:
    """An exit code in words."""
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process was ended by signal {-code}"


def live(connection: Connection, parents_end: Connection | None, parent: int, work: Callable[[], None]) -> None:
    """All that a process does: `work`, of whose failure is told; where its parent is gone, it goes as well."""
    settle(parents_end, parent)
    with contextlib.suppress(*_GONE):
        try:
            work()
        except _GONE:
            raise
        except Exception as error:
            connection.send(failure(error))
    os._exit(0)  # nothing of the parent's is flushed or cleaned up twice


def failure(error: Exception) -> tuple[str, str, str, str]:
    """("failed", class, message, next step) of an error that is being handled; without a class, it is a bug."""
    if isinstance(error, ScreenError):
        return "failed", public_name(error), error.message, error.next_step
    return "failed", "", traceback.format_exc(), ""


def public_name(error: ScreenError) -> str:
    """The class of `screen.errors` that an error is, or is a kind of."""
    return next(c.__name__ for c in type(error).__mro__ if c.__module__ == ScreenError.__module__)


def settle(parents_end: Connection | None, parent: int) -> None:
    """In the child, first of all. `parents_end`: of the connection, where it was inherited by a fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _hold(signal.SIG_UNBLOCK) if hasattr(signal, "pthread_sigmask") else None
    _end_with(parent)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    if parents_end is not None:
        parents_end.close()
        _close_files()


def keep_memory() -> None:
    """What is freed stays with this process: a batch's tensors are large enough for the C library to return each to the
    kernel and take it again, page by page, which is a tenth of a small model's time."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(AttributeError):  # of a C library that has no such setting
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that is allowed
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def _end_with(parent: int) -> None:
    """Where the kernel can, it kills this process with its parent; elsewhere the connection ends."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _close_files() -> None:
    """Files that a fork inherited: the run folder's lock must not outlive its holder."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2 and stat.S_ISREG(os.fstat(int(name)).st_mode):
                os.close(int(name))


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """A signal between a fork and `settle` would be handled as the parent does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = _hold(signal.SIG_BLOCK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hold(how: int) -> set[int | signal.Signals]:
    return signal.pthread_sigmask(how, _STOPS)
