"""The header of a safetensors file, checked against the file: lengths, shapes and places, before a number is read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from screen.errors import ModelError

_MOST = 100 << 20  # bytes of a header, as the format's own library has it
_AGAIN = "get the file again from where the model is published"
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


class TensorEntry(NamedTuple):
    """What a header says of one tensor, checked. `numbers`: the product of its shape."""

    name: str
    shape: tuple[int, ...]
    numbers: int


Head = dict[str, TensorEntry]


def read_head(path: Path) -> Head:
    """The file's tensors by name. Raises ModelError naming file and tensor where header and file disagree."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _MOST):
                raise _lie(path, f"its header claims {length:,} bytes, and the file has {size:,}")
            raw = file.read(length)
        entries = json.loads(raw, object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise _lie(path, f"its header cannot be read: {str(error)[:200]}") from None
    if not isinstance(entries, dict):
        raise _lie(path, "its header holds no object")
    entries.pop("__metadata__", None)
    places: list[tuple[int, int, str]] = []
    head = {name: _tensor(path, name, entry, places) for name, entry in entries.items()}
    _check_places(path, places, size - 8 - length)
    return head


def _tensor(path: Path, name: str, entry: Any, places: list[tuple[int, int, str]]) -> TensorEntry:
    shown = repr(name[:80])
    if not isinstance(entry, dict):
        raise _lie(path, f"the tensor {shown} is no object")
    shape, span, bits = entry.get("shape"), entry.get("data_offsets"), _BITS.get(str(entry.get("dtype")))
    if bits is None:
        raise _lie(path, f"the tensor {shown} has the unknown dtype {str(entry.get('dtype'))[:40]!r}")
    if not isinstance(shape, list) or not isinstance(span, list) or len(span) != 2 or len(shape) > 16:
        raise _lie(path, f"the tensor {shown} has no readable shape and data_offsets")
    if not all(type(n) is int and n >= 0 for n in (*shape, *span)):
        raise _lie(path, f"the tensor {shown} has no readable shape and data_offsets")
    numbers = math.prod(shape)
    if 8 * (span[1] - span[0]) != numbers * bits:
        raise _lie(path, f"the tensor {shown} has the shape {shape} in {span[1] - span[0]:,} bytes")
    places.append((span[0], span[1], name))
    return TensorEntry(name, tuple(shape), numbers)


def _check_places(path: Path, places: list[tuple[int, int, str]], size: int) -> None:
    """Tensors stand end to end and fill the file: no two share a byte, none lies outside."""
    at = 0
    for start, end, name in sorted(places):
        if start != at:
            what = "overlaps another one" if start < at else "leaves a gap before it"
            raise _lie(path, f"the tensor {name[:80]!r} {what} (data_offsets [{start}, {end}])")
        at = end
    if at != size:
        raise _lie(path, f"its tensors end at byte {at:,} of {size:,}")


def _lie(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}", _AGAIN)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("it holds a key twice")
    return made
