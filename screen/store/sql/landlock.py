"""Landlock: this process gives up the file system and the network for good, but for reading what is named.

By system call, since the C library has no wrapper. Knows nothing of SQL.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture we ship to
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE = 1 << 2
_SET_NO_NEW_PRIVS, _SET_PARENT_DEATH = 38, 1
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # file rights by version: the first 13 bits, then 14, ...


def version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(_call(_CREATE_RULESET, None, 0, _ASK_VERSION), 0)


def confine(readable: Iterable[Path]) -> int:
    """From here on: read files beneath `readable`, and nothing else. Returns version(); at 0 nothing changed.

    Only this thread and those it starts are confined: call it before there are others. Raises OSError.
    """
    abi = version()
    if not abi:
        return 0
    asked = attributes(abi)
    ruleset = _checked(_CREATE_RULESET, asked, len(asked), 0)
    for path in readable:
        folder = os.open(path, getattr(os, "O_PATH", 0))
        _checked(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", _READ_FILE, folder), 0)
        os.close(folder)
    _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _checked(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return abi


def attributes(abi: int) -> bytes:
    """All that a kernel of this version can deny: a `struct landlock_ruleset_attr`, as long as that version has it."""
    rights = (1 << _RIGHTS.get(abi, 16)) - 1
    network = 0b11 if abi >= 4 else 0  # bind and connect
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets and signals to others
    return struct.pack("=QQQ", rights, network, scopes)[: 8 if abi < 4 else 16 if abi < 6 else 24]


def die_with_parent() -> None:
    """Where the kernel can: be killed when the process that started this one ends."""
    if sys.platform.startswith("linux"):
        _libc().prctl(_SET_PARENT_DEATH, 9, 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(libc.syscall(ctypes.c_long(number), *longs))


def _checked(number: int, *arguments: int | bytes | None) -> int:
    result = _call(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
