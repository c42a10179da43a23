"""Which devices a run is to use: "auto" and names -> torch's own. Loads torch only where the answer needs it."""

from __future__ import annotations

import re

from screen.errors import UsageError


def machine(device: str, dtype: str) -> tuple[str, str]:
    """What "auto" is here. Raises UsageError for a device that is not there."""
    check_device(device)
    if device != "cpu":
        device = _accelerator(device)
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    return device, dtype


def check_device(name: str) -> None:
    """Whether a device can be meant by this name; that it is there, only a model library knows."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise UsageError(f"--device {name!a}: no such device", "give auto, cpu, cuda, cuda:1 or mps")


def _accelerator(device: str) -> str:
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = device.partition(":")
    if not (cuda if kind == "cuda" else mps) or (number and int(number) >= torch.cuda.device_count()):
        raise UsageError(f"--device {device}: torch finds no such device here", "give --device auto, or cpu")
    return device


def devices(text: str | None) -> tuple[str, ...]:
    """ "0,1" -> ("cuda:0", "cuda:1"); "all" -> every CUDA device; "cpu:2" -> two processes on the CPU. "0,0" is two
    processes on one device, which keep it busy where a small model waits for its host.

    Raises UsageError for what is not understood, or not there.
    """
    if text is None:
        return ()
    check_devices(text)
    if text.startswith("cpu:"):
        return ("cpu",) * int(text[4:])
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    numbers = list(range(there)) if text == "all" else [int(n) for n in text.split(",")]
    if not numbers or max(numbers) >= there:
        raise UsageError(f"--devices {text}: torch finds {there} CUDA devices here", "leave it out, or give cpu:2")
    return tuple(f"cuda:{n}" for n in numbers)


def check_devices(text: str | None) -> None:
    """Whether devices can be meant by this text; that they are there, only a model library knows."""
    if text is not None and not re.fullmatch(r"cpu:[1-9]\d{0,2}|all|\d+(,\d+)*", text):
        raise UsageError(f"--devices {text!a} is not understood", "give 0,1 or all for GPUs, or cpu:2 for processes")
