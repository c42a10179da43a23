"""safetensors, read without its library: the header is checked against the file, then for what directions are."""

from __future__ import annotations

from screen.tensor_header import LENGTH, BadHeader, TensorEntry, header_length, parse_header
from screen.vectors.formats.arrays import Array, FileContents, Scalar, Unreadable, check, row_major, shape_of

_MOST = 4 << 20  # bytes of a header
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read(data: bytes) -> FileContents:
    """The tensors of a safetensors file, and its metadata texts."""
    try:
        length = header_length(data, len(data), _MOST)
        start = LENGTH + length
        header = parse_header(data[LENGTH:start], len(data) - start)
    except BadHeader as error:
        raise Unreadable(str(error)) from None
    says: dict[str, Scalar] = dict(header.metadata)
    arrays = {name: _array(tensor, start) for name, tensor in header.tensors.items()}
    return check(FileContents("safetensors", arrays, says), len(data))


def _array(tensor: TensorEntry, start: int) -> Array:
    dtype, shown = _DTYPES.get(tensor.dtype), ascii(tensor.name[:80])
    if dtype is None:
        raise Unreadable(f"the tensor {shown} is of the type {tensor.dtype!a}, which directions never have")
    shape = shape_of(tensor.shape, f"the tensor {shown}")
    return Array(dtype, shape, row_major(shape), start + tensor.begin)
