"""What stands for the {names} in rows.sql: columns of the traits that are shown, and of the second detector."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.parquet as pq

from screen.store import liftfile
from screen.store.sql.views import quoted
from screen_reports.html.view import View

WHOLE = 4000  # characters up to which a text comes whole
TURNS = 3  # of a sample, for each trait
HEAD = 800  # characters from the beginning of a longer one
AROUND, WINDOW = 300, 1200  # characters before and after a window, and of it


def parts(view: View) -> Mapping[str, str]:
    traits = view.shown
    lifts, join = _lift(view)
    return {
        "whole": str(WHOLE),
        "turns": str(TURNS),
        "scores": ", ".join(quoted(view.scan.folder.score_column(trait)) for trait in traits),
        "places": ", ".join(_place(trait) for trait in traits),
        "spans": ", ".join(_spans(trait) for trait in traits),
        "cuts": ", ".join([_cut("0", str(HEAD)), *(_around(trait) for trait in traits)]),
        "lifts": lifts,
        "lift": join,
    }


def _place(trait: str) -> str:
    window = quoted(f"{trait}_window")
    return f'row_number() OVER (PARTITION BY "row", variant ORDER BY {window} DESC NULLS LAST, turn)'


def _spans(trait: str) -> str:
    """The trait's highest windows of a turn, the highest first: a list of {mean, start, end}."""
    window, start, end = (quoted(f"{trait}_window{part}") for part in ("", "_start", "_end"))
    first = f"[{{'mean': {window}, 'start': {start}, 'end': {end}}}]"
    return f"coalesce({quoted(f'{trait}_windows')}, {first})"


def _around(trait: str) -> str:
    start, end = quoted(f"{trait}_window_start"), quoted(f"{trait}_window_end")
    return _cut(f"greatest({start} - {AROUND}, 0)", f"least({end} - {start}, {WINDOW}) + {2 * AROUND}")


def _cut(at: str, length: str) -> str:
    return f"{{'at': ({at})::BIGINT, 'text': substring(\"text\", ({at})::BIGINT + 1, ({length})::BIGINT)}}"


def _lift(view: View) -> tuple[str, str]:
    """(each trait's lift and its place among all rows, null for a trait that was not asked for; the join)."""
    file = liftfile.find(view.scan.folder)
    if file is None:
        return "[]", ""
    columns, picked = set(pq.read_schema(file).names), []
    for trait in view.shown:
        name = quoted(f"{trait}_lift")
        place = (
            f"CASE WHEN {name} IS NOT NULL THEN percent_rank() OVER (PARTITION BY {name} IS NULL ORDER BY {name}) END"
        )
        known = (f"{name}::DOUBLE", place) if f"{trait}_lift" in columns else ("NULL::DOUBLE", "NULL::DOUBLE")
        picked.append(f"{{'lift': {known[0]}, 'place': {known[1]}}}")
    join = f'LEFT JOIN (SELECT "row", variant, [{", ".join(picked)}] AS lifts FROM lift) l'
    return "l.lifts", f'{join} ON s."row" = l."row" AND s.variant IS NOT DISTINCT FROM l.variant'
