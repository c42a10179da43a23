"""One side of a comparison: a run's rows and samples as arrays, a column at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.scoring.findings.flags import DEFAULT_AT, threshold
from screen.scoring.findings.signs import flagged
from screen.store import index
from screen.store.scan import Scan

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]
_SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class SampleColumns:
    """A run's samples in row order, (n,) each.

    at        index into the run's rows; side  0, or 1 and 2 for the sides of a pair
    prompt    `prompt_key`; tokens  scored ones; toward  whether a trainer pushes toward it
    """

    at: npt.NDArray[np.intp]
    side: npt.NDArray[np.int8]
    prompt: Int64
    tokens: npt.NDArray[np.int32]
    toward: Bool

    @property
    def keys(self) -> Int64:
        """(n,) one for each: row and side."""
        return self.at.astype(np.int64) * 3 + self.side


class RunSide:
    """A run, opened to be compared.

    numbers  (rows,) input row numbers, ascending, skipped rows among them
    hashes   (rows,) the first 64 bits of the SHA-256 of each row's bytes
    scored   (rows,) bool
    """

    def __init__(self, scan: Scan) -> None:
        self.scan, self.folder = scan, scan.folder
        numbers, hashes = _identities(scan, "scores")
        numbers, first = np.unique(numbers, return_index=True)
        skipped, their_hashes = _identities(scan, "skipped")
        every = np.concatenate([numbers, skipped])
        order = np.argsort(every, kind="stable")
        self.numbers: Int64 = every[order]
        self.hashes: UInt64 = np.concatenate([hashes[first], their_hashes])[order]
        self.scored: Bool = np.isin(self.numbers, numbers)

    @cached_property
    def samples(self) -> SampleColumns:
        table = index.read(self.folder, ["row", "variant", "prompt_key", "answer_tokens", "sign"])
        side = pc.fill_null(pc.add(pc.index_in(table["variant"], pa.array(_SIDES)), 1), 0)
        return SampleColumns(
            np.searchsorted(self.numbers, table["row"].to_numpy()),
            side.to_numpy().astype(np.int8),
            pc.fill_null(table["prompt_key"], 0).to_numpy(),
            table["answer_tokens"].to_numpy(),
            pc.fill_null(table["sign"], 1).to_numpy() >= 0,
        )

    @cached_property
    def reading(self) -> UInt64:
        """(rows,) of the prompts and the numbers of tokens that each row was read as; 0 for a skipped one."""
        s = self.samples
        mixed = s.prompt.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + s.tokens.astype(np.uint64) * np.uint64(3)
        mixed += s.side.astype(np.uint64) + np.uint64(1)
        out: UInt64 = np.zeros(len(self.numbers), dtype=np.uint64)
        np.add.at(out, s.at, mixed)
        return out

    def ids(self, rows: npt.NDArray[np.intp]) -> pa.Array:
        """(n,) the dataset's own ids of these rows, null where a row has none, or was skipped."""
        wanted = np.full(len(self.numbers), -1, dtype=np.int64)
        known, first = np.unique(self.samples.at, return_index=True)
        wanted[known] = first
        places = wanted[rows]
        if not (places >= 0).any():
            return pa.nulls(len(rows), pa.string())
        column = index.read(self.folder, ["id"])["id"]
        return column.take(pa.array(places, mask=places < 0)).combine_chunks()

    def scores(self, trait: str) -> Float32:
        """(samples,) what the run ranks by; NaN where there is none."""
        column = self.folder.score_column(trait)
        values = index.read(self.folder, [column])[column].to_numpy(zero_copy_only=False)
        scores: Float32 = values.astype(np.float32, copy=False)
        return scores

    def limits(self, trait: str, scores: Float32) -> tuple[float | None, float | None, str]:
        """(threshold, threshold_away, rule): on record, or, of a run that goes on, as its rows so far have it."""
        known = self.scan.flags.get(trait)
        if known is not None and self.folder.finished:
            return known.get("threshold"), known.get("threshold_away"), known.get("rule", "")
        reference = self.folder.facts.get("references", {}).get(trait)
        made = threshold(scores[~np.isnan(scores)], reference, self.scan.summary.get("at") or DEFAULT_AT)
        return made.value, made.away, made.rule

    def flags(self, trait: str, scores: Float32) -> Bool:
        """(samples,) which are flagged."""
        value, away, _ = self.limits(trait, scores)
        return flagged(scores, np.where(self.samples.toward, 1, -1), value, away)

    def mean_on_record(self, trait: str) -> Mapping[str, float | None] | None:
        """What a finished run's summary says of the trait's mean: mean, low, high."""
        if not self.folder.finished:
            return None
        known: Mapping[str, float | None] | None = self.scan.summary["traits"].get(trait, {}).get("dataset")
        return known


def _identities(scan: Scan, name: str) -> tuple[Int64, UInt64]:
    """(rows, hashes) of one table, in row order."""
    rows, hashes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    for file in scan.folder.files(name):
        source = pa.BufferReader(scan.folder.bytes_of(file))
        table = pq.ParquetFile(source, pre_buffer=False).read(columns=["row", "sha256"], use_threads=False)
        rows.append(table["row"].to_numpy())
        texts = table["sha256"].to_pylist()
        hashes.append(np.fromiter((int(text or "0", 16) for text in texts), dtype=np.uint64, count=len(texts)))
    return np.concatenate(rows), np.concatenate(hashes)
