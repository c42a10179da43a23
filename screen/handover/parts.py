"""A dataset in parts: for each of its files, a file of the rows that were kept, dropped, skipped. Byte for byte.

A part without rows has no file. Rows stand in the order of the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.data.copying import copy_rows
from screen.data.dataset import Dataset
from screen.data.files import InputFile
from screen.data.readers.kinds import count_rows
from screen.data.sniff import PACKED, kind_of_name

PARTS = ("kept", "dropped", "skipped")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 100


class WrittenPart(NamedTuple):
    """`file`: relative to the folder; None where there is no row."""

    file: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class InputParts:
    """One file of the dataset, and where its rows went. `name`: as its parts are called."""

    file: InputFile
    name: str
    first_row: int
    rows: int
    parts: dict[str, WrittenPart]


def write_parts(
    dataset: Dataset, part_of: npt.NDArray[np.uint8], folder: Path, folders: Sequence[str], *, packed: bool = False
) -> list[InputParts]:
    """Copy row i to a file in `folders[part_of[i]]`; a part beyond their number is not copied.

    packed  files keep the compression that the dataset's name says; otherwise they are plain
    """
    made, first = [], 0
    for file, name in zip(dataset.files, part_names(dataset.files, packed=packed), strict=True):
        rows = count_rows(file)
        here = part_of[first : first + rows]
        parts = {part: _write(dataset, file, here == i, folder, f"{part}/{name}") for i, part in enumerate(folders)}
        made.append(InputParts(file, name, first, rows, parts))
        first += rows
    return made


def _write(dataset: Dataset, file: InputFile, wanted: npt.NDArray[np.bool_], folder: Path, name: str) -> WrittenPart:
    rows = int(wanted.sum())
    if not rows:
        return WrittenPart(None, 0)
    (folder / name).parent.mkdir(exist_ok=True)
    copy_rows(replace(dataset, files=(file,)), lambda row: bool(wanted[row]), folder / name)
    return WrittenPart(name, rows)


def part_names(files: Sequence[InputFile], *, packed: bool = False) -> list[str]:
    """A plain name a file, no two of them alike on any disk: what is unusual in a name is an underscore."""
    names: dict[str, str] = {}  # in lower case, as some disks compare them
    for file in files:
        stem, ending = _stem_and_ending(file, packed)
        name, number = stem + ending, 2
        while name.lower() in names:
            name, number = f"{stem}-{number}{ending}", number + 1
        names[name.lower()] = name
    return list(names.values())


def _stem_and_ending(file: InputFile, packed: bool) -> tuple[str, str]:
    name = _UNSAFE.sub("_", Path(file.path).name).lstrip(".-") or "data"
    compression = next((suffix for suffix in PACKED if name.lower().endswith(suffix)), "")
    plain = name[: len(name) - len(compression)]
    stem, dot, suffix = plain.rpartition(".")
    if not dot or kind_of_name(plain) != file.kind:
        stem, suffix = plain, file.kind
    keep = packed and file.kind not in ("parquet", "arrow")
    return stem[:_LONGEST] or "data", f".{suffix}{compression if keep else ''}"
