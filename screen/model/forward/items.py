"""What is wanted of a sequence, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
NO_SEGMENTS = np.zeros(0, dtype=np.int32)


class Branch(NamedTuple):
    """Another continuation, (m,) int32 `ids`, of an item's first `at` tokens: an answer, and a thought before it.

    Of `ids`, `[said:]` are the answer and `thought` is the range of the thought. Either may be empty, not both.
    """

    at: int
    ids: npt.NDArray[np.int32]
    said: int = 0
    thought: tuple[int, int] = (0, 0)

    @property
    def lengths(self) -> list[int]:
        """Tokens of the thought and of the answer, where there are some."""
        return [n for n in (self.thought[1] - self.thought[0], len(self.ids) - self.said) if n]


class Item(NamedTuple):
    """A sequence to run, (seq,) int32, and what is wanted of it.

    positions  (n,) int32, the tokens whose projections are wanted
    segments   (s,) int32, lengths of runs of `positions` that sum to n, whose means are wanted; may be empty
    branches   other continuations of a part of it
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32] = NO_SEGMENTS
    branches: tuple[Branch, ...] = ()


class Measured(NamedTuple):
    """tokens: (n + branch tokens, k) float32 projections on the run's vectors, the item's own positions first.
    means: (s + parts of branches, p) float32, the mean hidden state of each segment, then of each branch's thought and
    answer, on the controls."""

    tokens: Float32
    means: Float32


def parts_of(item: Item) -> list[Item]:
    """An item's own sequence, then each branch as a sequence of its own."""
    parts = [Item(item.ids, item.positions, item.segments)]
    for branch in item.branches:
        whole = np.concatenate([item.ids[: branch.at], branch.ids])
        wanted = [np.arange(*branch.thought, dtype=np.int32), np.arange(branch.said, len(branch.ids), dtype=np.int32)]
        parts.append(Item(whole, branch.at + np.concatenate(wanted), np.array(branch.lengths, dtype=np.int32)))
    return parts


def joined(items: Sequence[Item], parts: Sequence[Measured | str]) -> list[Measured | str]:
    """What came of each item's parts, put together; one part that fails fails its item."""
    out: list[Measured | str] = []
    at = 0
    for item in items:
        own = parts[at : at + 1 + len(item.branches)]
        at += len(own)
        failed = [p for p in own if isinstance(p, str)]
        whole = [p for p in own if not isinstance(p, str)]
        if failed:
            out.append(failed[0])
        elif len(whole) == 1:
            out.append(whole[0])
        else:
            out.append(Measured(np.concatenate([p.tokens for p in whole]), np.concatenate([p.means for p in whole])))
    return out
