"""Devices, number types, threads, what confines processes, and whether the hub is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator

from screen.library.doctor.record import HealthCheck, ok, warn

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_SET = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "OPENAI_BASE_URL", "OPENAI_API_KEY", "XDG_CACHE_HOME")
_OFF = ("", "0", "false", "no", "off")


def devices() -> Iterator[HealthCheck]:
    """The GPUs that torch finds."""
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            room = f"{facts.total_memory >> 20:,} MiB, compute capability {facts.major}.{facts.minor}"
            yield ok(f"cuda:{number}", f"{facts.name}, {room}")
    elif torch.version.cuda is not None:
        built = f"torch is built for CUDA {torch.version.cuda} and finds no such device"
        yield warn("devices", f"{built}: the CPU is used", "with a GPU here, look at its driver: nvidia-smi")
    elif torch.backends.mps.is_available():
        yield ok("devices", "mps")
    else:
        yield ok("devices", "no GPU, and torch is not built for CUDA: the CPU is used")


def dtypes() -> Iterator[HealthCheck]:
    """What `auto` comes to here, and whether the other number type pays."""
    import torch

    from screen.library import devices
    from screen.model.processor import slow_bfloat16

    device, dtype = devices.machine("auto", "auto")
    if device.startswith("cuda"):
        other = "bfloat16 in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32 alone"
    else:
        other = slow_bfloat16() or "bfloat16 is not known to be slow"
    yield ok("dtype", f"{dtype} on {device}; {other}")


def threads() -> Iterator[HealthCheck]:
    """What torch uses of the processor."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    used = torch.get_num_threads()
    said = f"{used} of torch on {cores} cores"
    asked = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if os.environ.get(name)]
    if asked:
        said += f"; {' and '.join(asked)} set"
    if used > cores:
        yield warn("threads", said, f"more threads than cores are slower: OMP_NUM_THREADS={cores}")
    else:
        yield ok("threads", said)


def limits() -> Iterator[HealthCheck]:
    """What holds the processes that read untrusted files and statements."""
    from screen.rendering.templates.sandbox import limits_absent
    from screen.store.sql import landlock

    if version := landlock.version():
        yield ok("landlock", f"version {version}")
    else:
        yield warn("landlock", "this system has none: SQL runs without it", "docs/untrusted.md says what is left")
    if absent := limits_absent():
        says = f"this system cannot set {', '.join(absent)}: a clock alone ends what reads chat templates"
        yield warn("limits", says, "give no templates that you do not trust")
    else:
        yield ok("limits", "memory and processor time of chat templates are limited")


def offline() -> Iterator[HealthCheck]:
    """Whether hub ids can be fetched; which settings of others are in force, by name alone."""
    off = [name for name in _OFFLINE if os.environ.get(name, "").lower() not in _OFF]
    given = [name for name in _SET if os.environ.get(name)]
    says = f"{' and '.join(off)} set: models are folders, or in the hub's cache" if off else "hub ids are fetched"
    yield ok("offline", says)
    yield ok("environment", f"set: {', '.join(given)}" if given else "none of the settings that screen reads is set")
