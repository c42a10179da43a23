"""`.pt` files of torch.save, read and written without torch.

Read: one tensor, a dict of tensors, numbers and texts, or a list of tensors; any float or integer dtype, any
strides. Written: one float32 tensor, which `torch.load(weights_only=True)` reads back equal.
"""

from __future__ import annotations

import struct
from typing import Any

from screen.vectors.formats import pickled, zipped
from screen.vectors.formats.arrays import SIZES, Array, FileContents, Scalar, Unreadable, check

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number that torch.save began with before 1.6
_RESAVE = "where you trust it, save it anew: torch.save(torch.load(FILE, weights_only=True), FILE)"


def read_entries(data: bytes, files: dict[str, zipped.Entry]) -> FileContents:
    """What a torch.save archive holds; a bare tensor is the array ""."""
    (program,) = (name for name in files if name.endswith("/data.pkl"))
    folder = program.removesuffix("data.pkl")
    order = files.get(f"{folder}byteorder")
    if order is not None and zipped.content(data, order, "byteorder", 16) != b"little":
        raise Unreadable("its numbers are big-endian", _RESAVE)
    value = pickled.value_of(zipped.content(data, files[program], program, 1 << 20))
    tensors, says = _sorted(value)
    checked: dict[str, int] = {}
    arrays = {name: _array(data, files, folder, tensor, checked) for name, tensor in tensors.items()}
    return check(FileContents("pt", arrays, says), len(data))


def _sorted(value: Any) -> tuple[dict[str, pickled.PickledTensor], dict[str, Scalar]]:
    """The tensors by name, and the plain facts beside them."""
    if isinstance(value, pickled.PickledTensor):
        return {"": value}, {}
    if isinstance(value, list | tuple) and value and all(isinstance(v, pickled.PickledTensor) for v in value):
        return {str(i): tensor for i, tensor in enumerate(value)}, {}
    if not isinstance(value, dict):
        raise Unreadable(f"it holds a {type(value).__name__}, not tensors", _RESAVE)
    tensors: dict[str, pickled.PickledTensor] = {}
    says: dict[str, Scalar] = {}
    for key, item in value.items():
        name = str(key)
        if name in tensors or name in says:
            raise Unreadable(f"its pickle holds the key {name!a} twice")
        if isinstance(item, pickled.PickledTensor):
            tensors[name] = item
        elif isinstance(item, str | int | float | bool | None):
            says[name] = item
    return tensors, says


def _array(
    data: bytes, files: dict[str, zipped.Entry], folder: str, tensor: pickled.PickledTensor, checked: dict[str, int]
) -> Array:
    storage, name = tensor.storage, f"{folder}data/{tensor.storage.key}"
    entry = files.get(name)
    if entry is None:
        raise Unreadable(f"the numbers of a tensor ({name!a}) are missing")
    if not entry.stored or entry.size != storage.numbers * SIZES[storage.dtype]:
        raise Unreadable(f"{name!a} holds {entry.size:,} bytes, not {storage.numbers:,} numbers of {storage.dtype}")
    if storage.key not in checked:
        zipped.content(data, entry, name)  # for its checksum; a key's numbers are summed once
        checked[storage.key] = entry.start
    array = Array(storage.dtype, tensor.shape, tensor.strides, entry.start + tensor.offset * SIZES[storage.dtype])
    if tensor.offset < 0 or array.start + array.extent > entry.start + entry.size:
        raise Unreadable("a tensor reaches beyond its own numbers")
    return array


def write(body: bytes, shape: tuple[int, int]) -> bytes:
    """A `.pt` holding one contiguous float32 tensor; `body` is its numbers, little-endian, row by row."""
    rows, width = shape
    program = b"".join(
        [
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((",
            _text("storage"), b"ctorch\nFloatStorage\n", _text("0"), _text("cpu"), _int(rows * width), b"tQ",
            _int(0), _int(rows), _int(width), b"\x86", _int(width), _int(1), b"\x86",
            b"\x89ccollections\nOrderedDict\n)RtR.",
        ]
    )  # fmt: skip
    files = {"data.pkl": program, "byteorder": b"little", "data/0": body, "version": b"3\n"}
    return zipped.write({f"archive/{name}": content for name, content in files.items()})


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
