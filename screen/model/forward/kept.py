"""Hidden states of batches that are run once and wanted twice: to draw directions from, then to measure along them.

A memory and nothing else: a batch that is not here is run, and gives the same bits, as its key is all that decides
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from screen.model.forward.items import Item

MOST = 64 << 20  # bytes; what is beyond them is run again

States = Mapping[int, torch.Tensor]  # layer -> (positions, d_model), in the model's dtype


class KeptStates:
    """Batches' hidden states at their positions, each to be taken once."""

    def __init__(self) -> None:
        self._batches: dict[bytes, States] = {}
        self._bytes = 0

    def put(self, key: bytes, states: States) -> None:
        size = _size(states)
        if key not in self._batches and self._bytes + size <= MOST:
            self._batches[key] = states
            self._bytes += size

    def take(self, parts: Sequence[Item], shared: npt.NDArray[np.intp], layers: Sequence[int]) -> States | None:
        states = self._batches.pop(key_of(parts, shared, layers), None) if self._batches else None
        if states is not None:
            self._bytes -= _size(states)
        return states


def key_of(parts: Sequence[Item], shared: npt.NDArray[np.intp], layers: Sequence[int]) -> bytes:
    """Digest of a batch: its sequences in order, the tokens wanted, what they share, the layers."""
    digest = hashlib.blake2b(repr((list(layers), shared.tolist())).encode(), digest_size=16)
    for array in (a for part in parts for a in (part.ids, part.positions, part.segments)):
        digest.update(len(array).to_bytes(8, "little") + np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _size(states: States) -> int:
    return sum(t.numel() * t.element_size() for t in states.values())
