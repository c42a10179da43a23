"""A shard on its way to the disk: described, then placed. The manifest line that publishes it comes after."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from screen.disk import Disk, new_file, set_aside
from screen.store import tables
from screen.store.manifest import FileEntry, ShardEntry


def describe(
    shard: int,
    first_row: int,
    end_row: int,
    contents: Mapping[str, pa.Table],
    traits: Sequence[str],
    run: str,
    token_budget: int | None = None,
    carried: int | None = None,
) -> tuple[ShardEntry, dict[str, bytes]]:
    """The shard's manifest entry and its files' bytes by table. Raises ValueError for tables that are a bug."""
    surplus = sorted(set(contents) - set(tables.NAMES))
    if surplus:
        raise ValueError(f"a shard has no tables {surplus}")
    tables.check_rows(first_row, end_row, contents)
    data, files = {}, {}
    for name in tables.NAMES:
        if name in contents and contents[name].num_rows:
            data[name] = tables.encode(contents[name], tables.pinned(name, traits))
            sha256 = hashlib.sha256(data[name]).hexdigest()
            path = f"{name}/{shard:06d}.parquet"
            files[name] = FileEntry(path, len(data[name]), sha256, contents[name].num_rows)
    entry = ShardEntry(
        shard=shard,
        first_row=first_row,
        end_row=end_row,
        rows=end_row - first_row,
        scored=files["scores"].rows if "scores" in files else 0,
        skipped=files["skipped"].rows if "skipped" in files else 0,
        run=run,
        files=files,
        token_budget=token_budget,
        carried=carried,
    )
    return entry, data


def place(folder: Path, file: FileEntry, data: bytes, schema: pa.Schema, disk: Disk) -> None:
    """One table under its name: checked and durable. A stranger of that name is set aside, not deleted."""
    target = folder / file.name
    with new_file(target, disk) as scratch:
        disk.write_new(scratch, data)
        tables.check_written(disk.read(scratch), file.sha256, file.rows, schema)
        if target.exists() and disk.sha256(target) != file.sha256:
            set_aside(target, disk)
