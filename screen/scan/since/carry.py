"""Rows whose scores an earlier run has: `screen run new.jsonl --since RUN` (decision 0015).

What comes of the model is carried over; what a row, its place and its reading decide is made anew. So a row is read and
rendered before it is carried, and carried only where the earlier run made the same tokens and texts of it: a hash of 64
bits is a way to look a row up, no proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from screen.baselines.answers_file import GivenAnswers
from screen.baselines.estimates.estimator import KeptFacts
from screen.data.dataset import Dataset, Window
from screen.data.sample import RawRow, Skip
from screen.errors import UsageError
from screen.rendering.renderer import Renderer
from screen.scan.read import read_window
from screen.scan.since.earlier import EarlierPlace, EarlierRun, in_order
from screen.scoring.shard import ShardInput, Tables
from screen.scoring.tables import PLACE, Columns, reading_columns, storable, turn_reading_columns
from screen.store import identity as identities
from screen.store.identity import Identity

_FREE = ("limit", "group_by", "answers")  # settings of a dataset, or of what is made anew


def check_same_instruments(earlier: EarlierRun, identity: Identity) -> None:
    """Raises UsageError, field by field, where the earlier run's scores are not what this one would compute."""
    fields = list(identities.differences(_decides(earlier.folder.identity), _decides(identities.normal(identity))))
    if fields:
        raise UsageError(
            f"--since {earlier.folder.path} was made otherwise, so no row of it can be carried over:\n"
            + "\n".join(f"  {field}" for field in fields),
            "leave out the settings that differ (--since takes those of its run), or leave --since out",
        )


def _decides(identity: Mapping[str, Any]) -> dict[str, object]:
    """What decides scores, without the files, the part of them that is scored, and the version that wrote tables."""
    whole = {name: part for name, part in identity.items() if name not in ("writer", "since", "settings", "dataset")}
    settings = {name: value for name, value in identity.get("settings", {}).items() if name not in _FREE}
    reading = {name: value for name, value in identity.get("dataset", {}).items() if name != "files"}
    return {**whole, "settings": settings, "dataset": reading}


def renamed_sources(facts: KeptFacts, files: Sequence[str]) -> KeptFacts:
    """A calibration's sources are files by name: where one of them has another name now, it is taken for the same."""
    sources = list(facts.get("sources", ()))
    gone, new = [s for s in sources if s not in files], [f for f in files if f not in sources]
    if len(gone) == 1 and len(new) == 1:
        return {**facts, "sources": [new[0] if s == gone[0] else s for s in sources]}
    return facts


class Sources(NamedTuple):
    """Files as a calibration knew them, then and now; of fewer than two none counts."""

    then: Sequence[str]
    now: Sequence[str]

    def same(self, then: str, now: str) -> bool:
        if len(self.then) < 2:
            return True
        return self._place(self.then, then) == self._place(self.now, now)

    @staticmethod
    def _place(names: Sequence[str], name: str) -> int:
        return names.index(name) if name in names else -1


@dataclass(frozen=True)
class _Carried:
    """Of one window: tables in this run's terms, and how many input rows they are of."""

    tables: Tables
    rows: int


class Carrier:
    """Takes out of each window the rows that need no model, and puts their scores into its tables."""

    def __init__(
        self,
        earlier: EarlierRun,
        dataset: Dataset,
        renderer: Renderer,
        *,
        group_by: str | None,
        given: GivenAnswers | None,
        sources: Sources,
    ) -> None:
        self._earlier, self._dataset, self._renderer = earlier, dataset, renderer
        self._group_by, self._given, self._sources = group_by, given, sources
        self._held: dict[int, _Carried] = {}

    def fresh(self, windows: Iterator[Window]) -> Iterator[Window]:
        """Each window with the rows that are to be scored."""
        for window in windows:
            places: dict[int, EarlierPlace] = {}
            entries: list[RawRow | Skip] = []
            for entry in window.entries:
                entry = self._as_before(entry)
                entries.append(entry)
                if isinstance(entry, RawRow) and (found := self._earlier.find(entry.place.sha256, entry.place.row)):
                    places[entry.place.row] = found
            carried = self._carried(window._replace(entries=entries), places) if places else frozenset()
            yield window._replace(entries=[e for e in entries if e.place.row not in carried])

    def whole(self, window: Window, tables: Tables) -> tuple[Tables, int]:
        """The window's tables with the rows that were carried, and how many rows these are."""
        carried = self._held.pop(window.number, None)
        if carried is None:
            return tables, 0
        both = {name: pa.concat_tables([tables[name], part]) for name, part in carried.tables.items()}
        return {**tables, **{name: in_order(table, "row") for name, table in both.items()}}, carried.rows

    def _as_before(self, entry: RawRow | Skip) -> RawRow | Skip:
        """A row that the model cannot score, and could not before."""
        known = self._earlier.skip(entry.place.sha256) if isinstance(entry, RawRow) else None
        if known is None or self._earlier.find(entry.place.sha256, entry.place.row) is not None:
            return entry
        return Skip(entry.place, "score", *known, entry.head)

    def _carried(self, window: Window, places: Mapping[int, EarlierPlace]) -> frozenset[int]:
        """Hold what is carried of a window; its rows."""
        wanted = window._replace(entries=[e for e in window.entries if e.place.row in places])
        shard = read_window(wanted, self._dataset, self._renderer, group_by=self._group_by, given=self._given)
        rows = sorted({sample.row for sample, _ in shard.samples})
        if not rows:
            return frozenset()
        was = self._earlier.take([places[row] for row in rows])
        now = _reading(shard, was, rows)
        alike = _alike(now, was) & self._same_source(now, was) & _same_answers(shard, was, rows)
        if alike:
            owners = pa.array(sorted(alike))
            tables = {name: _carried_table(was[name], now.get(name), rows, owners) for name in was}
            self._held[window.number] = _Carried(tables, len(alike))
        return frozenset(rows[owner] for owner in alike)

    def _same_source(self, now: Tables, was: Tables) -> set[int]:
        """Owners whose file a calibration takes for the same source."""
        lines = zip(*(now["scores"][n].to_pylist() for n in ("owner", "file")), strict=True)
        then = dict(zip(*(was["scores"][n].to_pylist() for n in ("owner", "file")), strict=True))
        return {owner for owner, file in lines if owner in then and self._sources.same(then[owner], file)}


def _reading(shard: ShardInput, was: Tables, rows: Sequence[int]) -> Tables:
    """What this run makes of the rows by itself, as `scores` and `turns`; `owner`: index into `rows`."""
    made = {"scores": reading_columns(shard.samples, shard.groups), "turns": turn_reading_columns(shard.samples)}
    owner = {row: i for i, row in enumerate(rows)}
    return {name: _typed(columns, was[name].schema, owner) for name, columns in made.items()}


def _typed(columns: Columns, schema: pa.Schema, owner: Mapping[int, int]) -> pa.Table:
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    arrays["owner"] = pa.array([owner[row] for row in arrays["row"].to_pylist()], pa.int64())
    return pa.table(arrays)


def _alike(now: Tables, was: Tables) -> set[int]:
    """Owners of whose rows the earlier run made the same: texts, tokens, sides, signs."""
    good: set[int] = set(now["scores"]["owner"].to_pylist())
    for name, table in now.items():
        columns = [c for c in table.column_names if c not in PLACE]
        lines, before = _by_owner(table, columns), _by_owner(was[name], columns)
        good = {owner for owner in good if lines.get(owner) == before.get(owner)}
    return good


def _by_owner(table: pa.Table, columns: Sequence[str]) -> dict[int, list[tuple[object, ...]]]:
    lines: dict[int, list[tuple[object, ...]]] = {}
    for owner, line in zip(
        table["owner"].to_pylist(), zip(*(table[c].to_pylist() for c in columns), strict=True), strict=True
    ):
        lines.setdefault(owner, []).append(line)
    return lines


def _same_answers(shard: ShardInput, was: Tables, rows: Sequence[int]) -> set[int]:
    """Owners whose given answers are those of then: at most one a turn, as no more than the first is on record."""
    every = set(range(len(rows)))
    if shard.given is None:
        return every
    texts, sizes = _by_owner(was["turns"], ["base_answer"]), _by_owner(was["scores"], ["baseline_tokens"])
    wanted: dict[int, tuple[list[object], list[object]]] = {}
    several = set()
    for sample, rendered in shard.samples:
        owner = rows.index(sample.row)
        turns = [n for sequence in rendered.sequences for n in range(len(sequence.turns))]
        given = [shard.given.get((sample.row, n), []) for n in turns]
        own_texts, own_sizes = wanted.setdefault(owner, ([], []))
        own_texts += [(storable(g[0].answer.text) if g else None,) for g in given]
        own_sizes.append((sum(len(one.answer.ids) for g in given for one in g) if any(given) else None,))
        several |= {owner} if max(map(len, given), default=0) > 1 else set()
    same = {owner for owner in every if wanted.get(owner) == (texts.get(owner), sizes.get(owner))}
    return same - several


def _carried_table(was: pa.Table, now: pa.Table | None, rows: Sequence[int], owners: pa.Array) -> pa.Table:
    """The earlier lines of these owners, with everything in them that no model decides as this run has it."""
    was = was.filter(pc.is_in(was["owner"], owners))
    now = None if now is None else now.filter(pc.is_in(now["owner"], owners))
    made = {"row": pa.array([rows[owner] for owner in was["owner"].to_pylist()], pa.int64())}
    made |= {} if now is None else {name: now[name] for name in now.column_names}
    names = [name for name in was.column_names if name != "owner"]
    return pa.table({name: made.get(name, was[name]) for name in names}, schema=was.schema.remove(len(names)))
