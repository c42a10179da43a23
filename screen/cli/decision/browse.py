"""`screen browse`: a run, row by row, in the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from screen.cli.output import print_json
from screen.errors import UsageError

_EPILOG = """\b
Examples:
  screen browse chats.screen
  screen browse chats.screen --by sycophancy
"""


@click.command("browse", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", metavar="TRAIT", help="The trait to sort by.  [default: the first]")
@click.option("--json", "as_json", is_flag=True, help="Print what would be shown, in numbers, and open nothing.")
def command(run: Path, by: str | None, as_json: bool) -> None:
    """Look through the rows of RUN by keyboard: sort, narrow, open, label; ? lists the keys.

    A row opens with its highest window marked and the model's own response beside it. Needs the extra [browse];
    works over ssh, and on a run that is still going on.
    """
    from screen_reports.browse.listing import Listing

    from screen.cli.opened import open_run

    scan = open_run(run)
    if by is not None and by not in scan.traits:
        raise UsageError(f"the run has no trait {by!a}", f"its traits are {', '.join(scan.traits)}")
    if as_json:
        listing = Listing(scan, by)
        print_json({
            "run": str(run),
            "rows": len(listing),
            "skipped": listing.skipped,
            "flagged": {trait: int(flags.sum()) for trait, flags in listing.flagged.items()},
            "labelled": len(listing.record.current),
            "read_only": not os.access(scan.path, os.W_OK),
        })  # fmt: skip
        return
    try:
        from screen_reports.browse.app import Browser
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "textual":
            raise
        raise UsageError(
            "the viewer needs Textual, which is not installed", "pip install 'persona-screen[browse]'"
        ) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "browse needs a terminal", "list rows with `screen rank RUN`, read one with `screen show RUN ROW`"
        )
    Browser(scan, by).run()
