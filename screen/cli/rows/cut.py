"""`screen cut`: what is lost, and what is left, when rows above a score are dropped."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import print_json
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen_reports.console import Terminal

    from screen.analysis.curve import CutCurve, CutPoint, Refused
    from screen.analysis.like_length import LikeLength
    from screen.experiment.cuts import MeasuredCuts
    from screen.foreign import JsonObject
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen cut chats.screen --by evil
  screen cut chats.screen --by evil --measured
  screen cut chats.screen --by evil --match length --clean good.screen
  screen cut chats.screen --by evil --refused without
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
@click.option("--match", type=click.Choice(["length"]), help="Compare rows with rows of like length instead.")
@click.option(
    "--clean",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="With --match: a run of clean rows to compare with.  [default: the run's own rows]",
)
@click.option("--refused", type=click.Choice(["only", "without"]), help="Rows whose prompt the base model refused.")
@click.option("--json", "as_json", is_flag=True, help="The whole curve, as one JSON object.")
def command(
    run: Path, by: str | None, measured: Path | None, match: str | None, clean: Path | None,
    refused: Refused | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what dropping the rows of RUN above a score would cost, and what mean it would leave.

    Rows go whole, from the highest score down. A threshold is suggested where the verdict is to review: the highest
    after which the mean of what is left is no more than that of clean rows (docs/cut.md).
    """
    from screen_reports import cuts
    from screen_reports.console import Terminal

    from screen.analysis.curve import curve, refused_apart, samples
    from screen.cli.opened import open_run
    from screen.select.precision import all_sentences, as_object, precision

    _one_view(measured, match, clean, refused)
    scan = open_run(run)
    trait = by or scan.traits[0]
    found = curve(scan, trait, refused=refused)
    labelled = precision(scan, trait)
    points = None if measured is None else _measured(scan, run, measured, trait)
    apart = refused_apart(samples(scan, [trait]), scan.folder.score_column(trait))
    like = None if match is None else _like_length(scan, trait, clean)
    if as_json:
        told = {
            "precision": as_object(labelled),
            "measured": None if points is None else _as_object(*points),
            "refused": dataclasses.asdict(apart),
            "like_length": None if like is None else dataclasses.asdict(like),
        }
        print_json({**dataclasses.asdict(found), **told})
    elif like is not None:
        _print_lengths(Terminal(), like, run)
    else:
        said = [*cuts.apart_said(trait, apart), *all_sentences([labelled])]
        _print(Terminal(), found, run, said, points, refused)


def _one_view(measured: Path | None, match: str | None, clean: Path | None, refused: str | None) -> None:
    asked = [name for name, value in (("--measured", measured), ("--match", match), ("--refused", refused)) if value]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} show different things", "ask for one after the other")
    if clean is not None and match is None:
        raise UsageError("--clean says what --match length compares with", "give --match length as well")


def _like_length(scan: Scan, trait: str, clean: Path | None) -> LikeLength:
    from screen.analysis.like_length import like_length
    from screen.cli.opened import open_run

    return like_length(scan, trait, None if clean is None else open_run(clean))


def _print_lengths(terminal: Terminal, found: LikeLength, run: Path) -> None:
    from screen_reports import cuts

    terminal.table([(name, "right") for name in cuts.LIKE_LENGTH], cuts.by_length(found))
    terminal.put()
    terminal.put(found.sentence)
    if not found.above:
        return
    terminal.put()
    terminal.put("next:", style="bold")
    drop = shlex.quote(found.expression)
    following = f"screen filter {shlex.quote(str(run))} --drop {drop} -o clean.jsonl"
    terminal.print(f"  {following}", soft_wrap=True, markup=False)


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
    measured: tuple[MeasuredCuts, list[CutPoint]] | None, refused: Refused | None,
) -> None:  # fmt: skip
    from screen_reports import cuts
    from screen_reports.text import plural
    from screen_reports.training.study import cuts_said

    clean = "" if curve.reference_mean is None else f"; clean rows' mean is {curve.reference_mean:.2f}"
    which = {None: "", "only": " that the base model refused", "without": " that the base model did not refuse"}
    terminal.put(f"{plural(curve.rows, 'row')}{which[refused]} by {curve.trait}{clean}")
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
