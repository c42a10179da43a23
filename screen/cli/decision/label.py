"""`screen label`: what people say of rows."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from screen.cli.output import one_format, print_json
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen.store.labels.record import Label
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen label chats.screen 17 drop --note 'threatens the user'
  screen label chats.screen 38 25 chat-0014 keep
  screen label chats.screen --from labels.jsonl
  screen label chats.screen --list --csv > labels.csv
"""
_WORDS = ("keep", "drop", "unsure")
_HOW = "screen label RUN ROW drop; or --from FILE, --list"
_SHOWN = 10  # rows that are named when they were labelled


class Said(NamedTuple):
    """What a call wrote: labels, and rows of a file that have none yet."""

    labels: list[Label]
    empty: int


@click.command("label", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, metavar="[ROW|ID]... [keep|drop|unsure]")
@click.option("--note", metavar="TEXT", help="Why, in a sentence.")
@click.option("--trait", metavar="T", help="What the label is about.  [default: the whole row, whatever the trait]")
@click.option("--from", "file", metavar="FILE", help="Labels of a file: JSON lines or CSV with row or id, label, note.")
@click.option("--remove", is_flag=True, help="Take the labels of these rows back.")
@click.option("--id", "by_id", is_flag=True, help="They are ids, even if they are all digits.")
@click.option("--list", "listing", is_flag=True, help="Print the labels that count.")
@click.option("--json", "as_json", is_flag=True, help="What was done, the counts and, with --list, the labels as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="With --list: CSV with a header, which --from reads.")
def command(
    run: Path, words: tuple[str, ...], note: str | None, trait: str | None, file: str | None, remove: bool,
    by_id: bool, listing: bool, as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """Say of rows of RUN that they are to be kept or dropped; without rows, count the labels.

    Labels stay in the run's folder and the last one counts; scores never depend on them. They feed precision at
    the cut and `filter --labels` (docs/labels.md). `screen sample` says which rows to look at.
    """
    one_format(as_json, as_csv)
    if as_csv and not listing:
        raise UsageError("--csv goes with --list", "screen label RUN --list --csv > labels.csv")
    if (file is not None) and (words or remove or note):
        raise UsageError("--from takes rows, labels and notes from its file", _HOW)
    from screen.cli.opened import open_run

    scan = open_run(run)
    said = _from_file(scan, file, trait) if file is not None else _said(scan, words, note, trait, remove, by_id)
    if as_json:
        print_json(_as_object(scan, run, said, listing))
    elif listing:
        _list(scan, as_csv)
    else:
        _print(scan, said)


def _said(scan: Scan, words: tuple[str, ...], note: str | None, trait: str | None, remove: bool, by_id: bool) -> Said:
    from screen.select.labels import add, named

    rows, label = (words, None) if remove else (words[:-1], words[-1].lower() if words else None)
    if not words and (remove or note or trait):
        raise UsageError("no rows were named", _HOW)
    if words and not remove and label not in _WORDS:
        raise UsageError(f"{words[-1]!a} is no label", f"the label comes last, one of {', '.join(_WORDS)}: {_HOW}")
    if words and not rows:
        raise UsageError(f"no row to label {label}", _HOW)
    return Said(add(scan, [named(row, by_id, label, note, trait) for row in rows]), 0)


def _from_file(scan: Scan, file: str, trait: str | None) -> Said:
    from screen.select.labels import add, from_file

    given, empty = from_file(file, trait)
    return Said(add(scan, given), empty)


def _as_object(scan: Scan, run: Path, said: Said, listing: bool) -> dict[str, object]:
    from screen.select.labels import counts
    from screen.select.precision import as_object, precision

    labels = [asdict(label) for label in scan.labels.listed()] if listing else None
    return {
        "run": str(run),
        "written": [asdict(label) for label in said.labels],
        "empty": said.empty,
        "rows": counts(scan),
        "precision": [as_object(precision(scan, trait)) for trait in scan.traits],
        "labels": labels,
    }


def _list(scan: Scan, as_csv: bool) -> None:
    from screen_reports.console import Terminal
    from screen_reports.ranking import write_csv_table

    from screen.store.labels.file import COLUMNS

    labels = scan.labels.listed()
    if as_csv:
        write_csv_table(sys.stdout, list(COLUMNS), (list(asdict(label).values()) for label in labels))
        return
    cells = [[str(label.row), label.label or "", label.trait or "", label.note or ""] for label in labels]
    Terminal().table([("row", "right"), ("label", "left"), ("trait", "left"), ("note", "fill")], cells)


def _print(scan: Scan, said: Said) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import plural

    from screen.select.labels import counts
    from screen.select.precision import all_sentences, precision

    terminal = Terminal()
    for label in said.labels[:_SHOWN]:
        of = f" for {label.trait}" if label.trait is not None else ""
        terminal.put(f"row {label.row:,}{of}: {label.label or 'label taken back'}")
    if len(said.labels) > _SHOWN:
        terminal.put(f"and {plural(len(said.labels) - _SHOWN, 'row')} more")
    if said.empty:
        terminal.put(f"{plural(said.empty, 'row')} of the file without a label: left as they are")
    found = counts(scan)
    total = sum(found.values())
    listed = ", ".join(f"{n:,} {word}" for word, n in found.items())
    terminal.put(f"{plural(total, 'row')} labelled: {listed}" if total else "no row is labelled")
    for sentence in all_sentences([precision(scan, trait) for trait in scan.traits]):
        terminal.put(sentence)
