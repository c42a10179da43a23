"""Where a run and its answers are kept, where nobody says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from screen.errors import UsageError


def default_out(dataset: Sequence[str]) -> Path:
    """`chats.screen` beside `chats.jsonl.gz`."""
    if len(dataset) != 1 or dataset[0] == "-" or not os.path.exists(dataset[0]):
        what = "standard input" if tuple(dataset) == ("-",) else "several inputs"
        raise UsageError(f"there is no place beside {what} for the run", "name its folder with --out")
    from screen.data.sniff import PACKED, kind_of_name

    path = Path(dataset[0])
    stem = Path(os.path.abspath(path)).name if path.name in ("", "..") else path.name
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    if kind_of_name(stem) is not None and not path.is_dir():
        stem = stem.rpartition(".")[0]
    return path.parent / f"{stem or path.name}.screen"


def default_cache() -> Path:
    """Where generated answers are kept for later runs: the user's cache folder (docs/decisions/0001)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "persona-screen" / "answers"
