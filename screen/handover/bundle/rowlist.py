"""rows.csv of a bundle: every row of the dataset, in order: its number, its part, the digest of its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROWS = "rows.csv"
_HEAD = "row,part,sha256\n"
_ROW = re.compile(r"([0-9]+),(kept|dropped|skipped),([0-9a-f]{64}|[0-9a-f]{16})\n")


class ListedRow(NamedTuple):
    row: int
    part: str
    sha256: str


def write_rows(path: Path, rows: Iterable[ListedRow]) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(_HEAD)
        for row in rows:
            file.write(f"{row.row},{row.part},{row.sha256}\n")


def listed(folder: Path) -> Iterator[ListedRow]:
    """Raises ValueError for a line that is none, or out of order."""
    with (folder / ROWS).open(encoding="ascii", newline="") as file:
        if file.readline() != _HEAD:
            raise ValueError(f"{ROWS} does not begin with {_HEAD.strip()}")
        for row, line in enumerate(file):
            found = _ROW.fullmatch(line)
            if found is None or int(found[1]) != row:
                raise ValueError(f"{ROWS} line {row + 2} is not that of row {row}")
            yield ListedRow(row, found[2], found[3])
