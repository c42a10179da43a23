"""What went wrong on a device: memory that ran out, or a device that is of no more use."""

from __future__ import annotations

import torch

from screen.errors import ModelError

FAULTS = (RuntimeError, ValueError, IndexError, ArithmeticError, MemoryError)  # what a model may raise on one row
_FULL = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class MemoryRanOut(Exception):
    """Several sequences do not fit into memory together at the tokens a batch that were asked for."""


def no_memory(error: Exception) -> bool:
    """Allocators, libraries and drivers each say it in their own way."""
    text = str(error).lower()
    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return full or any(word in text for word in _FULL)


def device_failed(error: Exception) -> bool:
    """A CUDA context that met an error is of no more use: whatever is tried next fails too."""
    return "CUDA error" in str(error) and not no_memory(error)


def told(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"


def failed_device(device: torch.device, error: Exception) -> ModelError:
    return ModelError(
        f"{device} failed: {str(error).splitlines()[0][:200]}",
        "the same command goes on from the last shard; if it fails there again, try --device cpu on these rows",
    )
