"""Whether a model can be trained in the memory at hand, asked before hours are spent."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from screen.errors import ModelError
from screen.model.load import BaseModel

_FULL = 16  # bytes a parameter: float32 weights, gradients and AdamW's two moments
_FROZEN = 5  # with adapters: the weights, and a margin for what is trained
_MARGIN = 1.2  # activations


def check(model: BaseModel, lora: bool) -> None:
    """Raises ModelError where the estimate exceeds what is free."""
    assert model.causal is not None
    parameters = sum(p.numel() for p in model.causal.parameters())
    wanted = int(parameters * (_FROZEN if lora else _FULL) * _MARGIN)
    free = available(model.device)
    if free is not None and wanted > free:
        raise ModelError(
            f"training {parameters / 1e6:,.0f} M parameters {'with adapters ' if lora else ''}takes about"
            f" {wanted / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free",
            "free memory, use a smaller model" + ("" if lora else ", or train adapters with --lora 32"),
        )


def available(device: torch.device) -> int | None:
    """Free bytes where a model on this device would be trained; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None
