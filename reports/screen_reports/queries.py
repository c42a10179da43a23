"""The questions that reports put to a run: the `.sql` files of this package, run in the store's sandbox."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screen.errors import UsageError
from screen.scoring import schema
from screen.scoring.findings.flags import DEFAULT_AT, Threshold, threshold
from screen.store.index import read
from screen.store.scan import Scan
from screen.store.sql.views import quoted
from screen_reports.text import near

_LISTED = 1000  # rows that a query names one by one


class Excerpt(NamedTuple):
    """An answer from its highest window on. `inner`: something stands before it."""

    text: str
    inner: bool


@dataclass(frozen=True, slots=True)
class Ranked:
    """One sample in a ranking. `place`: share of the run's samples with a lower score."""

    row: int
    id: str | None
    variant: str | None
    sign: int
    answer_tokens: int | None
    base_refused: bool | None
    score: Any  # of the column's own type
    place: float
    flagged: bool
    excerpt: Excerpt


def statement(name: str, **parts: str) -> str:
    """The SQL of `sql/NAME.sql` with its {parts} put in; identifiers and values are quoted by the caller."""
    text = (files("screen_reports") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], body)  # one pass: a part may hold braces itself


def sample_types(scan: Scan) -> dict[str, pa.DataType]:
    """The columns of the view `samples`, those of traits first."""
    types = {f.name: f.type for f in schema.scores_schema(scan.traits)}
    corrected = {f"{trait}_corrected": pa.float32() for trait in scan.traits}
    texts = dict.fromkeys(("prompt", "answer", "base_answer"), pa.string())
    return {**{t: types[t] for t in scan.traits}, **types, **corrected, **texts}


def score_column(scan: Scan, name: str) -> str:
    """The column to rank by: `name`, or for a trait the column that the run's kind of baseline fills."""
    if name not in (known := sample_types(scan)):
        close = difflib.get_close_matches(name.lower(), known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        where = shlex.quote(near(scan.path))
        raise UsageError(
            f"there is no column {name!a} in {near(scan.path)}",
            f"{hint}its traits are {', '.join(scan.traits)}; `screen sql {where} 'describe samples'` lists all columns",
        )
    if name in scan.traits:
        return scan.folder.score_column(name)
    return name


def column(scan: Scan, name: str) -> Any:
    """(n,) float32 values of one score over the run, in row order; nan where there is none."""
    if scan.index is not None and name in scan.index.scores:
        return scan.index.scores[name]
    return pc.cast(read(scan.folder, [name])[name], pa.float32()).to_numpy(zero_copy_only=False)


def limit_of(scan: Scan, trait: str, at: str | None = None) -> Threshold:
    """The threshold of one trait: as the finished run has it, or made anew for `at` or a run that goes on."""
    known = scan.flags.get(trait)
    if at is None and known is not None and scan.folder.finished:
        reference = scan.summary.get("traits", {}).get(trait, {}).get("reference", False)
        return Threshold(known.get("threshold"), known.get("rule", ""), bool(reference))
    values = column(scan, score_column(scan, trait))
    reference = scan.folder.facts.get("references", {}).get(trait)
    return threshold(values[~np.isnan(values)], reference, at or scan.summary.get("at") or DEFAULT_AT)


def away_of(scan: Scan, trait: str, at: str | None = None) -> float | None:
    """Below which score a row that is trained away from is flagged; None where the run's record says nothing of it."""
    known = scan.flags.get(trait, {}) if at is None and scan.folder.finished else {}
    limit = known.get("threshold_away")
    return None if limit is None else float(limit)


def flags(scan: Scan, at: str | None = None) -> dict[str, dict[str, Any]]:
    """What the view `flagged` goes by, for every trait."""
    made = {}
    for trait in scan.traits:
        limit = limit_of(scan, trait, at)
        made[trait] = {
            "threshold": limit.value,
            "threshold_away": away_of(scan, trait, at),
            "rule": limit.rule,
            "column": score_column(scan, trait),
        }
    return made


def top_rows(
    scan: Scan,
    score: str,
    trait: str | None,
    count: int,
    *,
    limit: float | None,
    away: float | None = None,
    ascending: bool = False,
    only_flagged: bool = False,
) -> list[Ranked]:
    """The `count` samples with the highest (lowest) `score`; `trait` is whose window is quoted.

    limit  a sample above it is flagged; away  one that is trained away from is flagged below this instead
    """
    tests = [f"sign > 0 AND score > CAST({limit!r} AS DOUBLE)"] if limit is not None else []
    tests += [f"sign < 0 AND score < CAST({away!r} AS DOUBLE)"] if away is not None else []
    over = f"coalesce({' OR '.join(tests) or 'false'}, false)"
    order = "ASC" if ascending else "DESC"
    kept = "flagged" if only_flagged else "true"
    kind = sample_types(scan)[score]
    known = f"NOT isnan({quoted(score)})" if pa.types.is_floating(kind) else "true"
    view = "scores" if score in schema.scores_schema(scan.traits).names else "samples"  # which need not read texts
    text = statement(
        "top_rows", score=quoted(score), view=view, known=known, order=order, over=over, kept=kept, limit=str(count)
    )
    near = _nearest(scan, score, count, ascending, (limit, away) if only_flagged else None)
    rows = scan.sql(text, flags={} if view == "scores" else None, rows=near).to_pylist()
    if near is not None:
        places = _places(scan, score, [r["score"] for r in rows])
        rows = [{**row, "place": place} for row, place in zip(rows, places, strict=True)]
    excerpts = windows(scan, trait or scan.traits[0], [r["row"] for r in rows])
    made = []
    for row in rows:
        excerpt = excerpts.get((row["row"], row["variant"]), Excerpt("", False))
        made.append(Ranked(**row, excerpt=excerpt))
    return made


def _nearest(
    scan: Scan, score: str, count: int, ascending: bool, flagged: tuple[float | None, float | None] | None
) -> list[int] | None:
    """Rows among which the `count` highest (lowest) samples by a score are, from the run's index; None without one.

    flagged  only samples above the first limit, or trained away from and below the second
    """
    if scan.index is None or score not in scan.index.scores or count > _LISTED:
        return None
    values, rows, signs = scan.index.scores[score], scan.index.rows, scan.index.signs
    wanted = ~np.isnan(values)
    if flagged is not None:
        above, below = (np.float64(np.nan if limit is None else limit) for limit in flagged)
        wanted &= ((signs > 0) & (values > above)) | ((signs < 0) & (values < below))
    there = np.flatnonzero(wanted)
    if count >= len(there):
        return sorted(set(rows[there].tolist()))
    order = values[there] if ascending else -values[there]
    edge = np.partition(order, count - 1)[count - 1]
    best, tied = there[order < edge], there[order == edge]
    tied = tied[np.argsort(rows[tied], kind="stable")][: count - len(best)]
    return sorted(set(rows[np.concatenate([best, tied])].tolist()))


def _places(scan: Scan, score: str, values: Sequence[float]) -> list[float]:
    """The share of the run's samples with a lower score, for each value."""
    known = column(scan, score)
    known = np.sort(known[~np.isnan(known)])
    return [float(np.searchsorted(known, np.float32(v))) / len(known) for v in values]


def windows(scan: Scan, trait: str, rows: Sequence[int]) -> Mapping[tuple[int, str | None], Excerpt]:
    """(row, variant) -> the text from the trait's highest window on."""
    if not rows:
        return {}
    text = statement(
        "windows",
        window=quoted(f"{trait}_window"),
        start=quoted(f"{trait}_window_start"),
        rows=", ".join(str(row) for row in sorted(set(rows))),
    )
    found = scan.sql(text, flags={}, rows=rows).to_pylist()
    return {(r["row"], r["variant"]): _from_word(r["start"], r["excerpt"] or "") for r in found}


def _from_word(start: int, text: str) -> Excerpt:
    """`text` begins one character before `start`; a word that is cut in two is left out."""
    if start == 0:
        return Excerpt(text, False)
    if text[:2].isalnum():
        text = re.sub(r"^\w{1,20}(?=\W)", "", text)
        return Excerpt(text, True)
    return Excerpt(text[1:], True)
