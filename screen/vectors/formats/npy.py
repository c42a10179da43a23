"""`.npy` and `.npz`, read without numpy: a header that is not exactly of numpy's form is refused, pickles always."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from screen.vectors.formats import zipped
from screen.vectors.formats.arrays import (
    GET_AGAIN,
    MAX_FILE,
    SIZES,
    Array,
    FileContents,
    Unreadable,
    check,
    row_major,
    shape_of,
)

MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000  # numpy's own limit
_FIELD = re.compile(r"\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d,\s]*\))\s*(?:,|(?=\}))")
_SHAPE = re.compile(r"\(\s*(?:\d{1,19}\s*,\s*)*(?:\d{1,19}\s*)?\)")
_OBJECTS = re.compile(r"'descr'\s*:\s*'[|<>=]?O")
_FLOATS = "save it as floats: numpy.save(FILE, numpy.asarray(directions, dtype=numpy.float32))"


def read(data: bytes) -> FileContents:
    """The array of an `.npy` file, by the name ""."""
    array = _whole(data, "the .npy array")
    return check(FileContents("npy", {"": array}), len(data))


def read_entries(data: bytes, files: dict[str, zipped.Entry]) -> FileContents:
    """The arrays of an `.npz` file, by their names without `.npy`."""
    arrays: dict[str, Array] = {}
    inflated = bytearray()
    for name, entry in files.items():
        body = zipped.content(data, entry, name, MAX_FILE - len(inflated))
        if not name.endswith(".npy") or not body.startswith(MAGIC):
            raise Unreadable(f"the .npz file holds {name!a}, which is not an .npy array")
        array = _whole(body, f"the array {name!a}")
        if entry.stored:
            array = replace(array, start=entry.start + array.start)
        else:
            array = replace(array, start=len(inflated) + array.start, place="inflated")
            inflated += body
        arrays[name.removesuffix(".npy")] = array
    return check(FileContents("npz", arrays, inflated=bytes(inflated)), len(data))


def _whole(data: bytes, what: str) -> Array:
    """The array that `data` is: a header, the numbers, and nothing after them."""
    if len(data) < 12:
        raise Unreadable(f"the header of {what} is cut off")
    version = data[6]
    if version not in (1, 2, 3):
        raise Unreadable(f"{what} is of the unknown format version {version}")
    code = "<H" if version == 1 else "<I"
    length: int = struct.unpack_from(code, data, 8)[0]
    begin = 8 + struct.calcsize(code)
    if length > min(_MAX_HEADER, len(data) - begin):
        raise Unreadable(
            f"the header of {what} claims {length:,} bytes; at most {_MAX_HEADER:,} of the file's are read"
        )
    dtype, fortran, shape = _header(data[begin : begin + length].decode("latin-1"))
    strides = row_major(shape[::-1])[::-1] if fortran else row_major(shape)
    array = Array(dtype, shape, strides, begin + length)
    declared, present = array.extent, len(data) - array.start
    if declared != present:
        raise Unreadable(f"{what} declares {declared:,} bytes of numbers, but {present:,} are there")
    return array


def _header(text: str) -> tuple[str, bool, tuple[int, ...]]:
    """dtype, Fortran order and shape from `{'descr': '<f4', 'fortran_order': False, 'shape': (29, 3584), }`."""
    fields: dict[str, str] = {}
    stripped = text.strip()
    at = 1
    while field := _FIELD.match(stripped, at):
        if field[1] in fields:
            raise Unreadable(f"the .npy header holds {field[1]!a} twice")
        fields[field[1]] = field[2]
        at = field.end()
    if _OBJECTS.search(text):
        raise Unreadable("the .npy array holds Python objects, which are pickles and never loaded", _FLOATS)
    if len(fields) != 3 or not stripped.startswith("{") or stripped[at:].strip() != "}":
        raise Unreadable("the .npy header is not of the form that numpy writes for plain numbers", GET_AGAIN)
    dtype = fields["descr"].strip("'")
    if dtype not in SIZES:
        raise Unreadable(f"the .npy array is of the type {dtype[:20]!a}, which directions never have", _FLOATS)
    if fields["fortran_order"] not in ("True", "False") or not _SHAPE.fullmatch(fields["shape"]):
        raise Unreadable("the .npy header is not of the form that numpy writes for plain numbers")
    shape = shape_of([int(n) for n in re.findall(r"\d+", fields["shape"])], "the .npy array")
    return dtype, fields["fortran_order"] == "True", shape
