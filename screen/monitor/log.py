"""What a log of conversations shows: how each trait stands beside clean conversations, alarms, and drift by day and by
field. Reads a run (screen.scan.run) on the log; nothing is scored here.

A trait's change test runs on conversations, not on messages: turns of one conversation are no independent evidence,
and a reference's rows are conversations too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from screen.data.shapes.forms import FORMS
from screen.errors import InputError
from screen.monitor import when
from screen.monitor.change import EVERYTHING, Alarm, Bar, Streams, bars
from screen.monitor.conversations import Conversations, conversations
from screen.monitor.known import Standard, standards
from screen.monitor.scores import MessageScore, of_turns
from screen.store.folder import RunFolder
from screen.store.unfinished import unfinished

CHANCE = 0.05  # of any alarm at all on a clean log
_UNSURE = 0.2  # the share of that chance that goes to what the reference may have understated
SKIPS_SHOWN = 20
MOST_VALUES = 1000  # of a field that conversations are compared by
NO_DAY = ""
PAIRS = tuple(form.name for form in FORMS if form.preference)
Mask = npt.NDArray[np.bool_]


class MessagePlace(TypedDict):
    """A conversation of the log: its row, and when it was had where that is known."""

    row: int
    time: str | None


class AlarmJson(TypedDict):
    """Of one stream. `by`, `value`: the field and its value; null for all conversations."""

    by: str | None
    value: str | None
    count: int
    at: MessagePlace
    began: MessagePlace
    mean_sds: float | None


class TraitStats(TypedDict):
    """Over some conversations: how many have a score; their mean in standard deviations of clean ones from the mean of
    clean ones, and its standard error; and how many pass the limit that one clean conversation in a hundred passes."""

    scored: int
    mean_sds: float | None
    se: float | None
    high: int | None


class TraitReport(TraitStats):
    trait: str
    mean: float | None
    reference: str | None
    reference_rows: int | None
    limit: float | None
    limit_at: str | None
    alarms: Sequence[AlarmJson]


class Part(TypedDict):
    """Some of the conversations: of a day, or of a field's value."""

    name: str
    conversations: int
    traits: Mapping[str, TraitStats]


class Skipped(TypedDict):
    rows: int
    by_code: Mapping[str, int]
    first: Sequence[Mapping[str, object]]


class LogReport(TypedDict):
    """What `screen monitor log` says. `chance`: of any alarm, at most, where every conversation is like the
    reference's; `days`: in order, empty without times; `groups`: field -> its values, the highest first."""

    conversations: int
    messages: int
    skipped: Skipped
    baseline: str
    time: str | None
    without_time: int
    chance: float
    per: float
    traits: Sequence[TraitReport]
    days: Sequence[Part]
    groups: Mapping[str, Sequence[Part]]


@dataclass(frozen=True)
class Log:
    """A scanned log, read. `known`: trait -> how clean rows score on it."""

    folder: RunFolder
    had: Conversations
    known: Mapping[str, Standard]

    @classmethod
    def read(cls, folder: RunFolder, time: str | None = None, by: Sequence[str] = ()) -> Log:
        """Raises InputError for a run that is not finished, one of preference pairs, a field with too many values, and
        as `conversations` does."""
        if not folder.finished:
            raise InputError(*unfinished(folder))
        if folder.baseline.pairs or folder.facts.get("dataset", {}).get("shape") in PAIRS:
            raise InputError(f"{folder.path} holds preference pairs, not conversations that were had", "give a log")
        known = standards(folder.facts.get("references", {}))
        had = conversations(folder, time, by)
        for field, values in had.by.items():
            if (many := len(set(values))) > MOST_VALUES:
                raise InputError(
                    f"--by {field}: {many:,} values are more than the {MOST_VALUES:,} that can be compared",
                    "name a field with fewer, such as the model's version, or make one from it",
                )
        return cls(folder, had, known)

    def report(self, chance: float = CHANCE) -> LogReport:
        """`chance`: that a clean log raises any alarm is to be at most this."""
        had = self.had
        per = _per(had, self.known, chance)
        alarms = self._alarms(chance, per)
        everything = np.ones(len(had), dtype=bool)
        days = _days(had.times)
        return {
            "conversations": len(had),
            "messages": sum(pq.read_metadata(file).num_rows for file in self.folder.tables("turns")),
            "skipped": _skipped(self.folder),
            "baseline": self.folder.facts["baseline"],
            "time": had.time,
            "without_time": int(np.isnan(had.times).sum()) if had.time else len(had),
            "chance": chance,
            "per": round(per, 1),
            "traits": [self._trait(trait, everything, alarms.get(trait, [])) for trait in self.folder.traits],
            "days": [self._part(day, days == day) for day in sorted(set(days.tolist()) - {NO_DAY})],
            "groups": {field: self._groups(values) for field, values in had.by.items()},
        }

    def messages(self, text: bool = False) -> Iterator[dict[str, object]]:
        """A message a line, in the order of the log's rows. `text`: with what was said, and to what."""
        had, columns = self.had, {trait: self.folder.score_column(trait) for trait in self.folder.traits}
        at = {row: i for i, row in enumerate(had.rows.tolist())}
        for file in self.folder.tables("turns"):
            turns = pq.read_table(file)
            texts = turns.select(["prompt", "text"]).to_pylist() if text else [{}] * len(turns)
            for message, said in zip(of_turns(turns, columns, self.known), texts, strict=True):
                yield {**_line(message, had, at[message.row]), **said}

    def _alarms(self, chance: float, per: float) -> dict[str, list[AlarmJson]]:
        """Of each trait the streams that raised any, in the order of their first."""
        had = self.had
        unsure = _UNSURE * chance / len(self.known)
        allowed: dict[str, Sequence[Bar]] = {trait: bars(s.reference, unsure) for trait, s in self.known.items()}
        streams = Streams(allowed, per)
        seen: dict[tuple[str, str | None, str], list[int]] = {}
        first: dict[tuple[str, str | None, str], tuple[Alarm, int]] = {}
        for i in range(len(had)):
            for trait in self.known:
                if math.isnan(score := float(had.scores[trait][i])):
                    continue
                for field, value in ((None, EVERYTHING), *((f, had.by[f][i]) for f in had.by)):
                    key = (trait, field, value)
                    seen.setdefault(key, []).append(i)
                    name = EVERYTHING if field is None else f"{field}={value}"
                    alarm = streams.update(trait, name, score)
                    if alarm is not None:
                        known = first.get(key)
                        first[key] = (alarm, 1) if known is None else (known[0], known[1] + 1)
        out: dict[str, list[AlarmJson]] = {}
        for (trait, field, value), (alarm, count) in first.items():
            places = seen[trait, field, value]
            out.setdefault(trait, []).append(
                {
                    "by": field,
                    "value": None if field is None else value,
                    "count": count,
                    "at": self._place(places[alarm.at]),
                    "began": self._place(places[alarm.began]),
                    "mean_sds": _rounded(self.known[trait].sds(alarm.mean)),
                }
            )
        return out

    def _place(self, i: int) -> MessagePlace:
        moment = float(self.had.times[i])
        return {"row": int(self.had.rows[i]), "time": None if math.isnan(moment) else when.moment_of(moment)}

    def _trait(self, trait: str, mask: Mask, alarms: Sequence[AlarmJson]) -> TraitReport:
        s = self.known.get(trait)
        scores = self.had.scores[trait]
        scored = scores[~np.isnan(scores)].astype(np.float64)
        return {
            "trait": trait,
            "mean": _rounded(float(scored.mean())) if len(scored) else None,
            **self._stats(trait, mask),
            "reference": None if s is None else s.name,
            "reference_rows": None if s is None else int(s.reference.get("rows", 0)),
            "limit": None if s is None else _rounded(s.limit),
            "limit_at": None if s is None else s.at,
            "alarms": alarms,
        }

    def _stats(self, trait: str, mask: Mask) -> TraitStats:
        s, scores = self.known.get(trait), self.had.scores[trait][mask].astype(np.float64)
        scores = scores[~np.isnan(scores)]
        if s is None or s.sd is None or not len(scores):
            return {"scored": len(scores), "mean_sds": None, "se": None, "high": None}
        error = float(scores.std(ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else None
        return {
            "scored": len(scores),
            "mean_sds": _rounded(s.sds(float(scores.mean()))),
            "se": None if error is None else _rounded(error / s.sd),
            "high": None if s.limit is None else int((scores > s.limit).sum()),
        }

    def _part(self, name: str, mask: Mask) -> Part:
        return {
            "name": name,
            "conversations": int(mask.sum()),
            "traits": {trait: self._stats(trait, mask) for trait in self.folder.traits},
        }

    def _groups(self, values: Sequence[str]) -> list[Part]:
        """The values of a field, that with the highest mean of a trait first."""
        names = sorted(set(values))
        at = {name: i for i, name in enumerate(names)}
        which = np.array([at[value] for value in values])
        parts = [self._part(name, which == i) for i, name in enumerate(names)]
        return sorted(parts, key=lambda part: -max(t["mean_sds"] or -math.inf for t in part["traits"].values()))


def _per(had: Conversations, known: Mapping[str, Standard], chance: float) -> float:
    """How rare a false alarm has to be in scores, so that the chance of any in all streams together holds."""
    scores = sum(int((~np.isnan(had.scores[trait])).sum()) for trait in known) * (1 + len(had.by))
    return max(1.0, scores / ((1.0 - _UNSURE) * chance))


def _days(times: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    return np.array([NO_DAY if math.isnan(moment) else when.day(moment) for moment in times.tolist()], dtype=np.str_)


def _skipped(folder: RunFolder) -> Skipped:
    columns = ["row", "file", "line", "code", "message"]
    rows = [row for file in folder.tables("skipped") for row in pq.read_table(file, columns=columns).to_pylist()]
    counts = Counter(row["code"] for row in rows)
    return {"rows": len(rows), "by_code": dict(counts.most_common()), "first": rows[:SKIPS_SHOWN]}


def _line(message: MessageScore, had: Conversations, i: int) -> dict[str, object]:
    moment = float(had.times[i])
    return {
        "row": message.row,
        "turn": message.turn,
        "time": None if math.isnan(moment) else when.moment_of(moment),
        "by": {field: values[i] for field, values in had.by.items()},
        "tokens": message.tokens,
        "traits": {
            trait: {"score": s.score, "projection": s.projection, "sds": s.sds, "high": s.high}
            for trait, s in message.traits.items()
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
