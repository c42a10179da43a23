"""Scores compared within rows of like length: against clean rows of that length, or within the run itself.

A score that goes with the answer's length flags long rows for being long; the comparison takes that away, and with it
what a trait that only long rows show has to say. Knows nothing of models and texts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from screen.baselines.table import kind_of
from screen.errors import UsageError, near
from screen.scoring.findings.flags import BEYOND_LEAST, DEFAULT_AT, percentile
from screen.stats import Floats, share_below, spearman
from screen.store import index
from screen.store.reference import Reference
from screen.store.scan import Scan

SOURCE_RUN: Final = "run"
SOURCE_CLEAN: Final = "clean"
MOST = 10  # bins
_BIN_LEAST = 20  # rows of a bin of the run
HIDES = 0.5  # share of a bin's rows that are flagged, from which its median is theirs

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Rows whose answers have `low` to `high` scored tokens, both included.

    flagged    above the run's one threshold
    threshold  of rows of this length: a clean percentile, or the run's, moved by how far this bin's median lies off
    above      rows above that; both: rows that are flagged and above it
    """

    low: int
    high: int
    rows: int
    mean: float
    flagged: int
    threshold: float
    above: int
    both: int


@dataclass(frozen=True, slots=True)
class LikeLength:
    """A trait over one run.

    source       "clean": thresholds of clean rows of like length; "run": moved by the medians of the run's own rows
    at           the percentile of clean rows; None for "run"
    rank         Spearman of score and length
    beyond       rows longer or shorter than every clean row, which have none of like length; in no bin
    beyond_flagged  how many of those are flagged
    expression   for `screen filter --drop`: rows above the threshold of their length
    """

    trait: str
    source: str
    at: str | None
    rank: float | None
    bins: tuple[LengthBin, ...]
    rows: int
    flagged: int
    above: int
    both: int
    beyond: int
    beyond_flagged: int
    expression: str
    sentence: str


def like_length(scan: Scan, trait: str, clean: Scan | None = None) -> LikeLength:
    """Raises UsageError for a run without a threshold of the trait, for rows too few for two bins, and InputError for
    clean rows of another model, rendering, vector or baseline."""
    found = scan.summary["traits"][trait]
    limit = found.get("threshold")
    if limit is None:
        raise UsageError(f"no row of {near(scan.path)} can be flagged by {trait}", "run it with a --reference")
    rows = _rows(scan, trait)
    if clean is None:
        return compared(trait, rows, float(limit), edges(rows, _BIN_LEAST, near(scan.path)))
    Reference.from_run(clean.folder).check(scan.folder.identity, kind_of(scan.folder.facts["baseline"]))
    at, good = percentile(found.get("at") or DEFAULT_AT), _rows(clean, trait)
    least = math.ceil(BEYOND_LEAST / (1 - share_below(at)) - 1e-6)
    return compared(trait, rows, float(limit), edges(good, least, f"for {at}, {near(clean.path)}"), good, at)


@dataclass(frozen=True)
class ScoredLengths:
    """Of rows that are trained toward and have a score: scores (n,), tokens (n,) of the answers. `away`: others are
    trained away from."""

    scores: Floats
    tokens: Ints
    away: bool = False


def compared(
    trait: str, rows: ScoredLengths, limit: float, ends: Ints, clean: ScoredLengths | None = None, at: str = DEFAULT_AT
) -> LikeLength:
    """`limit`: above which rows are flagged; `ends`: of `edges`, by the clean rows where there are some."""
    bins = len(ends) - 1
    where, flagged = _where(rows.tokens, ends), rows.scores > limit
    if clean is None:
        middle = np.median(rows.scores)
        limits = [limit + np.median(rows.scores[where == b]) - middle for b in range(bins)]
    else:
        among = _where(clean.tokens, ends)
        limits = [np.quantile(clean.scores[among == b], share_below(at)) for b in range(bins)]
    made, over = [], np.zeros(len(where), bool)
    for b, own in enumerate(float(f"{value:.6g}") for value in limits):
        inside = where == b
        over |= inside & (rows.scores > own)
        if inside.any():
            made.append(_bin(rows.scores[inside], flagged[inside], int(ends[b]) + 1, int(ends[b + 1]), own))
    outside = (where < 0) | (where >= bins)
    rank = spearman(rows.scores, rows.tokens)
    found = LikeLength(
        trait=trait,
        source=SOURCE_RUN if clean is None else SOURCE_CLEAN,
        at=None if clean is None else at,
        rank=None if np.isnan(rank) else rank,
        bins=tuple(made),
        rows=len(where),
        flagged=int(flagged.sum()),
        above=int(over.sum()),
        both=int((over & flagged).sum()),
        beyond=int(outside.sum()),
        beyond_flagged=int((outside & flagged).sum()),
        expression=_expression(trait, made, rows.away),
        sentence="",
    )
    return dataclasses.replace(found, sentence=_sentence(found))


def edges(rows: ScoredLengths, least: int, whose: str) -> Ints:
    """(bins + 1,) ascending: bin b has more than edges[b] tokens and at most edges[b + 1], and `least` rows or more.
    Raises UsageError where that is one bin."""
    lengths, counts = np.unique(rows.tokens, return_counts=True)
    wanted, ends, inside = max(least, -(-len(rows.tokens) // MOST)), [int(lengths[0]) - 1], 0
    for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
        inside += count
        if inside >= wanted:
            ends.append(length)
            inside = 0
    if inside:  # too few are left for a bin of their own
        ends[max(1, len(ends) - 1) :] = [int(lengths[-1])]
    if len(ends) < 3:
        raise UsageError(
            f"{whose} has {len(rows.tokens):,} rows with a score, too few or too alike for two bins of length with"
            f" {least:,} rows each",
            "give more rows, or rank by what length does not explain: screen rank RUN --by TRAIT_corrected",
        )
    return np.array(ends, dtype=np.int64)


def _rows(scan: Scan, trait: str) -> ScoredLengths:
    column = scan.folder.score_column(trait)
    table = index.read(scan.folder, ["sign", "answer_tokens", column])
    scores = table[column].to_numpy(zero_copy_only=False).astype(np.float64)
    toward = table["sign"].fill_null(1).to_numpy() >= 0
    fine = ~np.isnan(scores) & toward
    return ScoredLengths(scores[fine], table["answer_tokens"].to_numpy().astype(np.int64)[fine], not toward.all())


def _where(tokens: Ints, edges: Ints) -> npt.NDArray[np.intp]:
    """(n,) the bin of each row; -1 and the number of bins for those outside."""
    return np.searchsorted(edges, tokens, side="left") - 1


def _bin(scores: Floats, flagged: npt.NDArray[np.bool_], low: int, high: int, limit: float) -> LengthBin:
    above = scores > limit
    counts = (int(flagged.sum()), limit, int(above.sum()), int((above & flagged).sum()))
    return LengthBin(low, high, len(scores), float(scores.mean()), *counts)


def _expression(trait: str, bins: Sequence[LengthBin], away: bool) -> str:
    parts = (f"(answer_tokens >= {b.low} and answer_tokens <= {b.high} and {trait} > {b.threshold!r})" for b in bins)
    either = " or ".join(parts)
    return f"sign >= 0 and ({either})" if away else either


def _sentence(made: LikeLength) -> str:
    rank = (
        "" if made.rank is None else f"the score goes with the answer's length by rank correlation {made.rank:+.2f}; "
    )
    what = (
        f"also lie above {made.at} of clean rows of like length"
        if made.source == SOURCE_CLEAN
        else "still lie above the threshold once each row is compared with the median row of its length"
    )
    text = f"{made.trait}: {rank}{made.both:,} of {made.flagged:,} flagged rows {what}"
    text += f", and {made.above - made.both:,} of the others come to lie above it"
    if made.beyond:
        text += (
            f"; {made.beyond:,} rows, {made.beyond_flagged:,} of them flagged, are longer or shorter than every clean"
            " row and are compared with none"
        )
    hidden = [b for b in made.bins if b.flagged >= HIDES * b.rows]
    if made.source == SOURCE_RUN and hidden:
        text += (
            f". In {len(hidden)} of {len(made.bins)} bins half of the rows or more are flagged: within the run what"
            " they show cannot be told from what length does, and is hidden here; compare with clean rows (--clean)"
        )
    return text
