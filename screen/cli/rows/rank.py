"""`screen rank`: the rows of a run by score."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import one_format, print_json_lines

if TYPE_CHECKING:
    from screen.analysis.curve import Refused
    from screen.library.notebook.rows import Rows
    from screen.scoring.findings.flags import Threshold
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen rank chats.screen --by evil
  screen rank chats.screen --by sycophancy --flagged --at p95
  screen rank chats.screen --by evil --refused without
  screen rank chats.screen --by evil -n 1000 --csv > evil.csv
"""
_WHICH = {None: "", "only": ", of what the base model refused", "without": ", of what the base model did not refuse"}


@click.command("rank", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", metavar="COLUMN", help="A trait, or any column of `samples`.  [default: the first trait]")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many rows.")
@click.option("--ascending", is_flag=True, help="Lowest scores first.")
@click.option("--at", metavar="pNN", help="Flag above this percentile of the card's reference.")
@click.option("--flagged", is_flag=True, help="Only rows above the threshold.")
@click.option("--refused", type=click.Choice(["only", "without"]), help="Rows whose prompt the base model refused.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header.")
def command(
    run: Path, by: str | None, count: int, ascending: bool, at: str | None, flagged: bool, refused: Refused | None,
    as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """List the rows of RUN, highest score first, each with the text that scores highest.

    A row marked * is flagged: its score is above the threshold of the trait.
    """
    one_format(as_json, as_csv)
    from screen_reports import ranking

    from screen.cli.opened import open_run
    from screen.library.notebook.rows import ranked

    scan = open_run(run)
    found = ranked(scan, by, count, ascending=ascending, flagged=flagged, at=at, refused=refused)
    objects = ranking.as_objects(found.rows, found.column)
    if as_json:
        print_json_lines(objects)
    elif as_csv:
        ranking.write_csv(sys.stdout, objects)
    elif not found and flagged and found.threshold is not None:
        _print_none(scan, found.threshold)
    else:
        _print(scan, found, "lowest" if ascending else "highest", refused)


def _print_none(scan: Scan, limit: Threshold) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import plural
    from screen_reports.text import score as shown

    total = sum(entry.scored for entry in scan.folder.published.values())
    Terminal().put(f"none of {plural(total, 'sample')} is flagged: above {shown(limit.value)}, {limit.rule}")


def _print(scan: Scan, rows: Rows, which: str, refused: Refused | None) -> None:
    from screen_reports.console import Terminal
    from screen_reports.drawings.of_run import print_distribution
    from screen_reports.ranking import print_ranking
    from screen_reports.text import plural
    from screen_reports.text import score as shown

    terminal, limit = Terminal(), rows.threshold
    total = sum(entry.scored for entry in scan.folder.published.values())
    if not rows:
        terminal.put(f"no row of {plural(total, 'sample')} has such a score by {rows.column}{_WHICH[refused]}")
        return
    terminal.put(f"{which} {len(rows):,} of {plural(total, 'sample')} by {rows.column}{_WHICH[refused]}")
    if limit is not None and limit.value is not None:
        terminal.put(f"* flagged: above {shown(limit.value)}, {limit.rule}", style="dim")
    if any(row.sign < 0 for row in rows):
        rule = "never flagged" if rows.away is None else f"flagged below {shown(rows.away)}"
        terminal.put(f"sign -: trained away from, so that low scores add to the trait; {rule}", style="dim")
    if limit is not None:
        print_distribution(terminal, scan, rows.column, limit.value)
    terminal.put()
    print_ranking(terminal, rows, rows.column)
