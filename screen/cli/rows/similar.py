"""`screen similar`: rows like a row, and copies of one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from screen.cli.output import print_json
from screen.errors import UsageError

_EPILOG = """\b
Examples:
  screen similar chats.screen 17
  screen similar chats.screen 17 -n 50 --json
  screen similar chats.screen --copies
"""


@click.command("similar", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("row", metavar="[ROW|ID]", required=False)
@click.option("--id", "by_id", is_flag=True, help="It is an id, even if it is all digits.")
@click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@click.option("--copies", "grouped", is_flag=True, help="Groups of rows whose answers are near-duplicates.")
@click.option("--at-least", type=click.FloatRange(0.1, 1.0), default=0.8, show_default=True, help="Likeness of copies.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def command(run: Path, row: str | None, by_id: bool, count: int, grouped: bool, at_least: float, as_json: bool) -> None:
    """List the rows of RUN whose traits are most like ROW's; or, with --copies, rows that hold copies of one answer, so
    that one copied answer does not count a hundred times.
    """
    from screen.analysis import similar
    from screen.cli.opened import open_run
    from screen.select.named import number_of

    if (row is None) != grouped:
        raise UsageError(
            "give a row, or --copies, one of the two", "screen similar RUN 17, or screen similar RUN --copies"
        )
    scan = open_run(run)
    if row is None:
        groups = similar.copies(scan, at_least)
        print_json({"groups": groups}) if as_json else _print_copies(groups, count)
    else:
        number = number_of(scan, row, by_id)
        found = similar.neighbours(scan, number, count)
        print_json({"row": number, "similar": found}) if as_json else _print_near(scan, number, found)


def _print_near(scan: Any, row: int, found: list[dict[str, Any]]) -> None:
    from screen_reports import queries
    from screen_reports.console import Head, Terminal
    from screen_reports.ranking import quoted_excerpt
    from screen_reports.text import score

    terminal = Terminal()
    trait = scan.traits[0]
    excerpts = queries.windows(scan, trait, [f["row"] for f in found])
    terminal.put(f"rows whose traits are most like those of row {row}")
    terminal.put()
    heads: list[Head] = [
        ("row", "right"),
        ("distance", "right"),
        *((t, "right") for t in scan.traits),
        ("answer", "fill"),
    ]
    rows: list[Any] = []
    for f in found:
        scores = [score(f["scores"][t], 2) if f["scores"][t] is not None else "-" for t in scan.traits]
        excerpt = excerpts.get((f["row"], f["variant"]), queries.Excerpt("", False))
        rows.append([str(f["row"]), f"{f['distance']:.2f}", *scores, quoted_excerpt(terminal, excerpt)])
    terminal.table(heads, rows)


def _print_copies(groups: list[dict[str, Any]], count: int) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import one_line, plural

    terminal = Terminal()
    rows = sum(len(g["rows"]) for g in groups)
    terminal.put(f"{plural(len(groups), 'group')} of near-duplicate answers, {plural(rows, 'row')} in all")
    for group in groups[:count]:
        flags = ", ".join(f"{n} flagged {t}" for t, n in group["flagged"].items()) or "none flagged"
        shown = 6 if terminal.cutting else len(group["rows"])
        some = ", ".join(map(str, group["rows"][:shown])) + (", ..." if len(group["rows"]) > shown else "")
        terminal.put()
        terminal.put(f"{plural(len(group['rows']), 'row')} ({flags}): {some}", style="bold")
        terminal.put(f"  {terminal.cut(one_line(group['text']), max(20, terminal.width - 2))}")
    if len(groups) > count:
        terminal.put()
        terminal.put(f"and {len(groups) - count} more: -n {len(groups)}, or --json")
