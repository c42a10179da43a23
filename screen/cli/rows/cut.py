"""`screen cut`: what is lost, and what is left, when rows above a score are dropped."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import print_json

if TYPE_CHECKING:
    from screen_reports.console import Terminal

    from screen.analysis.curve import CutCurve

_EPILOG = """\b
Examples:
  screen cut chats.screen --by evil
  screen cut chats.screen --by evil --json > curve.json
"""


@click.command("cut", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", metavar="TRAIT", help="The trait.  [default: the first]")
@click.option("--json", "as_json", is_flag=True, help="The whole curve, as one JSON object.")
def command(run: Path, by: str | None, as_json: bool) -> None:
    """Show what dropping the rows of RUN above a score would cost, and what mean it would leave.

    Rows go whole, from the highest score down. A threshold is suggested where the verdict is to review: the highest
    after which the mean of what is left is no more than that of clean rows (docs/cut.md).
    """
    from screen_reports.console import Terminal

    from screen.analysis.curve import curve
    from screen.cli.opened import open_run
    from screen.select.precision import all_sentences, as_object, precision

    scan = open_run(run)
    found = curve(scan, by or scan.traits[0])
    labelled = precision(scan, found.trait)
    if as_json:
        print_json({**dataclasses.asdict(found), "precision": as_object(labelled)})
    else:
        _print(Terminal(), found, run, all_sentences([labelled]))


def _print(terminal: Terminal, curve: CutCurve, run: Path, said: list[str]) -> None:
    from screen_reports import cuts
    from screen_reports.text import plural

    clean = "" if curve.reference_mean is None else f"; clean rows' mean is {curve.reference_mean:.2f}"
    terminal.put(f"{plural(curve.rows, 'row')} by {curve.trait}{clean}")
    terminal.put()
    terminal.table([*((name, "right") for name in cuts.NAMES), ("", "left")], cuts.lines(curve))
    terminal.put()
    for sentence in said:
        terminal.put(sentence)
    if curve.suggested is None:
        terminal.put(curve.reason)
        return
    terminal.put(f"suggested: drop above {curve.suggested.threshold:g}: {curve.reason}")
    terminal.put()
    terminal.put("next:", style="bold")
    terminal.print(f"  {cuts.command(curve, shlex.quote(str(run)))}", soft_wrap=True, markup=False)
