"""Where an export is written, where nobody says: beside the run, by its name."""

from __future__ import annotations

from pathlib import Path

from screen.data.sniff import PACKED
from screen.errors import UsageError
from screen.store.scan import Scan


def default_place(scan: Scan, kind: str, inline: bool = False) -> Path:
    """`chats.audit` and `chats.hub`, `chats.weights.parquet`; `chats.clean.jsonl.gz` for a run of `chats.jsonl.gz`.

    Raises UsageError for standard input, a folder, and several files.
    """
    stem = scan.path.name.removesuffix(".screen")
    if kind in ("audit", "hub"):
        return scan.path.with_name(f"{stem}.{kind}")
    if kind == "weights" and not inline:
        return scan.path.with_name(f"{stem}.weights.parquet")
    named = [Path(name) for name in scan.folder.facts["spec"]["dataset"]]
    if len(named) != 1 or not named[0].suffix or len(scan.folder.identity["dataset"]["files"]) != 1:
        raise UsageError("a copy of standard input or of several files has no name of its own", "name it with -o")
    packed = named[0].suffix if named[0].suffix in PACKED else ""
    plain = Path(named[0].name.removesuffix(packed)).suffix
    return scan.path.with_name(f"{stem}.{kind}{plain}{packed}")
