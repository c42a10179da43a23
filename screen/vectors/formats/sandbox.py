"""Reads a vector file of another tool: its structure parsed in a child process with limits, its numbers here.

The child gets the bytes and returns where the arrays lie; whether they do lie there is checked again before a
number is read. A file that would run code, hang or fill the memory costs a child process, not this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import screen
from screen.errors import VectorError
from screen.foreign import JsonObject
from screen.vectors.formats.arrays import GET_AGAIN, MAX_FILE, SIZES, Array, FileContents, Unreadable, check
from screen.vectors.formats.child import SECONDS

_START = "import sys; sys.path.append(sys.argv[1]); from screen.vectors.formats.child import main; main()"
_KEPT = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows cannot do without it
_STOPPED = tuple(-getattr(signal, name) for name in ("SIGXCPU", "SIGKILL") if hasattr(signal, name))
_PATIENCE = 20.0  # seconds by the clock: a loaded machine must not make a good file look hostile


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a file holds, and its bytes."""

    contents: FileContents
    data: bytes

    def array(self, name: str) -> npt.NDArray[Any]:
        """The numbers of one array, C-ordered, in the dtype of the file; bfloat16 comes as float32."""
        return to_numpy(self.contents.arrays[name], self.data, self.contents.inflated)


def read_bytes(path: Path) -> bytes:
    """The whole file, if it is one and not larger than vector files are."""
    if not path.is_file():
        raise VectorError(f"no vector file at {path}", "check the path")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size) if size <= MAX_FILE else b""
    except OSError as error:
        raise VectorError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from None
    if size > MAX_FILE:
        raise VectorError(f"{path} is larger than any vector file ({size:,} bytes)", "check the path")
    return data


def parse(path: Path, data: bytes) -> ParsedFile:
    """Parse untrusted bytes. Raises VectorError naming the file for whatever cannot be read."""
    try:
        reply = _child(data)
        head, _, inflated = reply.partition(b"\n")
        answer = json.loads(head)
        if "refused" in answer:
            raise Unreadable(*answer["refused"])
        if "stopped" in answer:
            raise Unreadable(f"reading it needs more memory than any vector file ({answer['stopped']})")
        return ParsedFile(check(_contents(answer["contents"], inflated), len(data)), data)
    except Unreadable as error:
        raise VectorError(f"{path}: {error.message}", error.next_step) from None


def _child(data: bytes) -> bytes:
    home = str(Path(screen.__file__).parents[1])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _START, home],
            input=data,
            capture_output=True,
            cwd="/",
            env={"LC_ALL": "C.UTF-8", **_KEPT},
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"reading it took longer than {_PATIENCE:g} s and was stopped") from None
    if done.returncode in _STOPPED:
        raise Unreadable(f"reading it takes more than {SECONDS} s of work and was stopped", GET_AGAIN)
    if done.returncode:
        raise RuntimeError(f"the vector reader failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _contents(answer: JsonObject, inflated: bytes) -> FileContents:
    arrays = {
        name: Array(dtype, tuple(shape), tuple(strides), start, place)
        for name, (dtype, shape, strides, start, place) in answer["arrays"].items()
    }
    return FileContents(answer["kind"], arrays, answer["says"], answer["types"], inflated)


def to_numpy(array: Array, data: bytes, inflated: bytes = b"") -> npt.NDArray[Any]:
    """The numbers of an array that `check` has passed: C-ordered, in the file's dtype; bfloat16 as float32."""
    source = data if array.place == "file" else inflated
    size = SIZES[array.dtype]
    kind = np.dtype("<u2" if array.dtype == "bf16" else array.dtype)
    flat = np.frombuffer(source, kind, array.extent // size, array.start)
    view = np.lib.stride_tricks.as_strided(flat, array.shape, [step * size for step in array.strides], writeable=False)
    if array.dtype != "bf16":
        return view.astype(kind.newbyteorder("="), order="C")
    return (view.astype(np.uint32, order="C") << 16).view(np.float32)
