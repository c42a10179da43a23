"""`screen export`: hand a run over, as a cleaned file, weights, a bundle to sign, or a folder for a hub."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.handover import KINDS

if TYPE_CHECKING:
    from screen.handover.options import Handover

_EPILOG = """\b
  clean        the dataset without the rows that match, and why they went
  weights      a weight a row: 1, or --weight where it matches; .parquet, .jsonl
  inoculation  rows that match get a system prompt that asks for the trait, so
               that it is not learned unasked; other rows byte for byte
  audit        a folder with every row, kept, dropped or skipped, reasons, the
               report, and digests of all of it: screen verify checks it
  hub          a folder to push to a hub: the kept rows and a dataset card
What trainers make of each, and what a check proves: docs/export.md.

\b
Examples:
  screen export chats.screen --as clean --drop 'evil > 6.3'
  screen export chats.screen --as weights --weight 0.1 -o weights.parquet
  screen export chats.screen --as audit --signed-by 'A. Reviewer' -o chats.audit
"""


@click.command("export", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--as", "kind", type=click.Choice(KINDS), required=True, help="What to hand over.")
@click.option("-o", "--out", type=click.Path(path_type=Path),
              help="The new file or folder.  [default: beside RUN, as chats.clean.jsonl]")  # fmt: skip
@click.option("--drop", metavar="EXPR", help="The rows that go, as for filter.  [default: flagged]")
@click.option("--labels", is_flag=True, help="Labels go before EXPR, as for filter; without --drop, they alone.")
@click.option("--unsure", type=click.Choice(["keep", "drop"]), help="With --labels: rows labelled unsure.")
@click.option("--drop-skipped/--keep-skipped", default=None,
              help="Rows that could not be scored.  [default: keep; audit has them apart]")  # fmt: skip
@click.option("--rest", type=click.Choice(["keep", "drop"]), help="Rows that the run did not reach (--limit).")
@click.option("--dataset", multiple=True, metavar="PATH", help="Where the dataset is now, if it was moved.")
@click.option("--weight", type=float, help="weights: of a row that matches, 0 to 1.  [default: 0]")
@click.option("--inline", is_flag=True, help="weights: a copy of the JSONL with a last field `weight` in each row.")
@click.option("--prompt", metavar="TEXT", help="inoculation: the system prompt.  [default: of the traits that flag]")
@click.option("--trait", metavar="NAME|FILE", help="inoculation: the trait whose instruction is the prompt.")
@click.option("--signed-by", metavar="NAME", help="audit: who answers for the decision, in your words.")
@click.option("--report/--no-report", default=None, help="audit: with the run's report.html.  [default: with it]")
@click.option("--force", is_flag=True, help="Replace what an export wrote before. Never the input.")
@click.option("--dry-run", is_flag=True, help="Count; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(run: Path, kind: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Hand RUN over: write its dataset as somebody else needs it.

    Rows are copied byte for byte, and the dataset must be the one that was scored. Nothing is uploaded.
    """
    from screen.cli.opened import open_run
    from screen.handover.export import export
    from screen.handover.options import ExportOptions
    from screen.handover.places import default_place

    scan, wanted = open_run(run), ExportOptions(**options)
    found = export(scan, kind, out or default_place(scan, kind, wanted.inline), wanted)
    for note in found.notes:
        say(f"note: {note}")
    if as_json:
        print_json({"run": str(run), **asdict(found)})
    else:
        _print(found)


def _print(found: Handover) -> None:
    from screen_reports.text import count, one_line, plural

    lines = [f"{plural(found.rows, 'row')}: {count(found.kept)} kept, {count(found.dropped)} dropped ({found.rule})"]
    if found.kind == "inoculation":
        done = "" if found.inoculated is None else f", {count(found.inoculated)} given a system prompt"
        lines = [f"{plural(found.rows, 'row')}: {count(found.matching)} match ({found.rule}){done}"]
    if found.by_label:
        lines.append(f"labels change what becomes of {plural(found.by_label, 'row')}")
    if found.skipped:
        apart = "apart, in skipped/" if found.skipped_are == "apart" else found.skipped_are
        lines.append(f"{plural(found.skipped, 'row')} that could not be scored: {apart}")
    if found.not_reached:
        lines.append(f"{plural(found.not_reached, 'row')} that the run did not reach")
    lines.append(f"written to {found.out}" if found.files else "nothing was written (--dry-run)")
    lines += [f"  {name}" for name in found.files if name != found.out]
    if found.seal:
        lines += [
            f"seal {found.seal}",
            "note the seal down elsewhere: screen verify --seal tells any later change",
        ]
    sys.stdout.write("".join(("  " if line[:1] == " " else "") + one_line(line) + "\n" for line in lines))
