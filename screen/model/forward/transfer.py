"""Arrays to the device and results back. On CUDA through pinned memory, and nobody waits for a copy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


def send(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """The array on the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Coming:
    """Tensors of one device on their way to the host: `take` waits for these alone, not for what was queued after."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensors[0].device.type == "cuda":
            self._host = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
            for host, tensor in zip(self._host, tensors, strict=True):
                host.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = [t.cpu() for t in tensors]

    def take(self) -> list[npt.NDArray[np.generic]]:
        if self._event is not None:
            self._event.synchronize()
        return [t.numpy() for t in self._host]
