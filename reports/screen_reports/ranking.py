"""The list of `screen rank`: as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from typing import IO, Any

from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.queries import Excerpt, Ranked
from screen_reports.text import count, digits, one_line, score, spreadsheet

EXCERPT = 200  # characters of an answer in JSON and CSV


def print_ranking(terminal: Terminal, rows: Sequence[Ranked], label: str) -> None:
    """Row, score, place in the run, and the answer from its highest window on, cut to the line."""
    ids = any(r.id is not None for r in rows)
    sides = any(r.variant is not None for r in rows)
    signs = any(r.sign < 0 for r in rows)
    heads: list[Head] = [("row", "right")]
    heads += [("side", "left")] if sides else []
    heads += [("sign", "left")] if signs else []
    heads += [("id", "left")] if ids else []
    heads += [(terminal.cut(label, 16), "right"), ("in run", "right"), ("tokens", "right")]
    heads += [("answer, from its highest window on", "fill")]
    decimals = digits(r.score for r in rows if isinstance(r.score, float))
    marks = any(r.flagged for r in rows)
    cells: list[list[str | Text]] = []
    for r in rows:
        mark = "" if not marks else " *" if r.flagged else "  "
        cells.append(
            [
                str(r.row),
                *([r.variant or ""] if sides else []),
                *(["-" if r.sign < 0 else "+"] if signs else []),
                *([terminal.cut(r.id or "", 14)] if ids else []),
                Text(_shown(terminal, r.score, decimals) + mark, style="bold red" if r.flagged else ""),
                percentile(r.place),
                "-" if r.answer_tokens is None else count(r.answer_tokens),
                quoted_excerpt(terminal, r.excerpt),
            ]
        )
    terminal.table(heads, cells)


def _shown(terminal: Terminal, value: Any, decimals: int) -> str:
    """What a row is ranked by: scores have a sign."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return score(value, decimals) if isinstance(value, float) else terminal.cut(str(value), 24)


def percentile(place: float) -> str:
    """A share of lower scores as "p99.7", never rounded up to p100."""
    return f"p{int(place * 1000) / 10:.1f}"


def quoted_excerpt(terminal: Terminal, excerpt: Excerpt) -> str:
    """On one line; dots where something stands before it."""
    dots = "" if not excerpt.inner else "..." if terminal.plain else "\u2026"
    return dots + one_line(excerpt.text)


def as_objects(rows: Sequence[Ranked], name: str) -> list[dict[str, Any]]:
    """Plain JSON, one object a sample."""
    return [
        {
            "row": r.row,
            "id": r.id,
            "variant": r.variant,
            "sign": r.sign,
            name: r.score,
            "percentile": round(100 * r.place, 3),
            "flagged": r.flagged,
            "base_refused": r.base_refused,
            "answer_tokens": r.answer_tokens,
            "excerpt": r.excerpt.text[:EXCERPT],
        }
        for r in rows
    ]


def write_csv(file: IO[str], objects: Sequence[dict[str, Any]]) -> None:
    """With a header; empty where there are no rows."""
    if objects:
        write_csv_table(file, list(objects[0]), (_one_lined(row) for row in objects))


def _one_lined(row: dict[str, Any]) -> list[object]:
    return [one_line(value) if isinstance(value, str) else value for value in row.values()]


def write_csv_table(file: IO[str], names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """No cell runs as a formula in a spreadsheet, or steers a terminal."""
    out = csv.writer(file, lineterminator="\n")
    out.writerow([spreadsheet(name) for name in names])
    out.writerows([spreadsheet(_flat(value)) for value in row] for row in rows)


def _flat(value: object) -> object:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else value
