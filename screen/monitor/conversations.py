"""The conversations of a scanned log, in the order in which they were had: scores, times and the fields asked for.

Scores come from the run, the rest from the log's own rows, read once more. Texts are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from screen.data.dataset import Dataset
from screen.data.from_spec import dataset_of
from screen.data.grouping import check_group, group_of
from screen.data.sample import RawRow
from screen.errors import InputError
from screen.monitor import when
from screen.scoring.tables import storable
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

_LOOKED_AT = 200  # rows that tell which field holds the time
_ROWS = 2048
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Conversations:
    """Arrays of n conversations, in order of time where that is known, else of the log.

    rows    (n,) input rows; scores  trait -> (n,) float32, means over the scored turns, NaN where there is none
    times   (n,) seconds since 1970, NaN where the row says none; by  field -> (n,) its value in each row, "" for none
    time    the field that the times come from; None where no field holds any
    """

    rows: npt.NDArray[np.int64]
    scores: Mapping[str, Float32]
    times: npt.NDArray[np.float64]
    by: Mapping[str, Sequence[str]]
    time: str | None

    def __len__(self) -> int:
        return len(self.rows)


def conversations(folder: RunFolder, time: str | None, by: Sequence[str]) -> Conversations:
    """Of a finished run on a log. `time`: the field that says when; None: found. `by`: fields to compare by.

    Raises InputError for a field that no row has, a `time` that holds no time, and a log that changed since.
    """
    dataset = dataset_of(ScanSpec.from_json(folder.facts["spec"]))
    for field in by:
        check_group(dataset, field, "--by")
    if time is None:
        time = when.field_of(_first(dataset))
    else:
        check_group(dataset, time, "--time")
    columns = ["row", "sha256", *(folder.score_column(trait) for trait in folder.traits)]
    parts = [pq.read_table(file, columns=columns) for file in folder.tables("scores")]
    table = pa.concat_tables(parts)
    rows = table["row"].to_numpy()
    times, values = _fields(dataset, dict(zip(rows.tolist(), table["sha256"].to_pylist(), strict=True)), time, by)
    if time is not None and np.isnan(times).all():
        raise InputError(
            f"--time {time}: no row has a time there", "name a field with ISO 8601 times, or seconds since 1970"
        )
    order = np.argsort(_filled(times), kind="stable")
    scores = {trait: table[folder.score_column(trait)].to_numpy()[order] for trait in folder.traits}
    sorted_by = {field: [told[i] for i in order] for field, told in values.items()}
    return Conversations(rows[order], scores, times[order], sorted_by, time)


def _first(dataset: Dataset) -> list[object]:
    entries = (entry for window in dataset.windows(_LOOKED_AT) for entry in window.entries)
    values = (entry.value for entry in entries if isinstance(entry, RawRow))
    return list(islice(values, _LOOKED_AT))


def _fields(
    dataset: Dataset, wanted: Mapping[int, str], time: str | None, by: Sequence[str]
) -> tuple[npt.NDArray[np.float64], dict[str, list[str]]]:
    """Of the rows with a score, in their order: when they were, and what they say in each field."""
    times: list[float] = []
    values: dict[str, list[str]] = {field: [] for field in by}
    known: dict[str, str] = {}  # few values stand in many rows: each is held once
    if time is None and not by:
        return np.full(len(wanted), np.nan), values
    for entry in _rows(dataset):
        if entry.place.row not in wanted:
            continue
        if entry.place.sha256 != wanted[entry.place.row]:
            raise InputError(f"{entry.place} has changed since it was scored", "run this again when the log rests")
        told = None if time is None else when.at(entry.value, time)
        times.append(float("nan") if told is None else told)
        for field in by:
            text = storable(group_of(entry.value, field))
            values[field].append(known.setdefault(text, text))
    if len(times) < len(wanted):
        raise InputError("the log has fewer rows than were scored", "run this again when the log rests")
    return np.array(times), values


def _rows(dataset: Dataset) -> Iterator[RawRow]:
    for window in dataset.windows(_ROWS):
        yield from (entry for entry in window.entries if isinstance(entry, RawRow))


def _filled(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A row without a time stands behind the row before it in the log; those before the first time come first."""
    last = np.maximum.accumulate(np.where(np.isnan(times), -1, np.arange(len(times))))
    return np.where(last < 0, -np.inf, times[last])
