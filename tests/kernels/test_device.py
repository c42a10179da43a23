"""Which tensors go to a fused kernel, and what is said where none can run."""

from __future__ import annotations

import builtins
import subprocess
import sys
from typing import Any

import pytest
import torch
from screen_kernels import available, rms_norm, swiglu

X = torch.ones(2, 4)


def test_importing_the_package_needs_no_triton() -> None:
    code = """
import sys
sys.modules["triton"] = None
import torch, screen_kernels as kernels
x = torch.ones(2, 4)
kernels.swiglu(x, x)
try:
    kernels.swiglu(x, x, fused=True)
except RuntimeError as error:
    print(error)
"""
    environment = {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("no fused kernel for tensors on cpu: triton cannot be imported")


def test_importing_the_package_does_not_import_triton() -> None:
    code = "import sys, torch, screen_kernels; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_the_cpu_takes_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, *rest: Any) -> Any:
        assert "fused" not in name
        return real(name, *rest)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", none)
    assert torch.equal(rms_norm(X, X[0], 0.0), X)


def test_fused_on_the_cpu_needs_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError) as told:
        swiglu(X, X, fused=True)
    assert str(told.value) == (
        "no fused kernel for tensors on cpu: set TRITON_INTERPRET=1 before triton is imported; "
        "pass fused=False for plain torch"
    )


def test_tensors_on_two_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="all tensors must be on one device, not on cpu and meta"):
        swiglu(X, X.to("meta"))


def test_gradients_are_refused(device: torch.device) -> None:
    weight = torch.ones(4, device=device, requires_grad=True)
    with pytest.raises(RuntimeError, match="no backward pass: call them under"):
        rms_norm(X.to(device), weight, 1e-6, fused=True)
    with torch.inference_mode():
        rms_norm(X.to(device), weight, 1e-6, fused=True)


def cuda(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


def test_available_says_why_not(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    cuda(monkeypatch)
    assert available() is None
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert available() == "TRITON_INTERPRET is set"
    cuda(monkeypatch, (7, 5))
    assert available() == "the device has compute capability 7.5, the kernels need 8.0"
    cuda(monkeypatch)
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert available() == "triton finds no C compiler (CC, gcc or clang)"
    monkeypatch.setitem(sys.modules, "triton", None)
    assert str(available()).startswith("triton cannot be imported: ")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available() == "torch sees no CUDA device"
