"""`screen show`: one row of a run."""

from __future__ import annotations

from pathlib import Path

import click

from screen.cli.output import print_json
from screen.errors import UsageError, near

_EPILOG = """\b
Examples:
  screen show chats.screen 17
  screen show chats.screen chat-0017
  screen show chats.screen 17 --by sycophancy --full
  screen show chats.screen 17 --json
"""


@click.command("show", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("row", metavar="ROW|ID")
@click.option("--id", "by_id", is_flag=True, help="It is an id, even if it is all digits.")
@click.option("--by", metavar="TRAIT", help="Mark this trait's window.  [default: the trait that stands out]")
@click.option("--full", is_flag=True, help="All turns, and texts to their end.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(run: Path, row: str, by_id: bool, by: str | None, full: bool, as_json: bool) -> None:
    """Show one row of RUN: scores, prompt, answer, the baseline response (its baseline response).

    ROW is its number (from 0, as `rank` prints it), ID the dataset's own id.

    The 32 tokens of the answer that lie furthest along the trait are marked. A row that was skipped says why.
    """
    from screen_reports import rows

    from screen.cli.opened import open_run
    from screen.select.named import number_of

    scan = open_run(run)
    if by is not None and by not in scan.traits:
        raise UsageError(f"there is no trait {by!a} in {near(scan.path)}", f"its traits are {', '.join(scan.traits)}")
    found = rows.find(scan, number_of(scan, row, by_id))
    if as_json:
        print_json(rows.as_object(found))
        return
    from screen_reports.console import Terminal
    from screen_reports.page import print_row

    print_row(Terminal(), found, by, full)
