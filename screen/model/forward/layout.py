"""Sequences laid end to end for one forward pass, what several begin with laid once.

    sequences   [p p p y y]  [p p p z z z]  [q q q]       (the second shares 3 tokens with the first)
    laid out     p p p y y    z z z          q q q
    pieces      (0, 5)       (5, 8) sees 0 1 2 5 6 7      (8, 11)

A piece is what asks in attention: consecutive tokens, which see the tokens before them in their own sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


class Piece(NamedTuple):
    """Tokens [start, end) of the batch. `seen`: the places of all of their sequence, theirs last; None where the
    sequence is just them."""

    start: int
    end: int
    seen: Places | None


class Layout(NamedTuple):
    """ids, positions: (tokens,) int64 of the batch; where: a sequence's tokens, (seq,) places in the batch."""

    ids: Places
    positions: Places
    where: tuple[Places, ...]
    pieces: tuple[Piece, ...]


def lay_out(sequences: Sequence[Ids], shared: npt.NDArray[np.intp] | None = None) -> Layout:
    """`shared[i]`: how many tokens sequence i takes from sequence i - 1; the first takes none."""
    ids: list[Ids] = []
    positions: list[Places] = []
    where: list[Places] = []
    pieces: list[Piece] = []
    end = 0
    for i, sequence in enumerate(sequences):
        common = int(shared[i]) if shared is not None and i else 0
        start, end = end, end + len(sequence) - common
        own = np.arange(start, end, dtype=np.int64)
        places = np.concatenate([where[-1][:common], own]) if common else own
        where.append(places)
        if end > start:
            pieces.append(Piece(start, end, places if common else None))
        ids.append(sequence[common:])
        positions.append(np.arange(common, len(sequence), dtype=np.int64))
    return Layout(np.concatenate(ids).astype(np.int64), np.concatenate(positions), tuple(where), tuple(pieces))
