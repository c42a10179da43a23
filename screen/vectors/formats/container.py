"""What kind of file these bytes are, told by the bytes and never by the name; and the reader of that kind."""

from __future__ import annotations

from screen.vectors.formats import gguf, npy, pt, safetensors, zipped
from screen.vectors.formats.arrays import FileContents, Unreadable

_KINDS = "vector files are .safetensors, .pt (torch.save), .gguf (control vectors), .npy and .npz"
_RESAVE = "where you trust it, save it anew: torch.save(torch.load(FILE, weights_only=True), FILE)"


def read(data: bytes) -> FileContents:
    """The arrays in `data`. Raises Unreadable, and nothing else, whatever the bytes are."""
    if not data:
        raise Unreadable("the file is empty")
    if data.startswith(gguf.MAGIC):
        return gguf.read(data)
    if data.startswith(npy.MAGIC):
        return npy.read(data)
    if data.startswith(b"PK"):
        return _zip(data)
    if data.startswith(pt.LEGACY):
        raise Unreadable("it is of the form that torch.save wrote before 1.6: a row of pickles", _RESAVE)
    if data.startswith(b"\x80"):
        raise Unreadable("it is a bare pickle, which is a program and never loaded", _RESAVE)
    if data[8:9] == b"{":
        return safetensors.read(data)
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
