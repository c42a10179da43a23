"""What this machine has left and what this program takes of it, as far as the system tells."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


def resident_bytes() -> int | None:
    """Memory that this process and its children hold, shared pages counted once; None where /proc does not tell."""
    try:
        tasks = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        processes = [str(os.getpid()), *(child for text in tasks for child in text.split())]
        rollups = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes]
    except OSError:
        return None
    held = [re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE) for rollup in rollups]
    return sum(int(found[1]) for found in held if found) << 10 if tasks else None


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory that a process here could still take: of the machine, or what its control group has left where that is
    less; None where the system does not tell."""
    group = root / "sys/fs/cgroup"
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    free = int(found[1]) << 10 if found else None
    try:
        most, taken = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if free is None or most == "max" else min(free, max(0, int(most) - int(taken)))


def weight_bytes(folder: Path) -> int:
    """The files that a model is loaded from."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def free_bytes(folder: Path) -> int:
    """Of the disk on which a folder is, or would be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
