"""The part of the pickle language that plain tensors need, and nothing else: no global is ever looked up.

A pickle is a program. This reads the few instructions that torch.save writes for tensors, dicts, lists, numbers
and strings, and keeps what they describe as records: `PickledTensor` and `Storage` below. Any other instruction or
global ends the reading, so there is nothing a hostile pickle could run.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from screen.vectors.formats.arrays import Unreadable, shape_of

_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1",
    "ByteStorage": "|u1", "BoolStorage": "|b1",
}  # fmt: skip
_GLOBALS = {
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict",
    *(f"torch {name}" for name in _STORAGES),
}  # fmt: skip
_MAX_PROGRAM = 1 << 20
_MAX_TEXT = 4096
_CONVERT = "a pickle that needs more than plain tensors is never loaded; where you trust it, save its tensor again"


class Global(NamedTuple):
    """A name that the pickle would have had imported; it stays a name."""

    name: str


class Storage(NamedTuple):
    """A flat array of `numbers` elements in the archive's file `data/<key>`."""

    dtype: str
    key: str
    numbers: int


class PickledTensor(NamedTuple):
    """A view of a storage; `offset`, `shape` and `strides` in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    pass


_MARK = _Mark()


def value_of(program: bytes) -> Any:
    """What the pickle describes: PickledTensor, dict, list, tuple, str, int, float, bool or None."""
    if len(program) > _MAX_PROGRAM:
        raise Unreadable(f"its pickle is {len(program):,} bytes long; plain tensors need a few hundred")
    if program[:1] == b"\x80" and program[1:2] != b"\x02":
        raise Unreadable(f"its pickle is of protocol {program[1] if len(program) > 1 else '?'}, not 2", _CONVERT)
    reader = _Reader(program)
    while (step := reader.take(1)) != b".":
        action = _ACTIONS.get(step)
        if action is None:
            raise Unreadable(f"its pickle holds the instruction {step!r}, which no plain tensor needs", _CONVERT)
        action(reader)
    value = reader.pop()
    if reader.stack:
        raise Unreadable("its pickle leaves more than one value")
    return value


class _Reader:
    """The pickle's bytes, and the stack and memo that its instructions work on."""

    def __init__(self, program: bytes) -> None:
        self.program, self.at = program, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.program):
            raise Unreadable("its pickle is cut off")
        self.at += n
        return self.program[self.at - n : self.at]

    def number(self, code: str) -> int:
        value: int = struct.unpack(code, self.take(struct.calcsize(code)))[0]
        return value

    def line(self) -> str:
        end = self.program.find(b"\n", self.at, self.at + 200)
        if end < 0:
            raise Unreadable("its pickle is cut off in a name")
        return str(self.take(end - self.at + 1)[:-1], "ascii", "backslashreplace")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Unreadable("its pickle takes a value that is not there")
        return self.stack.pop()

    def to_mark(self) -> tuple[Any, ...]:
        for depth, value in enumerate(reversed(self.stack), 1):
            if value is _MARK:
                taken = tuple(self.stack[len(self.stack) - depth + 1 :])
                del self.stack[-depth:]
                return taken
        raise Unreadable("its pickle takes values that are not there")

    def taken(self, n: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(n)]))


def _text(r: _Reader) -> None:
    length = r.number("<I")
    if length > _MAX_TEXT:
        raise Unreadable(f"its pickle holds a text of {length:,} bytes; at most {_MAX_TEXT:,} are read")
    try:
        r.push(r.take(length).decode())
    except UnicodeDecodeError:
        raise Unreadable("its pickle holds a text that is not UTF-8") from None


def _global(r: _Reader) -> None:
    name = f"{r.line()} {r.line()}"
    if name not in _GLOBALS:
        raise Unreadable(
            f"its pickle asks for {name.replace(' ', '.')!a}, which is not part of a plain tensor", _CONVERT
        )
    r.push(Global(name))


def _storage(r: _Reader) -> None:
    named = r.pop()
    match named:
        case ("storage", Global(name), str(key), str(), int(numbers)) if name.removeprefix("torch ") in _STORAGES:
            if key.isdecimal() and key.isascii() and numbers >= 0:
                r.push(Storage(_STORAGES[name.removeprefix("torch ")], key, numbers))
                return
    raise Unreadable("its pickle names a storage in a way that torch.save does not")


def _call(r: _Reader) -> None:
    arguments, called = r.pop(), r.pop()
    name = called.name if isinstance(called, Global) else ""
    match (name, arguments):
        case ("collections OrderedDict", ()):
            r.push({})
        case ("torch._utils _rebuild_tensor_v2", (Storage() as storage, int(offset), shape, strides, bool(), _, *rest)):
            if len(rest) > 1 or len(shape_of(shape, "a tensor")) != len(shape_of(strides, "a tensor's strides")):
                raise Unreadable("its pickle makes a tensor in a way that torch.save does not")
            r.push(PickledTensor(storage, offset, tuple(shape), tuple(strides)))
        case ("torch._utils _rebuild_parameter", (PickledTensor() as tensor, bool(), _)):
            r.push(tensor)
        case _:
            raise Unreadable("its pickle makes a tensor in a way that torch.save does not", _CONVERT)


def _fill(r: _Reader, pairs: tuple[Any, ...]) -> None:
    target = r.pop()
    if not isinstance(target, dict) or len(pairs) % 2:
        raise Unreadable("its pickle fills a dict that is not there")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if type(key) not in (str, int):
            raise Unreadable("its pickle holds a dict whose keys are neither text nor whole numbers", _CONVERT)
        if key in target:
            raise Unreadable(f"its pickle holds the key {key!a} twice")
        target[key] = value
    r.push(target)


def _extend(r: _Reader, values: tuple[Any, ...]) -> None:
    target = r.pop()
    if not isinstance(target, list):
        raise Unreadable("its pickle fills a list that is not there")
    target.extend(values)
    r.push(target)


def _recall(r: _Reader, index: int) -> None:
    if index not in r.memo:
        raise Unreadable("its pickle recalls a value that it never kept")
    r.push(r.memo[index])


def _keep(r: _Reader, index: int) -> None:
    value = r.pop()
    r.memo[index] = value
    r.push(value)


def _long(r: _Reader) -> None:
    r.push(int.from_bytes(r.take(r.number("<B")), "little", signed=True))


_ACTIONS: dict[bytes, Callable[[_Reader], object]] = {
    b"\x80": lambda r: r.take(1),
    b"c": _global,
    b"q": lambda r: _keep(r, r.number("<B")),
    b"r": lambda r: _keep(r, r.number("<I")),
    b"h": lambda r: _recall(r, r.number("<B")),
    b"j": lambda r: _recall(r, r.number("<I")),
    b"(": lambda r: r.push(_MARK),
    b"t": lambda r: r.push(r.to_mark()),
    b")": lambda r: r.push(()),
    b"\x85": lambda r: r.push(r.taken(1)),
    b"\x86": lambda r: r.push(r.taken(2)),
    b"\x87": lambda r: r.push(r.taken(3)),
    b"X": _text,
    b"J": lambda r: r.push(r.number("<i")),
    b"K": lambda r: r.push(r.number("<B")),
    b"M": lambda r: r.push(r.number("<H")),
    b"\x8a": _long,
    b"G": lambda r: r.push(struct.unpack(">d", r.take(8))[0]),
    b"N": lambda r: r.push(None),
    b"\x88": lambda r: r.push(True),
    b"\x89": lambda r: r.push(False),
    b"}": lambda r: r.push({}),
    b"]": lambda r: r.push([]),
    b"Q": _storage,
    b"R": _call,
    b"s": lambda r: _fill(r, r.taken(2)),
    b"u": lambda r: _fill(r, r.to_mark()),
    b"a": lambda r: _extend(r, r.taken(1)),
    b"e": lambda r: _extend(r, r.to_mark()),
}
