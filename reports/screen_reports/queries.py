"""The questions that reports put to a run: the `.sql` files of this package, run in the store's sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from screen.scoring import schema
from screen.select.scores import sample_types, score_values
from screen.store.scan import Scan
from screen.store.sql.views import quoted

if TYPE_CHECKING:
    from screen.analysis.curve import Refused

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
    return re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], body)  # one pass: a part may hold braces itself


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
    refused: Refused | None = None,
) -> list[Ranked]:
    """The `count` samples with the highest (lowest) `score`; `trait` is whose window is quoted.

    limit  a sample above it is flagged; away  one that is trained away from is flagged below this instead
    """
    tests = [f"sign > 0 AND score > CAST({limit!r} AS DOUBLE)"] if limit is not None else []
    tests += [f"sign < 0 AND score < CAST({away!r} AS DOUBLE)"] if away is not None else []
    over = f"coalesce({' OR '.join(tests) or 'false'}, false)"
    order = "ASC" if ascending else "DESC"
    condition = "flagged" if only_flagged else "true"
    condition += {None: "", "only": " AND base_refused", "without": " AND NOT base_refused"}[refused]
    kind = sample_types(scan)[score]
    known = f"NOT isnan({quoted(score)})" if pa.types.is_floating(kind) else "true"
    view = "scores" if score in schema.scores_schema(scan.traits).names else "samples"  # which need not read texts
    text = statement(
        "top_rows",
        score=quoted(score),
        view=view,
        known=known,
        order=order,
        over=over,
        kept=condition,
        limit=str(count),
    )
    near = None  # the index does not know what the base model refused
    if refused is None:
        near = _nearest(scan, score, count, ascending, (limit, away) if only_flagged else None)
    rows = scan.sql(text, flags={} if view == "scores" else None, rows=near).to_pylist()
    if near is not None:
        found = places(scan, score, [r["score"] for r in rows])
        rows = [{**row, "place": place} for row, place in zip(rows, found, strict=True)]
    excerpts = windows(scan, trait or scan.traits[0], [r["row"] for r in rows])
    ranked = []
    for row in rows:
        excerpt = excerpts.get((row["row"], row["variant"]), Excerpt("", False))
        ranked.append(Ranked(**row, excerpt=excerpt))
    return ranked


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
    wanted_at = np.flatnonzero(wanted)
    if count >= len(wanted_at):
        return sorted(set(rows[wanted_at].tolist()))
    order = values[wanted_at] if ascending else -values[wanted_at]
    edge = np.partition(order, count - 1)[count - 1]
    best, tied = wanted_at[order < edge], wanted_at[order == edge]
    tied = tied[np.argsort(rows[tied], kind="stable")][: count - len(best)]
    return sorted(set(rows[np.concatenate([best, tied])].tolist()))


def places(scan: Scan, score: str, values: Sequence[float]) -> list[float]:
    """The share of the run's samples with a lower score, for each value."""
    known = score_values(scan, score)
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
    excerpts = scan.sql(text, flags={}, rows=rows).to_pylist()
    return {(r["row"], r["variant"]): _from_word(r["start"], r["excerpt"] or "") for r in excerpts}


def _from_word(start: int, text: str) -> Excerpt:
    """`text` begins one character before `start`; a word that is cut in two is left out."""
    if start == 0:
        return Excerpt(text, False)
    if text[:2].isalnum():
        text = re.sub(r"^\w{1,20}(?=\W)", "", text)
        return Excerpt(text, True)
    return Excerpt(text[1:], True)
