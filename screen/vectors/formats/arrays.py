"""What a reader finds in a file of untrusted bytes: arrays by name, as places in the bytes, and what else it says.

Nothing is copied or converted here, and nothing imports numpy. `check` is the one place that decides whether an
array lies within its bytes; it runs in the child that parsed them, and again in the process that trusts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
MAX_FILE = 256 << 20  # bytes; 126 layers of 16,384 float32 are 8 MB
MAX_NUMBERS = 1 << 26  # over all arrays of a file: a stride of 0 repeats one number for ever
MAX_ARRAYS = 4096
MAX_NAME = 200
SIZES = {
    "<f2": 2, "<f4": 4, "<f8": 8, ">f2": 2, ">f4": 4, ">f8": 8, "bf16": 2,
    "<i8": 8, "<i4": 4, "<i2": 2, "|i1": 1, "|u1": 1, "|b1": 1,
}  # fmt: skip
GET_AGAIN = "the file is damaged or hostile; get it again from where it was made"


class Unreadable(Exception):
    """The bytes are not what they claim to be. `message` comes without the file's name."""

    def __init__(self, message: str, next_step: str = GET_AGAIN) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Array:
    """`shape` and `strides` in elements; `start` in bytes into the file, or into what was inflated from it."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    place: Literal["file", "inflated"] = "file"

    @property
    def extent(self) -> int:
        """Bytes from the first element to the end of the last."""
        if 0 in self.shape:
            return 0
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        return (reach + 1) * SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class FileContents:
    """`kind` is the container: pt, gguf, npy, npz or safetensors. `says`: its scalars and strings, by name."""

    kind: str
    arrays: dict[str, Array]
    says: dict[str, Scalar] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)  # of what it says, where a format writes types
    inflated: bytes = b""


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a C-ordered array."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.insert(0, step)
        step *= n
    return tuple(strides)


def shape_of(value: object, what: str) -> tuple[int, ...]:
    """`value` as a shape of at most four dimensions, none negative or absurd."""
    if not isinstance(value, list | tuple) or len(value) > 4 or any(type(n) is not int for n in value):
        raise Unreadable(f"the shape of {what} is not one of a vector file")
    if any(not 0 <= n <= MAX_NUMBERS for n in value):
        raise Unreadable(f"the shape of {what} is not one of a vector file: {[min(n, 1 << 64) for n in value]}")
    return tuple(value)


def numbers(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def check(contents: FileContents, file_bytes: int) -> FileContents:
    """`contents`, if every array lies within its bytes and all of them are of a size that vectors have."""
    if len(contents.arrays) > MAX_ARRAYS:
        raise Unreadable(f"it holds {len(contents.arrays):,} arrays, more than any vector file")
    total = 0
    for name, array in contents.arrays.items():
        have = file_bytes if array.place == "file" else len(contents.inflated)
        if len(name) > MAX_NAME:
            raise Unreadable(f"an array's name is {len(name):,} characters long")
        if array.dtype not in SIZES or len(array.shape) != len(array.strides) or array.start < 0:
            raise Unreadable(f"the array {name!a} has an impossible layout")
        if min(array.shape, default=0) < 0 or min(array.strides, default=0) < 0:
            raise Unreadable(f"the array {name!a} has an impossible layout")
        if array.start + array.extent > have:
            raise Unreadable(f"the array {name!a} ends {array.start + array.extent - have:,} bytes after its data")
        total += numbers(array.shape)
    if total > MAX_NUMBERS:
        raise Unreadable(f"it holds {total:,} numbers, more than any vector file (at most {MAX_NUMBERS:,})")
    return contents
