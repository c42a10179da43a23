"""Which sequences go through the model together. A pure function of the sequences and the budget, never of timing:
that is what makes a resumed run byte-identical."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from screen.model.forward.layout import Ids

MIN_SHARED = 16  # fewer tokens in common are cheaper run twice than gathered
BUDGET = {"cpu": 2048, "cuda": 16384}  # tokens a batch, by kind of device
_GATHERED = 8  # times the budget: keys that a batch's shared beginnings may be gathered into, so that memory is bounded


@dataclass(frozen=True, slots=True)
class Batching:
    """How sequences share a forward pass.

    mode       packed (laid end to end), padded (right-padded buckets) or alone (batch 1)
    attention  of packed batches, see `attention.py`: varlen, blocks or sdpa
    prefix_sharing  of packed batches: what sequences begin with in common is run once
    fused      of packed batches: the blocks run by their parts, see `fuse.py`
    """

    mode: Literal["packed", "padded", "alone"]
    attention: Literal["varlen", "blocks", "sdpa"] = "sdpa"
    prefix_sharing: bool = False
    fused: bool = False

    def __str__(self) -> str:
        if self.mode != "packed":
            return self.mode
        return f"packed, {self.attention}{', prefix sharing' * self.prefix_sharing}{', fused' * self.fused}"


def default_budget(device: str) -> int:
    """Tokens a batch on a torch device: on a CPU what a batch works on should stay near the caches."""
    return BUDGET.get(device.split(":")[0], 4096)


def cost(lengths: Sequence[int]) -> float:
    """What sequences cost to run, in tokens of short ones: attention makes those of long ones dearer."""
    return float(sum(n * (1 + n / 1000) for n in lengths))


class Batch(NamedTuple):
    """order: indices of the sequences; shared: how many tokens each takes from the one before it in the batch."""

    order: npt.NDArray[np.intp]
    shared: npt.NDArray[np.intp]


def plan(batching: Batching, sequences: Sequence[Ids], budget: int, apart: int | None = None) -> list[Batch]:
    """Batches of at most `budget` tokens (padding counted) where more than one sequence fits. Sequences of more than
    `apart` tokens, where it is given, share no batch with others (`BaseModel.apart`)."""
    if apart is not None:
        long = np.array([len(s) > apart for s in sequences], dtype=bool)
        sides = (np.flatnonzero(~long), np.flatnonzero(long))
        return [
            Batch(side[batch.order], batch.shared)
            for side in sides
            if len(side)
            for batch in plan(batching, [sequences[i] for i in side.tolist()], budget)
        ]
    if batching.mode == "packed" and batching.prefix_sharing:
        return plan_shared(sequences, budget)
    lengths = [len(s) for s in sequences]
    if batching.mode == "alone":
        orders = [np.array([i], dtype=np.intp) for i in range(len(lengths))]
    else:
        orders = (plan_packed if batching.mode == "packed" else plan_padded)(lengths, budget)
    return [Batch(order, np.zeros(len(order), dtype=np.intp)) for order in orders]


def plan_padded(lengths: Sequence[int], budget: int) -> list[npt.NDArray[np.intp]]:
    """Right-padded batches: indices sorted by length, `count * longest <= budget` where more than one fits."""
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[list[int]] = []
    for i in order.tolist():
        # ascending lengths: the newcomer is the longest
        if batches and (len(batches[-1]) + 1) * lengths[i] <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return [np.asarray(b, dtype=np.intp) for b in batches]


def plan_packed(lengths: Sequence[int], budget: int) -> list[npt.NDArray[np.intp]]:
    """Packed batches: indices sorted by length, at most `budget` tokens a batch where more than one fits."""
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[list[int]] = []
    filled = 0
    for i in order.tolist():
        if batches and filled + lengths[i] <= budget:
            batches[-1].append(i)
            filled += lengths[i]
        else:
            batches.append([i])
            filled = lengths[i]
    return [np.asarray(b, dtype=np.intp) for b in batches]


def plan_shared(sequences: Sequence[Ids], budget: int) -> list[Batch]:
    """Packed batches in the order of the tokens themselves, so that sequences that begin alike are neighbours: a
    prompt and its answers, chats under one system prompt, equal rows. At most `budget` tokens are run a batch, where
    more than one sequence fits; each takes the beginning that it has in common with its neighbour from there. A full
    batch is closed where that costs the least: a prompt and its answers stay together."""
    # big-endian bytes sort as the ids do, which are never negative
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].astype(">i4").tobytes())
    batches: list[_Open] = []
    for before, i in zip([None, *order], order, strict=False):
        length = len(sequences[i])
        common = 0 if before is None else in_common(sequences[before], sequences[i])
        common = common if common >= MIN_SHARED else 0
        if not batches:
            batches.append(_Open())
        while not batches[-1].fits(length, common, budget):
            batches.append(batches[-1].closed(common, budget))
        batches[-1].add(i, length, common)
    return [Batch(np.asarray(b.order, dtype=np.intp), np.asarray(b.shared, dtype=np.intp)) for b in batches]


class _Open:
    """A batch being filled."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.shared: list[int] = []
        self._lengths: list[int] = []
        self._run = self._gathered = 0

    def fits(self, length: int, common: int, budget: int) -> bool:
        seen = length if common else 0
        return not self.order or (self._run + length - common <= budget and self._gathered + seen <= _GATHERED * budget)

    def add(self, i: int, length: int, common: int) -> None:
        common = common if self.order else 0
        self.order.append(i)
        self.shared.append(common)
        self._lengths.append(length)
        self._run += length - common
        self._gathered += length if common else 0

    def closed(self, common: int, budget: int) -> _Open:
        """Close this batch before one that would share `common` tokens; what is better run with that one moves on."""
        # what a sequence shares with the one before it is run twice if they part: the least of the later half is taken,
        # of equals the last, so that batches are full
        at, least, run = len(self.order), common, 0
        for j, (shared, length) in enumerate(zip(self.shared, self._lengths, strict=True)):
            latest = shared < least or (shared == least and at < len(self.order))
            if j and 2 * run >= budget and latest:
                at, least = j, shared
            run += length - shared
        rest = _Open()
        moved = list(zip(self.order[at:], self._lengths[at:], self.shared[at:], strict=True))
        del self.order[at:], self.shared[at:], self._lengths[at:]
        for one in moved:
            rest.add(*one)
        return rest


def in_common(a: Ids, b: Ids) -> int:
    """How many tokens the two begin with in common."""
    n = min(len(a), len(b))
    differ = a[:n] != b[:n]
    first = int(differ.argmax()) if n else 0
    return first if n and differ[first] else n
