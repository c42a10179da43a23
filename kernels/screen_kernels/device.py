"""Which tensors the fused kernels take: those on a CUDA device, decided before anything runs and never by trial.

Every kernel's public function has `fused`: None (fused on CUDA, the plain reference elsewhere), False (the reference)
or True (fused, also on the CPU through Triton's interpreter, for tests). Where fused is due and cannot be, it raises.
Importing this package does not import triton.
"""

from __future__ import annotations

import functools
import os
import shutil
from contextlib import AbstractContextManager, nullcontext

import torch


def available() -> str | None:
    """None if the fused kernels can run on this machine's CUDA device, otherwise why they cannot."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if torch.version.hip is not None:
        return "the kernels are written for CUDA, not for ROCm"
    major, minor = torch.cuda.get_device_capability()
    if major < 8:
        return f"the device has compute capability {major}.{minor}, the kernels need 8.0"
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        return "TRITON_INTERPRET is set"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"triton cannot be imported: {error}"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "triton finds no C compiler (CC, gcc or clang)"
    return None


def use_fused(fused: bool | None, *tensors: torch.Tensor) -> bool:
    """Whether a call on these tensors goes to the fused kernel.

    Raises ValueError where they are on several devices, RuntimeError where fused is due and cannot be.
    """
    devices = sorted({str(tensor.device) for tensor in tensors})
    if len(devices) > 1:
        raise ValueError(f"all tensors must be on one device, not on {' and '.join(devices)}")
    cuda = tensors[0].is_cuda
    if fused is False or (fused is None and not cuda):
        return False
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        raise RuntimeError("the fused kernels have no backward pass: call them under torch.inference_mode()")
    reason = _once() if cuda else _interpreted()
    if reason is not None:
        raise RuntimeError(f"no fused kernel for tensors on {devices[0]}: {reason}; pass fused=False for plain torch")
    return True


def launching(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current CUDA device: make it that of the tensors."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@functools.cache
def _once() -> str | None:
    return available()


def _interpreted() -> str | None:
    if os.environ.get("TRITON_INTERPRET", "0") in ("", "0"):
        return "set TRITON_INTERPRET=1 before triton is imported"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"triton cannot be imported: {error}"
    return None
