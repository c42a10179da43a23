"""`screen explain`: a row's answer, token by token."""

from __future__ import annotations

from pathlib import Path

import click

from screen.cli.output import print_json
from screen.errors import UsageError, near

_EPILOG = """\b
Examples:
  screen explain chats.screen 17
  screen explain chats.screen 17 --by sycophancy
  screen explain chats.screen 17 --json
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("row", metavar="ROW|ID")
@click.option("--id", "by_id", is_flag=True, help="It is an id, even if it is all digits.")
@click.option("--by", metavar="TRAIT", help="Colour by this trait.  [default: the trait that stands out]")
@click.option("--json", "as_json", is_flag=True, help="Tokens with their places and projections as JSON.")
def command(run: Path, row: str, by_id: bool, by: str | None, as_json: bool) -> None:
    """Show how far each token of ROW's answer lies along a trait. Runs the model once more, on this row.

    Red tokens lie further along the trait than the baseline response does, blue ones less far; the furthest tenth
    all have the full colour. Without colours the highest window is marked. Above stands which two tokens carry how much
    of the score; the top three windows of 32 tokens follow.
    """
    from screen_reports import rows

    from screen.cli.opened import open_run
    from screen.select.named import number_of

    scan = open_run(run)
    if by is not None and by not in scan.traits:
        raise UsageError(f"there is no trait {by!a} in {near(scan.path)}", f"its traits are {', '.join(scan.traits)}")
    found = rows.find(scan, number_of(scan, row, by_id))
    if found.skipped is not None:
        raise UsageError(f"row {found.row} was not scored: {found.skipped['message']}", "give a row that has a score")
    from screen.analysis.explain import explain
    from screen.analysis.rescore import reopen

    turns = explain(reopen(scan), found.row)
    if as_json:
        print_json({"row": found.row, "turns": turns})
        return
    from screen_reports.console import Terminal
    from screen_reports.tokens import print_tokens

    print_tokens(Terminal(), found, turns, by or rows.leading(found))
