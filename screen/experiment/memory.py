"""Whether a model can be trained in the memory at hand, asked before hours are spent."""

from __future__ import annotations

from pathlib import Path

import torch

from screen.analysis.estimate.machine import available_bytes
from screen.errors import ModelError
from screen.model.folder import weights_of
from screen.model.safetensors_head import read_head

_FULL = 16  # bytes a parameter: float32 weights, gradients and AdamW's two moments
_FROZEN = 5  # with adapters: the weights, and a margin for what is trained
_MARGIN = 1.2  # activations


def check(folder: Path, device: str, lora: bool) -> None:
    """Raises ModelError where the estimate for the model in `folder` exceeds what is free. Reads headers alone."""
    parameters = sum(tensor.numbers for file in weights_of(folder) for tensor in read_head(file).values())
    wanted = int(parameters * (_FROZEN if lora else _FULL) * _MARGIN)
    free = available(torch.device(device))
    if free is not None and wanted > free:
        raise ModelError(
            f"training {parameters / 1e6:,.0f} M parameters {'with adapters ' if lora else ''}takes about"
            f" {wanted / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free",
            "free memory, use a smaller model" + ("" if lora else ", or train adapters with --lora 32"),
        )


def available(device: torch.device) -> int | None:
    """Free bytes where a model on this device would be trained; None where the system does not tell."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else available_bytes()
