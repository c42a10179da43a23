"""`screen sample`: rows to label that tell most."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import one_format, print_json
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen_reports.console import Terminal

    from screen.select.sampling import DrawnRow, RowsToLabel
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen sample chats.screen -n 40 --by evil -o to-label.jsonl
  screen sample chats.screen -n 20 --by evil --cut 4.3 --seed 1
"""


@click.command("sample", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "count", type=click.IntRange(1, 100_000), default=40, show_default=True, help="How many rows.")
@click.option("--by", metavar="TRAIT", help="The trait.  [default: the first]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other rows.")
@click.option("--cut", type=float, metavar="SCORE", help="Draw around this score.  [default: the run's threshold]")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the rows as JSON lines, to be filled in.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="The strata and the rows, as one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="The rows, as CSV with a header.")
def command(
    run: Path, count: int, by: str | None, seed: int, cut: float | None, out: Path | None, force: bool,
    as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """Draw rows of RUN at random to be labelled, from above and below the cut, so that labels tell how good it is.

    The draw is kept in the run's folder. The same command gives the rows that still wait for a label, then new
    ones; a labelled row is never asked for again. Labels of drawn rows give the precision at the cut with an
    interval: `screen label RUN` (docs/labels.md).
    """
    one_format(as_json, as_csv)
    if cut is not None and not math.isfinite(cut):
        raise UsageError(f"--cut is a number, not {cut}", "give a score: --cut 4.3")
    if out is not None:
        _check_out(out, force)
    from screen.cli.opened import open_run
    from screen.select.sampling import draw, first_trait, with_texts

    scan = open_run(run)
    found = draw(scan, by or first_trait(scan), count, seed, cut)
    entries = _entries(found, with_texts(scan, found))
    if out is not None:
        _write(out, entries)
    if as_json:
        print_json({"run": str(run), **asdict(found), "rows": entries, "out": None if out is None else str(out)})
    elif as_csv:
        from screen_reports.ranking import write_csv

        write_csv(sys.stdout, entries)
    else:
        _print(scan, run, found, out)


def _entries(found: RowsToLabel, rows: Sequence[DrawnRow]) -> list[dict[str, object]]:
    """The rows as `label --from` reads them, with empty labels."""
    return [
        {"row": r.row, "id": r.id, "trait": found.trait, "label": "", "note": "", "prompt": r.prompt,
         "answer": r.answer, "stratum": r.stratum, "probability": r.probability, "score": r.score}
        for r in rows
    ]  # fmt: skip


def _check_out(out: Path, force: bool) -> None:
    if out.is_dir():
        raise UsageError(f"{out}: is a folder", "choose another name")
    if out.exists() and not force:
        raise UsageError(f"{out} exists already", "choose another name, or add --force to replace it")
    if not out.parent.is_dir():
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}", "choose another name")


def _write(out: Path, entries: Sequence[dict[str, object]]) -> None:
    from screen.disk import new_file, writing
    from screen.jsonl import dump

    with writing(out, "choose a folder that exists, with room"), new_file(out) as scratch:
        scratch.write_text("".join(f"{dump(entry)}\n" for entry in entries), encoding="ascii")


def _print(scan: Scan, run: Path, found: RowsToLabel, out: Path | None) -> None:
    from screen_reports.console import Head, Terminal
    from screen_reports.text import plural

    terminal = Terminal()
    if not found.rows:
        terminal.put(f"nothing is left to label for {found.trait}: every row with a score has a label")
        return
    terminal.put(f"{plural(len(found.rows), 'row')} to label for {found.trait}, drawn around {found.cut:+.4g}")
    if found.unscored:
        terminal.put(f"{plural(found.unscored, 'row')} without a score of {found.trait}: never drawn", style="dim")
    terminal.put()
    heads: list[Head] = [("stratum", "left"), *((n, "right") for n in ("rows", "drawn", "labelled", "probability"))]
    cells = [[s.name, f"{s.rows:,}", f"{s.drawn:,}", f"{s.labelled:,}", f"{s.probability:.4g}"] for s in found.strata]
    terminal.table(heads, cells)
    terminal.put()
    terminal.table([("row", "right"), ("stratum", "left"), ("answer", "fill")], _answers(scan, found))
    _print_next(terminal, run, found, out)


def _answers(scan: Scan, found: RowsToLabel) -> list[Sequence[str]]:
    from screen_reports.queries import windows

    texts = windows(scan, found.trait, list(found.rows))
    by_row = {row: excerpt.text for (row, _), excerpt in texts.items()}
    return [[str(row), stratum, by_row.get(row, "")] for row, (_, stratum) in found.rows.items()]


def _print_next(terminal: Terminal, run: Path, found: RowsToLabel, out: Path | None) -> None:
    folder = shlex.quote(str(run))
    first = next(iter(found.rows))
    lines = [f"screen show {folder} {first}", f"screen label {folder} {first} drop"]
    if out is not None:
        terminal.put()
        terminal.put(f"written to {out}: fill in `label` with keep, drop or unsure")
        lines = [f"screen label {folder} --from {shlex.quote(str(out))}"]
    terminal.put()
    terminal.put("next:", style="bold")
    for line in lines:
        terminal.print(f"  {line}", soft_wrap=True, markup=False)
