"""`screen sql`: SELECT over a run, in the store's sandbox."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.exits import say
from screen.cli.output import one_format, print_json_lines
from screen.errors import ScreenError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from screen.store.scan import Scan

_EPILOG = """\b
Views: scores, turns, skipped, samples (scores with text), flagged, labels.

\b
Examples:
  screen sql chats.screen 'select row, evil from flagged order by evil desc'
  screen sql chats.screen 'select code, count(*) from skipped group by 1' --json
  screen sql chats.screen 'summarize scores' --csv > columns.csv
  screen sql chats.screen
"""
_HELP = """\
A statement ends with a semicolon. Views: scores, turns, skipped, samples,
flagged, labels. Nothing here changes the run.
  .tables      views and their columns
  .help        this
  .quit        leave (or \\q, exit, Ctrl-D)"""
_LEAVE = (".quit", ".exit", "quit", "exit", "\\q", ".q")
_SHOWN = 100  # rows of a table for people, unless --limit-rows says otherwise


@dataclass(frozen=True, slots=True)
class OutputForm:
    """How rows are printed: "table", "json" or "csv", and how many at most."""

    kind: str
    rows: int | None


@click.command("sql", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("statement", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header.")
@click.option("--table", "as_table", is_flag=True, help="A table for people.  [default]")
@click.option(
    "--limit-rows", type=click.IntRange(1), metavar="N", help="At most N rows.  [default: 100 as a table in a terminal]"
)
@click.option("--seconds", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Stop a query after this.")
def command(
    run: Path,
    statement: str | None,
    as_json: bool,
    as_csv: bool,
    as_table: bool,
    limit_rows: int | None,
    seconds: float,
) -> None:
    """Query RUN with STATEMENT, one SELECT of DuckDB's SQL; `-` or nothing reads it from standard input.

    In a terminal, without a statement, a prompt opens. The run's data is only read; queries have no file or
    network access.
    """
    one_format(as_json, as_csv)
    one_format(as_json or as_csv, as_table, ("--json" if as_json else "--csv", "--table"))
    from screen_reports.console import in_terminal

    from screen.cli.opened import open_run

    scan = open_run(run)
    kind = "json" if as_json else "csv" if as_csv else "table"
    form = OutputForm(kind, limit_rows or (_SHOWN if kind == "table" and in_terminal(sys.stdout) else None))
    if statement in (None, "-"):
        if sys.stdin.isatty():
            _prompt(scan, form, seconds)
            return
        statement = sys.stdin.read()
    if not (statement or "").strip():
        raise UsageError("no statement given", "screen sql RUN 'select * from scores limit 5'")
    _answer(scan, statement or "", form, seconds)


def _answer(scan: Scan, statement: str, form: OutputForm, seconds: float) -> None:
    from screen.select.scores import thresholds_of
    from screen.store.sql.sandbox import Limits

    known = None if scan.folder.finished else thresholds_of(scan)  # a run that goes on has no thresholds of record
    reply = scan.query(statement, limits=Limits(seconds=seconds), flags=known)
    total = reply.table.num_rows
    table = reply.table if form.rows is None else reply.table.slice(0, form.rows)
    _print(table, form.kind)
    if reply.cut:
        say(f"note: {reply.cut}")
    elif table.num_rows < total:
        say(f"({total:,} rows, {table.num_rows:,} shown; --limit-rows {total} shows all)")
    elif form.kind == "table":
        sys.stdout.write(f"({total:,} {'row' if total == 1 else 'rows'})\n")


def _print(table: pa.Table, kind: str) -> None:
    if kind == "json":
        print_json_lines(row for batch in table.to_batches(max_chunksize=1000) for row in batch.to_pylist())
    elif kind == "csv":
        from screen_reports.ranking import write_csv_table

        write_csv_table(sys.stdout, table.column_names, _rows(table))
    else:
        from screen_reports.console import Terminal
        from screen_reports.grid import print_grid

        print_grid(Terminal(), table.column_names, [_is_number(f.type) for f in table.schema], list(_rows(table)))


def _rows(table: pa.Table) -> Iterator[list[object]]:
    """Row by row; columns may share a name, so no dicts."""
    for batch in table.to_batches(max_chunksize=1000):
        columns = [column.to_pylist() for column in batch.columns]
        yield from (list(row) for row in zip(*columns, strict=True))


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _prompt(scan: Scan, form: OutputForm, seconds: float) -> None:
    """Read statements until the end of input. An error is told and the prompt goes on."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  arrow keys and history of this session
    sys.stdout.write(f"{_HELP}\n")
    held = ""
    while True:
        try:
            line = input("   ...> " if held else "screen> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            held = ""
            continue
        if line.strip().rstrip(";").lower() in _LEAVE:  # whatever was begun
            return
        held = _take(scan, form, seconds, held, line)


def _take(scan: Scan, form: OutputForm, seconds: float, held: str, line: str) -> str:
    """One more line; returns what still waits for its semicolon."""
    word = line.strip()
    if not held and word.startswith("."):
        _dotted(scan, word)
        return ""
    statement = f"{held}\n{line}" if held else line
    if not statement.strip():
        return ""
    if not word.endswith(";"):
        return statement
    try:
        _answer(scan, statement, form, seconds)
    except ScreenError as error:
        say(f"error: {error.message}", *([f"next: {error.next_step}"] if error.next_step else []))
    except KeyboardInterrupt:
        say("stopped")
    return ""


def _dotted(scan: Scan, word: str) -> None:
    if word == ".tables":
        from screen_reports.console import Terminal

        from screen.scoring import schema
        from screen.store.labels.file import COLUMNS
        from screen.store.scan import ascii_name

        views = {
            "scores": schema.scores_schema(scan.traits).names,
            "turns": schema.turns_schema(scan.traits).names,
            "skipped": schema.skipped_schema().names,
            "samples": ["everything in scores", "prompt", "answer", "base_answer"],
            "flagged": ["everything in scores", "flags"],
            "labels": list(COLUMNS),
        }
        for view, names in views.items():
            columns = names if view in ("samples", "flagged") else [ascii_name(n) for n in names]
            Terminal().fact(view, ", ".join(columns))
    else:
        sys.stdout.write(f"{_HELP}\n")
