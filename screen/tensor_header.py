"""The header of a safetensors file, held against the file before a number is read: length, keys, shapes and places.

For weights and for vector files alike. Standard library only: the child that reads vector files imports it.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
LENGTH = 8  # bytes before the header that say how long it is


class BadHeader(Exception):
    """Header and file disagree. What it says comes without the file's name."""


class TensorEntry(NamedTuple):
    """What a header says of one tensor, checked. `begin`, `end`: bytes after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def numbers(self) -> int:
        """The product of its shape."""
        return math.prod(self.shape)


class TensorHeader(NamedTuple):
    """The tensors by name, and the metadata's texts."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def header_length(start: bytes, size: int, most: int) -> int:
    """How long the header is, from the first bytes of a file of `size` bytes; `most` are read. Raises BadHeader."""
    length = int.from_bytes(start[:LENGTH], "little")
    if not 2 <= length <= min(size - LENGTH, most):
        raise BadHeader(f"its header claims {length:,} bytes, and the file has {size:,}")
    return length


def parse_header(raw: bytes, body: int) -> TensorHeader:
    """The header's bytes, with `body` bytes after them. Raises BadHeader naming the first tensor that cannot be."""
    try:
        entries = unique_json(raw)
    except ValueError as error:
        raise BadHeader(f"its header cannot be read: {str(error)[:200]}") from None
    if not isinstance(entries, dict):
        raise BadHeader("its header holds no object")
    metadata = entries.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise BadHeader("its metadata is not a list of texts")
    tensors = {name: _tensor(name, entry) for name, entry in entries.items()}
    _check_places(tensors, body)
    return TensorHeader(tensors, metadata)


def unique_json(raw: bytes | str) -> Any:
    """JSON of untrusted UTF-8: no key twice, no depth that the parser cannot take. Raises ValueError."""
    try:
        return json.loads(raw if isinstance(raw, str) else raw.decode(), object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"it holds the key {key[:80]!a} twice")
        fields[key] = value
    return fields


def _tensor(name: str, entry: Any) -> TensorEntry:
    shown = ascii(name[:80])
    if not isinstance(entry, dict):
        raise BadHeader(f"the tensor {shown} is no object")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise BadHeader(f"the tensor {shown} has the unknown dtype {str(dtype)[:40]!a}")
    if not isinstance(shape, list) or not isinstance(span, list) or len(span) != 2 or len(shape) > 16:
        raise BadHeader(f"the tensor {shown} has no readable shape and data_offsets")
    if not all(type(n) is int and n >= 0 for n in (*shape, *span)):
        raise BadHeader(f"the tensor {shown} has no readable shape and data_offsets")
    tensor = TensorEntry(name, dtype, tuple(shape), *span)
    if 8 * (tensor.end - tensor.begin) != tensor.numbers * BITS[dtype]:
        raise BadHeader(f"the tensor {shown} has the shape {shape} in {tensor.end - tensor.begin:,} bytes of {dtype}")
    return tensor


def _check_places(tensors: dict[str, TensorEntry], body: int) -> None:
    """Tensors stand end to end and fill the file: no two share a byte, none lies outside."""
    at = 0
    for tensor in sorted(tensors.values(), key=lambda t: (t.begin, t.end, t.name)):
        if tensor.begin != at:
            what = "overlaps another one" if tensor.begin < at else "leaves a gap before it"
            where = f"data_offsets [{tensor.begin}, {tensor.end}]"
            raise BadHeader(f"the tensor {tensor.name[:80]!a} {what} ({where})")
        at = tensor.end
    if at != body:
        raise BadHeader(f"its tensors end at byte {at:,} of {body:,}")
