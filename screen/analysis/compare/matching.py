"""Which rows two runs have in common. Plain arrays: knows nothing of runs, scores or texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]
Keys = npt.NDArray[np.uint64] | npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """first[i] of the one side stands against second[i] of the other: (n,) indices each, ascending in `first`."""

    first: Indices
    second: Indices

    def where(self, wanted: npt.NDArray[np.bool_]) -> Pairs:
        return Pairs(self.first[wanted], self.second[wanted])


def pairs(first: Keys, second: Keys) -> Pairs:
    """Equal keys, the k-th of a key against the k-th: what stands there twice is matched twice, and no more often."""
    order_a, order_b = (np.argsort(keys, kind="stable") for keys in (first, second))
    known_a, start_a, count_a = np.unique(first[order_a], return_index=True, return_counts=True)
    known_b, start_b, count_b = np.unique(second[order_b], return_index=True, return_counts=True)
    _, at_a, at_b = np.intersect1d(known_a, known_b, assume_unique=True, return_indices=True)
    times = np.minimum(count_a[at_a], count_b[at_b])
    nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    a = order_a[np.repeat(start_a[at_a], times) + nth]
    b = order_b[np.repeat(start_b[at_b], times) + nth]
    ascending = np.argsort(a, kind="stable")
    return Pairs(a[ascending], b[ascending])


def joined(first: Pairs, second: Pairs) -> Pairs:
    """Both, in the order of the first side."""
    a, b = np.concatenate([first.first, second.first]), np.concatenate([first.second, second.second])
    order = np.argsort(a, kind="stable")
    return Pairs(a[order], b[order])


def rest(n: int, matched: Indices) -> Indices:
    """Of 0 to n - 1 those that are not matched, ascending."""
    left = np.ones(n, dtype=bool)
    left[matched] = False
    return np.flatnonzero(left)


class RowMatch(NamedTuple):
    """The rows of two runs, as indices into each run's rows.

    same     equal content: the bytes of the row, however often and wherever they stand
    changed  the same id, other content; or equal bytes that were read otherwise
    gone     of the first run alone; new: of the second alone
    """

    same: Pairs
    changed: Pairs
    gone: Indices
    new: Indices


Ids = Callable[[Indices, Indices], tuple[Keys, Keys]]


def match(hashes: tuple[Keys, Keys], reading: tuple[Keys, Keys], ids: Ids) -> RowMatch:
    """Rows by content, then what is left by id.

    hashes   of a row's bytes; 0 where it is not known
    reading  of what was made of them; 0 where that cannot be compared
    ids      of rows that are left on either side: equal numbers for equal ids; for a row without one a number that no
             other row has
    """
    found = _by_content(hashes)
    alike = reading[0][found.first] == reading[1][found.second]
    alike |= (reading[0][found.first] == 0) | (reading[1][found.second] == 0)
    left_a, left_b = (rest(len(h), side) for h, side in zip(hashes, found, strict=True))
    by_id = pairs(*ids(left_a, left_b))
    by_id = Pairs(left_a[by_id.first], left_b[by_id.second])
    every = joined(found, by_id)
    return RowMatch(
        found.where(alike),
        joined(by_id, found.where(~alike)),
        rest(len(hashes[0]), every.first),
        rest(len(hashes[1]), every.second),
    )


def _by_content(hashes: tuple[Keys, Keys]) -> Pairs:
    known_a, known_b = (np.flatnonzero(h) for h in hashes)
    found = pairs(hashes[0][known_a], hashes[1][known_b])
    return Pairs(known_a[found.first], known_b[found.second])
