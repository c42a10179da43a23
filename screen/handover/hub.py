"""A folder that can be pushed to a hub as it stands: the rows that are kept, and a dataset card. Uploads nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from screen.errors import InputError
from screen.handover.card import REMARK, LeftOut, metadata, section
from screen.handover.markdown import front_matter, plain
from screen.handover.parts import InputParts, write_parts
from screen.select.subset import Subset
from screen.store.folder import SUMMARY
from screen.store.scan import Scan

README = "README.md"
SCREENING = "screening"
MARK = f"{SCREENING}/{SUMMARY}"
DATA = "data"


def write_hub(scan: Scan, subset: Subset, expression: str, name: str, folder: Path) -> None:
    """Fill an empty folder. `name`: the card's title. Raises InputError where no row is left."""
    if not subset.counts.kept:
        raise InputError("no row is left to put on a hub", "drop fewer, with another --drop")
    inputs = write_parts(subset.dataset, subset.dropped.astype("uint8"), folder, (DATA,), packed=True)
    (folder / SCREENING).mkdir()
    shutil.copyfile(scan.path / SUMMARY, folder / MARK)
    subset.write_reasons(folder / SCREENING / "reasons.jsonl")
    fields = {"configs": _configs(inputs), **metadata(subset.counts.kept)}
    left_out = LeftOut(expression, subset.counts.kept, subset.counts.dropped)
    text = f"{front_matter(fields, REMARK)}\n# {plain(name)}\n\n{section(scan, left_out)}"
    (folder / README).write_text(text, encoding="utf-8", newline="\n")


def _configs(inputs: list[InputParts]) -> list[dict[str, object]]:
    """One for each kind of file, since a loader reads one kind."""
    paths: dict[str, list[str]] = {}
    for item in inputs:
        if (file := item.parts[DATA].file) is not None:
            paths.setdefault(item.file.kind, []).append(file)
    names = ["default"] if len(paths) == 1 else list(paths)
    return [
        {"config_name": name, "data_files": [{"split": "train", "path": files}]}
        for name, files in zip(names, paths.values(), strict=True)
    ]
