"""What can go wrong with a *run*, and what to do next. A bad *row* is a `Skip`, never one of these.

    ScreenError            every error below; `exit_code` is what the process ends with
    ├── UsageError      2  a flag, a path or a statement that cannot be acted on
    │   └── InputError  2  the dataset cannot be read as asked: missing, empty, mixed shapes, no answers
    ├── StoreError      2  the run folder: unwritable, full, locked, damaged
    │   └── ResumeRefused  the folder holds a run with other inputs or settings; nothing was changed
    ├── SkipLimit       3  more rows could not be scored than --max-errors allows
    ├── ModelError      4  the base model cannot be loaded or cannot be scored rightly
    │   └── VectorError 4  a persona vector is damaged or does not fit the model; names the field
    ├── GateFailed      1  a --fail-on condition holds, or a check that was asked for fails
    └── Interrupted   130  stopped on request; the same command resumes

Memory that ends, in Python, in an import or in a library, is told in two lines and ends with 2. Anything else that
surfaces is a bug and shows its traceback.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar


class ScreenError(Exception):
    """`message` says what is wrong and where; `next_step` says what the user can do about it."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class UsageError(ScreenError):
    """A flag, a path or a statement that cannot be acted on."""


class InputError(UsageError):
    """The dataset cannot be read as asked."""


class StoreError(ScreenError):
    """The run folder cannot be used."""


class ResumeRefused(StoreError):
    """The folder holds a run with other inputs or settings."""


class SkipLimit(ScreenError):
    """More rows could not be scored than the user allows."""

    exit_code = 3


class ModelError(ScreenError):
    """The base model cannot be loaded, or cannot be scored rightly."""

    exit_code = 4


class VectorError(ModelError):
    """A persona vector is damaged or does not fit the model."""


class GateFailed(ScreenError):
    """A --fail-on condition holds, or a check that was asked for fails."""

    exit_code = 1


class Interrupted(ScreenError):
    """Stopped on request; the same command resumes."""

    exit_code = 130


_NO_MEMORY = ("failed to map segment", "cannot allocate memory", "can't start new thread", "bad_alloc", "MemoryError",
              "malloc of size", "out of memory", "error return without exception set")  # fmt: skip


def memory_ended(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is that the machine has no memory left."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno == errno.ENOMEM
        if full or isinstance(error, MemoryError) or says_memory_ended(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def says_memory_ended(text: str) -> bool:
    """Whether the words of a loader, an allocator or a child process say so."""
    return any(words.lower() in text.lower() for words in _NO_MEMORY)


def near(path: Path) -> str:
    """A path as it is typed here: relative where it lies below the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
