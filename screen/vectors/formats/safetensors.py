"""safetensors, read without its library: the header's length, keys, shapes and places are checked one by one."""

from __future__ import annotations

import json
from typing import Any

from screen.vectors.formats.arrays import (
    MAX_ARRAYS,
    SIZES,
    Array,
    FileContents,
    Scalar,
    Unreadable,
    check,
    numbers,
    row_major,
    shape_of,
)

MAX_HEADER = 4 << 20
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read(data: bytes) -> FileContents:
    """The tensors of a safetensors file, and its metadata texts."""
    size = int.from_bytes(data[:8], "little") if len(data) >= 8 else -1
    if not 2 <= size <= min(len(data) - 8, MAX_HEADER):
        raise Unreadable("the safetensors header's length is impossible")
    header = json_of(data[8 : 8 + size], "the safetensors header")
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS:
        raise Unreadable("the safetensors header is not a list of tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Unreadable("the safetensors metadata is not a list of texts")
    says: dict[str, Scalar] = dict(metadata)
    places: list[tuple[int, int, str]] = []
    arrays = {name: _array(name, entry, 8 + size, places) for name, entry in header.items()}
    _in_one_piece(places, len(data) - 8 - size)
    return check(FileContents("safetensors", arrays, says), len(data))


def json_of(raw: bytes | str, what: str) -> Any:
    """JSON of untrusted text: no key twice, no depth that the parser cannot take."""
    try:
        return json.loads(raw, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is not readable JSON ({error})") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"it holds the key {key[:80]!a} twice")
        fields[key] = value
    return fields


def _array(name: str, entry: Any, base: int, places: list[tuple[int, int, str]]) -> Array:
    shown = name[:80]
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Unreadable(f"the safetensors header describes {shown!a} in an unknown way")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise Unreadable(
            f"the tensor {shown!a} is of the type {str(entry['dtype'])[:20]!a}, which directions never have"
        )
    shape = shape_of(entry["shape"], f"the tensor {shown!a}")
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or any(type(at) is not int or at < 0 for at in offsets):
        raise Unreadable(f"the tensor {shown!a} has an impossible place in the file")
    begin, end = offsets
    if end - begin != numbers(shape) * SIZES[dtype]:
        raise Unreadable(
            f"the tensor {shown!a} has {end - begin:,} bytes, which is not what {dtype}{list(shape)} needs"
        )
    places.append((begin, end, shown))
    return Array(dtype, shape, row_major(shape), base + begin)


def _in_one_piece(places: list[tuple[int, int, str]], size: int) -> None:
    """The tensors fill the rest of the file without a gap or an overlap, as the format demands."""
    at = 0
    for begin, end, name in sorted(places):
        if begin != at:
            raise Unreadable(f"the tensor {name!a} does not begin where the one before it ends")
        at = end
    if at != size:
        raise Unreadable(f"the tensors take {at:,} bytes, but {size:,} are there: the file is cut off or has a tail")
