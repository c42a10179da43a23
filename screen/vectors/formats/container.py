"""What kind of file these bytes are, told by the bytes and never by the name; and the reader of that kind."""

from __future__ import annotations

from collections.abc import Callable

from screen.vectors.formats import gguf, npy, pt, safetensors, zipped
from screen.vectors.formats.arrays import FileContents, Unreadable

_KINDS = "vector files are .safetensors, .pt (torch.save), .gguf (control vectors), .npy and .npz"
_RESAVE = "where you trust it, save it anew: torch.save(torch.load(FILE, weights_only=True), FILE)"


def read(data: bytes) -> FileContents:
    """The arrays in `data`. Raises Unreadable, and nothing else, whatever the bytes are."""
    if not data:
        raise Unreadable("the file is empty")
    for at, mark, reader in _READERS:
        if data.startswith(mark, at):
            return reader(data)
    raise Unreadable("it is no vector file of a known kind", _KINDS)


def _zip(data: bytes) -> FileContents:
    files = zipped.entries(data)
    programs = [name for name in files if name.endswith("/data.pkl")]
    if len(programs) == 1:
        return pt.read_entries(data, files)
    if programs:
        raise Unreadable("the zip archive holds several pickles")
    if files and all(name.endswith(".npy") for name in files):
        return npy.read_entries(data, files)
    raise Unreadable("it is a zip archive, but neither a .pt of torch.save nor an .npz", _KINDS)


def _old_pt(_: bytes) -> FileContents:
    raise Unreadable("it is of the form that torch.save wrote before 1.6: a row of pickles", _RESAVE)


def _bare_pickle(_: bytes) -> FileContents:
    raise Unreadable("it is a bare pickle, which is a program and never loaded", _RESAVE)


_READERS: tuple[tuple[int, bytes, Callable[[bytes], FileContents]], ...] = (  # place of a mark, mark, reader: first fit
    (0, gguf.MAGIC, gguf.read),
    (0, npy.MAGIC, npy.read),
    (0, b"PK", _zip),
    (0, pt.LEGACY, _old_pt),
    (0, b"\x80", _bare_pickle),
    (8, b"{", safetensors.read),
)
