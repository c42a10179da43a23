"""An earlier run whose rows are carried over: what it holds of a row, found by the bytes that the row had.

Rows are taken from its published files, each hashed before it is read. Knows nothing of what a row means.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.baselines.estimates.estimator import Arrays, KeptFacts
from screen.errors import StoreError
from screen.store import context
from screen.store.folder import RunFolder
from screen.store.identity import SinceIdentity
from screen.store.manifest import ShardEntry
from screen.store.scanfile import SinceFacts
from screen.store.unfinished import unfinished

TABLES = ("scores", "turns", "controls")
_LASTING = ("not_finite",)  # codes of skips while scoring that come again whenever the row does
_HELD = 256 << 20  # bytes of decoded shards that are held at once
Tables = dict[str, pa.Table]


class EarlierPlace(NamedTuple):
    """Where a row stands in the earlier run."""

    shard: int
    row: int


class EarlierRun:
    """Made by `open`. Some twenty bytes a row are held, and a few decoded shards.

    standards  the arrays and facts that its scores were compared with
    """

    def __init__(self, folder: RunFolder, standards: tuple[Arrays, KeptFacts]) -> None:
        self.folder, self.standards = folder, standards
        self._entries = {e.shard: e for e in folder.published.values()}
        self._hashes, self._shards, self._rows, self._skips = self._indexed()
        self._decoded: OrderedDict[int, Tables] = OrderedDict()

    @classmethod
    def open(cls, path: Path) -> EarlierRun:
        """Every file is hashed. Raises StoreError where there is no run, it holds nothing, or it is damaged."""
        folder = RunFolder.read(path.resolve())
        folder.check()
        standards = context.load(folder.path, folder.run)
        if not folder.published:
            raise StoreError(f"--since {path}: it holds no rows yet", unfinished(folder)[1])
        if standards is None:
            raise StoreError(
                f"{folder.path}: {context.STANDARDS} is gone, by which its rows were scored",
                "restore it, or leave --since out",
            )
        return cls(folder, standards)

    @property
    def identity(self) -> SinceIdentity:
        """What of it a run that carries its rows depends on."""
        return {"run": self.folder.run, "manifest": self.folder.manifest}

    def facts(self, given: str) -> SinceFacts:
        rows = sum(e.rows for e in self._entries.values())
        return {"path": given, "run": self.folder.run, "rows": rows, "finished": self.folder.finished}

    def find(self, sha256: str, row: int) -> EarlierPlace | None:
        """The scored row with these bytes: the one of this number where that has them, else the first."""
        if not sha256:
            return None
        wanted = np.uint64(int(sha256, 16))
        low, high = (int(np.searchsorted(self._hashes, wanted, side=side)) for side in ("left", "right"))
        if low == high:
            return None
        own = np.flatnonzero(self._rows[low:high] == row)
        at = low + (int(own[0]) if len(own) else 0)
        return EarlierPlace(int(self._shards[at]), int(self._rows[at]))

    def skip(self, sha256: str) -> tuple[str, str] | None:
        """(code, message) of a row with these bytes that the model cannot score, however often it tries."""
        return self._skips.get(sha256)

    def take(self, places: Sequence[EarlierPlace]) -> Tables:
        """The tables of these rows, in their order; a column `owner` says which of `places` a line is of."""
        by_shard: dict[int | None, list[int]] = {}
        for i, place in enumerate(places):
            by_shard.setdefault(None if self._every is not None else place.shard, []).append(i)
        parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
        for shard, owners in by_shard.items():
            rows = np.array([places[i].row for i in owners], dtype=np.int64)
            for name, table in self._tables(shard).items():
                own = table["row"].to_numpy()
                low, high = (np.searchsorted(own, rows, side=side) for side in ("left", "right"))
                at = np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)])
                whose = np.repeat(np.array(owners, dtype=np.int64), high - low)
                parts[name].append(table.take(pa.array(at, pa.int64())).append_column("owner", pa.array(whose)))
        return {name: in_order(pa.concat_tables(some), "owner") for name, some in parts.items() if some}

    @cached_property
    def _every(self) -> Tables | None:
        """All tables, decoded, where they fit: a shuffled file takes rows from everywhere at once."""
        parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
        left = _HELD
        for entry in sorted(self._entries.values(), key=lambda e: e.first_row):
            for name, part in parts.items():
                part.append(self._read(entry, name))
                left -= int(part[-1].nbytes)
            if left < 0:
                return None
        return {name: pa.concat_tables(part).combine_chunks() for name, part in parts.items()}

    def _tables(self, shard: int | None) -> Tables:
        """A shard's tables, decoded; those used last are held. None: all."""
        if self._every is not None:
            return self._every
        assert shard is not None
        known = self._decoded.pop(shard, None)
        if known is None:
            known = {name: self._read(self._entries[shard], name) for name in TABLES}
        self._decoded[shard] = known
        while len(self._decoded) > 1 and sum(map(_bytes, self._decoded.values())) > _HELD:
            self._decoded.popitem(last=False)
        return known

    def _read(self, entry: ShardEntry, name: str, columns: list[str] | None = None) -> pa.Table:
        from screen.store.tables import pinned

        if name not in entry.files:
            empty = pinned(name, self.folder.traits).empty_table()
            return empty if columns is None else empty.select(columns)
        source = pa.BufferReader(self.folder.bytes_of(entry.files[name]))
        return pq.ParquetFile(source, pre_buffer=False).read(columns=columns, use_threads=False)

    def _indexed(
        self,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int64], Mapping[str, tuple[str, str]]]:
        """Of each scored row the hash, ascending, its shard and number; and the skips that come again, by hash."""
        hashes, shards, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        skips: dict[str, tuple[str, str]] = {}
        for entry in sorted(self._entries.values(), key=lambda e: e.first_row):
            scores = self._read(entry, "scores", ["row", "sha256"])
            own, first = np.unique(scores["row"].to_numpy(), return_index=True)
            texts = pc.take(scores["sha256"], pa.array(first)).to_pylist()
            rows.append(own)
            hashes.append(np.array([int(text or "0", 16) for text in texts], dtype=np.uint64))
            shards.append(np.full(len(own), entry.shard, dtype=np.int32))
            skipped = self._read(entry, "skipped", ["sha256", "stage", "code", "message"])
            for line in skipped.filter(pc.is_in(skipped["code"], pa.array(_LASTING))).to_pylist():
                skips[line["sha256"]] = (line["code"], line["message"])
        every = np.concatenate(hashes)
        order = np.argsort(every, kind="stable")
        return every[order], np.concatenate(shards)[order], np.concatenate(rows)[order], skips


def in_order(table: pa.Table, column: str) -> pa.Table:
    """By a column of numbers, lines of one number in the order they have."""
    order = np.argsort(table[column].to_numpy(), kind="stable")
    return table.combine_chunks().take(pa.array(order))


def _bytes(tables: Tables) -> int:
    return sum(int(table.nbytes) for table in tables.values())
