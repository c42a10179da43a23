"""The zip containers of `.pt` and `.npz`: every entry once, in one piece, its bytes as its checksum says."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import NamedTuple

from screen.vectors.formats.arrays import MAX_ARRAYS, MAX_FILE, Unreadable

_END = b"PK\x05\x06"
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Entry(NamedTuple):
    """A file in the zip: `size` bytes, stored as `packed` bytes from `start` on."""

    start: int
    packed: int
    size: int
    crc: int
    stored: bool


def entries(data: bytes) -> dict[str, Entry]:
    """The files in a zip, by name. Raises Unreadable where a name comes twice or an entry is not all there."""
    end = data.rfind(_END, max(0, len(data) - (1 << 16) - 22))
    if end < 0 or len(data) < end + 22:
        raise Unreadable("the zip archive has no end: the file is cut off or damaged")
    if struct.unpack_from("<H", data, end + 10)[0] > MAX_ARRAYS:
        raise Unreadable("the zip archive lists more files than any vector file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError, EOFError) as error:
        raise Unreadable(f"not a readable zip archive ({error})") from None
    by_name: dict[str, Entry] = {}
    for info in infos:
        if info.filename in by_name:
            raise Unreadable(f"the zip archive holds {info.filename!a} twice")
        by_name[info.filename] = _entry(data, info)
    return by_name


def _entry(data: bytes, info: zipfile.ZipInfo) -> Entry:
    name = info.filename
    if info.flag_bits & _ENCRYPTED:
        raise Unreadable(f"{name!a} in the zip archive is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"{name!a} in the zip archive is compressed in a way that vector files never are")
    head = info.header_offset
    if head < 0 or head + _LOCAL.size > len(data) or data[head : head + 4] != b"PK\x03\x04":
        raise Unreadable(f"{name!a} is listed in the zip archive, but is not there")
    *_, name_length, extra_length = _LOCAL.unpack_from(data, head)
    start = head + _LOCAL.size + name_length + extra_length
    stored = info.compress_type == zipfile.ZIP_STORED
    if start + info.compress_size > len(data) or (stored and info.compress_size != info.file_size):
        raise Unreadable(f"{name!a} in the zip archive is cut off")
    return Entry(start, info.compress_size, info.file_size, info.CRC, stored)


def content(data: bytes, entry: Entry, name: str, limit: int = MAX_FILE) -> bytes:
    """The bytes of an entry, inflated where they are compressed, checked against their checksum."""
    if entry.size > limit:
        raise Unreadable(f"{name!a} unpacks to {entry.size:,} bytes; at most {limit:,} are read")
    packed = data[entry.start : entry.start + entry.packed]
    if entry.stored:
        plain = packed
    else:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = inflater.decompress(packed, entry.size + 1)
        except zlib.error as error:
            raise Unreadable(f"{name!a} in the zip archive does not unpack ({error})") from None
        if len(plain) != entry.size:
            raise Unreadable(f"{name!a} does not unpack to the {entry.size:,} bytes it claims")
    if zlib.crc32(plain) != entry.crc:
        raise Unreadable(f"{name!a} in the zip archive does not match its checksum")
    return plain


def write(files: dict[str, bytes], align: int = 64) -> bytes:
    """A zip of uncompressed files, each starting at a multiple of `align`; equal files give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, body in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            before = out.tell() + _LOCAL.size + len(name.encode()) + 4
            gap = -before % align
            info.extra = struct.pack("<2sH", b"FB", gap) + b"Z" * gap  # the padding field that torch.save uses
            archive.writestr(info, body)
    return out.getvalue()
