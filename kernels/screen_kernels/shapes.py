"""Checks and views that the kernels' public functions share. Every failed check is a ValueError."""

from __future__ import annotations

import math

import torch

FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def check_float(name: str, tensor: torch.Tensor) -> None:
    if tensor.dtype not in FLOATS:
        raise ValueError(f"{name} must be float32, bfloat16 or float16, not {tensor.dtype}")


def check_same(name: str, tensor: torch.Tensor, as_name: str, as_tensor: torch.Tensor) -> None:
    """Same shape and dtype."""
    if tensor.shape != as_tensor.shape or tensor.dtype != as_tensor.dtype:
        raise ValueError(
            f"{name} {tuple(tensor.shape)} {tensor.dtype} must have the shape and dtype of "
            f"{as_name} {tuple(as_tensor.shape)} {as_tensor.dtype}"
        )


def check_shape(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be {shape}, not {tuple(tensor.shape)}")


def check_dense_rows(name: str, tensor: torch.Tensor) -> None:
    """The elements of a row lie side by side."""
    if tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
        raise ValueError(f"{name} must have stride 1 in its last dimension, not {tensor.stride(-1)}")


def heads_of(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A view (outer, inner, d) of a tensor (..., d) whose last leading dimension may have a stride of its own."""
    check_dense_rows(name, tensor)
    inner = tensor.shape[-2] if tensor.ndim > 2 else 1
    outer = math.prod(tensor.shape[:-2]) if tensor.ndim > 2 else math.prod(tensor.shape[:-1])
    return _view(name, tensor, (outer, inner, tensor.shape[-1]))


def rows_of(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A view (rows, d) of a tensor (..., d)."""
    check_dense_rows(name, tensor)
    return _view(name, tensor, (math.prod(tensor.shape[:-1]), tensor.shape[-1]))


def _view(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    try:
        return tensor.view(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} {tuple(tensor.shape)} with strides {tensor.stride()} is no view of {shape}: make it contiguous"
        ) from None


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, n - 1).bit_length()
