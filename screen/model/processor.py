"""What the processor and the container that it is seen through allow."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def quota(cgroup: Path = _CGROUP) -> float | None:
    """Cores' worth of time that a container may use, None where it is not limited."""
    try:
        most, period = (cgroup / "cpu.max").read_text().split()  # version 2
    except (OSError, ValueError):
        try:
            most, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    return int(most) / int(period) if most.isdecimal() and int(period) > 0 else None


def limit_threads(cgroup: Path = _CGROUP) -> None:
    """No more of torch's threads than the container has cores: it counts the machine's, and more of them than may run
    wait for each other. OMP_NUM_THREADS, where it is set, is the user's own choice."""
    allowed = quota(cgroup)
    if allowed is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), math.ceil(allowed))))


def slow_bfloat16() -> str | None:
    """Why bfloat16 does not pay on this processor, None where it does or where that is not known."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return None
    return "this processor has no bfloat16 arithmetic and emulates it: --dtype float32 is exact"
