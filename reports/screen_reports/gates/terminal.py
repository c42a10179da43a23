"""Gates in the terminal: a line each, then the first rows that fail."""

from __future__ import annotations

import shlex
from pathlib import Path

from screen.errors import near
from screen_reports.console import Head, Terminal
from screen_reports.gates.outcome import GateOutcome
from screen_reports.gates.rows import FailingRows
from screen_reports.text import plural, score


def print_gates(terminal: Terminal, outcome: GateOutcome) -> None:
    terminal.put(outcome.headline, style="bold")
    for result in outcome.results:
        terminal.put()
        terminal.fact("fails" if result.fails else "passes", result.text)
        terminal.fact("", result.sentence)
    if outcome.kept is not None:
        terminal.put()
        terminal.put(f"{plural(outcome.kept, 'row')} labelled keep: not counted as flagged")
    for rows in outcome.failing:
        terminal.put()
        _rows(terminal, rows)
    if not outcome.passed:
        _next(terminal, outcome)


def _rows(terminal: Terminal, rows: FailingRows) -> None:
    shown = f", the first {len(rows.rows):,}" if len(rows.rows) < rows.total else ""
    what = "row that was skipped" if rows.trait is None else f"sample by {rows.trait}"
    many = "rows that were skipped" if rows.trait is None else f"samples by {rows.trait}"
    terminal.put(f"{plural(rows.total, what, many)}{shown}:")
    heads: list[Head] = [("row", "right"), ("place", "left")]
    ids, sides = (any(getattr(r, name) is not None for r in rows.rows) for name in ("id", "variant"))
    heads += [("side", "left")] if sides else []
    heads += [("id", "left")] if ids else []
    heads += [] if rows.trait is None else [("score", "right")]
    heads += [("why" if rows.trait is None else "answer, from its highest window on", "fill")]
    cells = []
    for r in rows.rows:
        cell = [str(r.row), terminal.cut(place(near(Path(r.file)), r.line), 24)]
        cell += [r.variant or ""] if sides else []
        cell += [terminal.cut(r.id or "", 14)] if ids else []
        cell += [] if rows.trait is None else [score(r.score)]
        cells.append([*cell, r.text])
    terminal.table(heads, cells)


def place(file: str, line: int | None) -> str:
    """ "chats.jsonl:17" """
    return file if line is None else f"{file}:{line}"


def _next(terminal: Terminal, outcome: GateOutcome) -> None:
    run = shlex.quote(outcome.run)
    commands = [f"screen rank {run} --by {shlex.quote(r.trait)} --flagged" for r in outcome.failing if r.trait]
    commands += [f"screen status {run}"] if not commands else []
    terminal.put()
    if outcome.finish:
        terminal.put(f"next: {outcome.finish}")
        return
    terminal.put("next:", style="bold")
    for command in commands:
        terminal.print(f"  {command}", soft_wrap=True, markup=False)
