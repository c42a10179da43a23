"""The header of a weight file, checked against the file before anything of it is loaded."""

from __future__ import annotations

from pathlib import Path

from screen.errors import ModelError
from screen.tensor_header import LENGTH, BadHeader, TensorEntry, header_length, parse_header

_MOST = 100 << 20  # bytes of a header, as the format's own library has it
_AGAIN = "get the file again from where the model is published"

Head = dict[str, TensorEntry]


def read_head(path: Path) -> Head:
    """The file's tensors by name. Raises ModelError naming file and tensor where header and file disagree."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = header_length(file.read(LENGTH), size, _MOST)
            return parse_header(file.read(length), size - LENGTH - length).tensors
    except OSError as error:
        raise ModelError(f"{path}: its header cannot be read: {error}", _AGAIN) from None
    except BadHeader as error:
        raise ModelError(f"{path}: {error}", _AGAIN) from None
