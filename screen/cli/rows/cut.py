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

    from screen.analysis.curve import CutCurve, CutPoint
    from screen.experiment.cuts import MeasuredCuts
    from screen.foreign import JsonObject
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen cut chats.screen --by evil
  screen cut chats.screen --by evil --json > curve.json
  screen cut chats.screen --by evil --measured
"""
_BESIDE = "RUN.validation"


@click.command("cut", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", metavar="TRAIT", help="The trait.  [default: the first]")
@click.option(
    "--measured",
    is_flag=False,
    flag_value=_BESIDE,
    metavar="[FOLDER]",
    type=click.Path(path_type=Path),
    help="Beside it what `screen validate` measured of cuts.  [FOLDER: RUN.validation]",
)
@click.option("--json", "as_json", is_flag=True, help="The whole curve, as one JSON object.")
def command(run: Path, by: str | None, measured: Path | None, as_json: bool) -> None:
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
    points = None if measured is None else _measured(scan, run, measured, found.trait)
    if as_json:
        told = None if points is None else _as_object(*points)
        print_json({**dataclasses.asdict(found), "precision": as_object(labelled), "measured": told})
    else:
        _print(Terminal(), found, run, all_sentences([labelled]), points)


def _measured(scan: Scan, run: Path, folder: Path, trait: str) -> tuple[MeasuredCuts, list[CutPoint]]:
    """What was measured of the trait's cuts, and where that stands on the curve."""
    from screen.analysis.curve import points_at
    from screen.experiment.results import FOLDER, cuts_of

    cuts = cuts_of(scan, run.with_suffix(FOLDER) if str(folder) == _BESIDE else folder, trait)
    return cuts, points_at(scan, trait, [point.above for point in cuts.points])


def _as_object(cuts: MeasuredCuts, points: list[CutPoint]) -> JsonObject:
    told = dataclasses.asdict(cuts)
    for measured, point in zip(told["points"], points, strict=True):
        measured["dropped"] = point.rows
        measured["mean"] = point.mean
    return told


def _print(
    terminal: Terminal, curve: CutCurve, run: Path, said: list[str],
    measured: tuple[MeasuredCuts, list[CutPoint]] | None,
) -> None:  # fmt: skip
    from screen_reports import cuts
    from screen_reports.text import plural
    from screen_reports.training.study import cuts_said

    clean = "" if curve.reference_mean is None else f"; clean rows' mean is {curve.reference_mean:.2f}"
    terminal.put(f"{plural(curve.rows, 'row')} by {curve.trait}{clean}")
    terminal.put()
    if measured is None:
        terminal.table([*((name, "right") for name in cuts.NAMES), ("", "left")], cuts.lines(curve))
    else:
        terminal.table([*((name, "right") for name in cuts.MEASURED), ("", "left")], cuts.measured(curve, *measured))
        said = [cuts.LEGEND, *cuts_said(measured[0]), *said]
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
