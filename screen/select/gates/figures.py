"""The figures of a finished run that gates go by: from summary.json where it has them, else from the scores."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from screen.foreign import JsonObject
from screen.scoring.findings.flags import BEYOND_LEAST, TraitReference, supported
from screen.scoring.findings.signs import flagged
from screen.select.gates.tree import Figure, OfReference
from screen.select.scores import threshold_away_of, threshold_of
from screen.stats import Z, share_below, wilson
from screen.store.index import read
from screen.store.scan import Scan

CARD: Final = "the card's reference"
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measurement:
    """value  shares as shares of 1; None where there is none, and `why` says so
    low, high  its 95 % interval, where it has one;  n  samples behind it, where that is told
    """

    value: float | str | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class TraitSamples:
    """A trait's samples in the order of `scores`: (n,) row int64, sign int8, score float32 (nan: none), which are
    flagged, and which are left out, as somebody labelled them keep: these are not flagged."""

    rows: npt.NDArray[np.int64]
    signs: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float32]
    flagged: Bools
    left_out: Bools


class Figures:
    """`labels`: whether what somebody labelled keep counts neither as flagged nor as the highest score."""

    def __init__(self, scan: Scan, labels: bool = False) -> None:
        self.scan = scan
        self.labels = scan.labels if labels else None
        self.samples = cache(self._samples)

    def measure(self, figure: Figure) -> Measurement:
        trait = figure.trait or ""
        match figure.kind:
            case "share" | "count":
                return self._share(trait, figure.kind == "count")
            case "max":
                return self._max(trait)
            case "mean":
                return self._mean(trait)
            case "group":
                return self._group(trait, figure.group or "")
            case "verdict":
                return self._verdict(trait)
        skipped, rows = int(self.scan.summary["skipped"]), int(self.scan.summary["rows"])
        if not rows:
            return Measurement(None, why="the run has no row")
        return Measurement(skipped if figure.kind == "skipped-count" else skipped / rows, n=rows)

    def trait(self, trait: str) -> JsonObject:
        """What summary.json has of it."""
        found: JsonObject = self.scan.summary["traits"][trait]
        return found

    def untold(self, trait: str) -> str:
        """Why nothing can be told of a trait, in the verdict's words; "" where something can."""
        verdict = self.trait(trait).get("verdict") or {}
        return str(verdict.get("sentence", "")) if verdict.get("kind") == "cannot-tell" else ""

    def _share(self, trait: str, count: bool) -> Measurement:
        told = self.trait(trait)
        if told["share"] is None:
            return Measurement(None, why="no sample has a score")
        if told["threshold"] is None:
            return Measurement(None, why=f"there is no threshold ({told['rule']})")
        over, judged = int(told["flagged"]), int(told["judged"])
        if self.labels is not None:
            over = int(self.samples(trait).flagged.sum())
        if count:
            return Measurement(over, n=judged)
        low, high = wilson(over, judged)
        return Measurement(over / judged, low, high, n=judged)

    def _max(self, trait: str) -> Measurement:
        samples = self.samples(trait)
        toward = samples.scores[(samples.signs > 0) & ~np.isnan(samples.scores) & ~samples.left_out]
        if not len(toward):
            return Measurement(None, why="no sample that is trained toward has a score")
        return Measurement(float(toward.max()), n=len(toward))

    def _mean(self, trait: str) -> Measurement:
        told = self.trait(trait)["dataset"]
        if told["mean"] is None:
            return Measurement(None, why="no sample that is trained toward has a score")
        return Measurement(told["mean"], told["low"], told["high"])

    def _verdict(self, trait: str) -> Measurement:
        verdict = self.trait(trait).get("verdict")
        return Measurement(verdict["kind"]) if verdict else Measurement(None, why="the run has no verdict")

    def _group(self, trait: str, name: str) -> Measurement:
        told = self.trait(trait)
        if told["threshold"] is None:
            return Measurement(None, why=f"there is no threshold ({told['rule']})")
        inside = self.inside(name)
        if not inside.any():
            return Measurement(None, why=f"no sample is of group {name!a}{_close(self._column('group'), name)}")
        samples = self.samples(trait)
        judged = inside if self._refined() else inside & ~np.isnan(samples.scores)
        n, over = int(judged.sum()), int((samples.flagged & inside).sum())
        if not n:
            return Measurement(None, why=f"no sample of group {name!a} has a score")
        low, high = wilson(over, n)
        return Measurement(over / n, low, high, n=n)

    def inside(self, group: str) -> Bools:
        """(n,) bool: the samples of a group."""
        return np.asarray(pc.fill_null(pc.equal(self._column("group"), group), False).to_numpy(), dtype=bool)

    def variants(self) -> pa.ChunkedArray:
        """(n,) strings: the sides of pairs, else null."""
        return self._column("variant")

    def _column(self, name: str) -> pa.ChunkedArray:
        return read(self.scan.folder, [name])[name]

    def _refined(self) -> bool:
        return bool(self.scan.folder.identity.get("settings", {}).get("refine"))

    def _samples(self, trait: str) -> TraitSamples:
        """Of a refined run exact scores where a flag was open, and estimates for the others, as its verdict has it."""
        column, every = self.scan.folder.score_column(trait), self.scan.folder.baseline.column(trait)
        rows, signs, exact = self._ranked(column)
        estimated = exact if every == column else self._ranked(every)[2]
        limit, away = threshold_of(self.scan, trait).value, threshold_away_of(self.scan, trait)
        left_out = np.isin(rows, self._kept(trait))
        over = flagged(exact, signs, limit, away) & ~left_out
        return TraitSamples(rows, signs, np.where(np.isnan(exact), estimated, exact), over, left_out)

    def _ranked(self, column: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8], npt.NDArray[np.float32]]:
        """(row, sign, score) of every sample, from the run's index where it has the column."""
        index = self.scan.index
        if index is not None and column in index.scores:
            return index.rows, index.signs, index.scores[column]
        table = read(self.scan.folder, ["row", "sign", column])
        scores = table[column].to_numpy(zero_copy_only=False).astype(np.float32)
        return table["row"].to_numpy(), table["sign"].fill_null(1).to_numpy(), scores

    def _kept(self, trait: str) -> list[int]:
        """Rows that somebody labelled keep, where labels count."""
        labels = self.labels
        return [] if labels is None else [row for row in labels.current if labels.of(row, trait) == "keep"]

    def clean(self, trait: str, limit: OfReference) -> tuple[Measurement, str]:
        """(a percentile or the mean of clean rows, with an interval of the mean; whose it is)."""
        reference: TraitReference | None = self.scan.folder.facts.get("references", {}).get(trait)
        if not reference:
            return Measurement(None, why="the run has no reference of clean rows"), ""
        name = reference.get("name", CARD)
        if limit.percentile is None:
            return _clean_mean(reference, name), name
        return _clean_percentile(reference, name, limit.percentile), name


def _clean_mean(reference: TraitReference, name: str) -> Measurement:
    mean, sd, rows = reference.get("mean"), reference.get("sd"), int(reference.get("rows", 0))
    if mean is None or sd is None or rows < 2:
        return Measurement(None, why=f"{name} does not tell the mean of its clean rows and their spread")
    half = Z * float(sd) / math.sqrt(rows)
    return Measurement(float(mean), float(mean) - half, float(mean) + half, n=rows)


def _clean_percentile(reference: TraitReference, name: str, percentile: float) -> Measurement:
    quantiles, rows = reference.get("quantiles", {}), int(reference.get("rows", 0))
    at = next((q for q in quantiles if math.isclose(100 * share_below(q), percentile)), None)
    if at is None:
        return Measurement(None, why=f"{name} has no p{percentile:g}; it has {', '.join(quantiles) or 'none'}")
    best = supported(quantiles, rows, at)
    if best != at:
        fits = f"; it has enough for {best}" if best else ""
        why = f"{name} has {rows:,} clean rows, too few for p{percentile:g}, which {BEYOND_LEAST} must lie above{fits}"
        return Measurement(None, why=why)
    return Measurement(float(quantiles[at]), n=rows)


def _close(groups: pa.ChunkedArray, name: str) -> str:
    known = pc.unique(groups.slice(0, 100_000)).drop_null().to_pylist()[:1000]
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!a}?" if close else ""
