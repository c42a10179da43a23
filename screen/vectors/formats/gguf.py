"""GGUF control vectors, as repeng and llama.cpp write them: one tensor `direction.<k>` a layer.

Every length is checked against the bytes that are left before it is acted on: a header of 49 bytes can declare
2^60 tensors, and readers that believe it hang.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from screen.vectors.formats.arrays import (
    MAX_ARRAYS,
    Array,
    FileContents,
    Scalar,
    Unreadable,
    check,
    row_major,
    shape_of,
)

MAGIC = b"GGUF"
ARCHITECTURE = "controlvector"
_MAX_HEADER = 4 << 20
_SCALARS = {
    0: ("u8", "<B"), 1: ("i8", "<b"), 2: ("u16", "<H"), 3: ("i16", "<h"), 4: ("u32", "<I"), 5: ("i32", "<i"),
    6: ("f32", "<f"), 7: ("bool", "<?"), 10: ("u64", "<Q"), 11: ("i64", "<q"), 12: ("f64", "<d"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_DTYPES = {0: "<f4", 1: "<f2", 28: "<f8", 30: "bf16"}
_ALIGNMENT = 32


class _Header:
    """The bytes of the header, taken in order, never past their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data[:_MAX_HEADER], 0

    def skip(self, n: int) -> int:
        """The position of the next `n` bytes, which are passed over."""
        if n > len(self.data) - self.at:
            raise Unreadable("the GGUF header claims more than the file holds")
        self.at += n
        return self.at - n

    def number(self, code: str) -> int:
        at = self.skip(struct.calcsize(code))
        value: int = struct.unpack_from(code, self.data, at)[0]
        return value

    def text(self, most: int = 1 << 16) -> str:
        length = self.number("<Q")
        if length > most:
            raise Unreadable(f"the GGUF header holds a text of {length:,} bytes")
        at = self.skip(length)
        try:
            return self.data[at : at + length].decode()
        except UnicodeDecodeError:
            raise Unreadable("the GGUF header holds a text that is not UTF-8") from None


def read(data: bytes) -> FileContents:
    """The tensors of a GGUF file and its metadata, with the type of each value."""
    header = _Header(data)
    header.skip(4)
    version = header.number("<I")
    if version not in (2, 3):
        big = int.from_bytes(version.to_bytes(4, "big"), "little") in (2, 3)
        raise Unreadable("the GGUF file is big-endian" if big else f"the GGUF file is of version {version}, not 2 or 3")
    tensors, pairs = header.number("<Q"), header.number("<Q")
    for count, what in ((tensors, "tensors"), (pairs, "metadata fields")):
        if count > MAX_ARRAYS:
            raise Unreadable(f"the GGUF header declares {count:,} {what}, more than any vector file")
    says: dict[str, Scalar] = {}
    types: dict[str, str] = {}
    for _ in range(pairs):
        key = header.text()
        if key in types:
            raise Unreadable(f"the GGUF header holds {key!a} twice")
        types[key], value = _value(header)
        if not isinstance(value, list):
            says[key] = value
    arrays = _tensors(header, tensors, _alignment(says))
    return check(FileContents("gguf", arrays, says, types), len(data))


def _value(header: _Header) -> tuple[str, Scalar | list[None]]:
    """The type and value of a metadata field; arrays are passed over."""
    kind = header.number("<I")
    if kind == _STRING:
        return "string", header.text()
    if kind in _SCALARS:
        name, code = _SCALARS[kind]
        return name, header.number(code)
    if kind != _ARRAY:
        raise Unreadable(f"the GGUF header holds a value of the unknown type {kind}")
    inner, length = header.number("<I"), header.number("<Q")
    if inner == _STRING:
        for _ in range(length):
            header.text()
    elif inner in _SCALARS:
        header.skip(length * struct.calcsize(_SCALARS[inner][1]))
    else:
        raise Unreadable(f"the GGUF header holds an array of the type {inner}")
    return "array", []


def _alignment(says: Mapping[str, Scalar]) -> int:
    value = says.get("general.alignment", _ALIGNMENT)
    if type(value) is not int or not 8 <= value <= 1 << 16 or value & (value - 1):
        raise Unreadable(f"the GGUF header asks for an alignment of {str(value)[:20]!a}")
    return value


def _tensors(header: _Header, count: int, alignment: int) -> dict[str, Array]:
    listed: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(count):
        name = header.text()
        if name in listed:
            raise Unreadable(f"the GGUF header holds the tensor {name[:80]!a} twice")
        dimensions = header.number("<I")
        if dimensions > 4:
            raise Unreadable(f"the GGUF tensor {name[:80]!a} has {dimensions:,} dimensions")
        shape = shape_of([header.number("<Q") for _ in range(dimensions)], f"the GGUF tensor {name[:80]!a}")
        listed[name] = shape, header.number("<I"), header.number("<Q")
    data_start = header.at + -header.at % alignment
    arrays = {}
    for name, (shape, kind, offset) in listed.items():
        if kind not in _DTYPES:
            raise Unreadable(
                f"the GGUF tensor {name[:80]!a} is quantised or of a type that directions never have ({kind})",
                "this is a model or another file, not a control vector; if it is one, export it as F32",
            )
        if offset % alignment:
            raise Unreadable(f"the GGUF tensor {name[:80]!a} does not begin at a multiple of {alignment} bytes")
        arrays[name] = Array(_DTYPES[kind], shape[::-1], row_major(shape[::-1]), data_start + offset)
    return arrays


def write(
    bodies: Mapping[int, bytes], model_hint: str, count_type: str, says: Mapping[str, str] | None = None
) -> bytes:
    """A control vector: `bodies[k]` are the float32 numbers of `direction.k`; `count_type` is "u32" or "i32"; `says`
    are texts of the metadata, by key."""
    kinds = {name: (kind, code) for kind, (name, code) in _SCALARS.items()}
    kind, code = kinds[count_type]
    more = {} if says is None else says
    head = [
        MAGIC, struct.pack("<IQQ", 3, len(bodies), 3 + len(more)),
        _text("general.architecture"), struct.pack("<I", _STRING), _text(ARCHITECTURE),
        _text("controlvector.model_hint"), struct.pack("<I", _STRING), _text(model_hint),
        _text("controlvector.layer_count"), struct.pack("<I", kind), struct.pack(code, len(bodies)),
    ]  # fmt: skip
    for key, text in more.items():
        head += [_text(key), struct.pack("<I", _STRING), _text(text)]
    body, offset = [], 0
    for k, numbers_of in sorted(bodies.items()):
        head += [_text(f"direction.{k}"), struct.pack("<IQIQ", 1, len(numbers_of) // 4, 0, offset)]
        padding = -len(numbers_of) % _ALIGNMENT
        body += [numbers_of, bytes(padding)]
        offset += len(numbers_of) + padding
    header = b"".join(head)
    return header + bytes(-len(header) % _ALIGNMENT) + b"".join(body)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw
