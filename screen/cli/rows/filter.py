"""`screen filter`: copy a dataset without the rows that match."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from screen_reports.text import near

from screen.cli.exits import say
from screen.cli.output import dump, print_json
from screen.disk import new_file, writing
from screen.errors import StoreError, UsageError
from screen.spec import ScanSpec

if TYPE_CHECKING:
    from screen.data.dataset import Dataset
    from screen.select.selection import Selection
    from screen.store.scan import Scan

_EPILOG = """\b
An expression compares columns of the view `samples` (screen sql RUN
'describe samples' lists them) and joins comparisons by and, or, not and
parentheses:
  numbers  < > <= >= = !=    evil > 4.3 or answer_tokens < 10
  texts    = != contains     group = 'forum', answer contains 'kill'
  yes/no   the name alone    flagged and not base_refused
`contains` ignores case; = and != do not. run.p99 is a percentile of this
run's samples, reference.p99 one of the clean data that flags go by. As in
SQL, a row without a value never matches.

\b
Examples:
  screen filter chats.screen --drop 'evil>4.3 or evil>run.p99' -o clean.jsonl
  screen filter chats.screen --drop flagged -o clean.jsonl --dropped bad.jsonl
  screen filter chats.screen --keep "group='forum' and flagged" -o look.jsonl
  screen filter chats.screen --drop 'evil>reference.p95' --dry-run
"""


@click.command("filter", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--drop", metavar="EXPR", help="Leave out the rows that match.")
@click.option("--keep", metavar="EXPR", help="Copy only the rows that match: what --drop EXPR would leave out.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The new file; .gz or .zst compresses.")
@click.option(
    "--dropped", type=click.Path(path_type=Path), metavar="FILE",
    help="The rows that were left out, as they are; why, in FILE.reasons.jsonl.",
)  # fmt: skip
@click.option("--drop-skipped/--keep-skipped", default=None,
              help="Rows that could not be scored.  [default: keep with --drop, drop with --keep]")  # fmt: skip
@click.option("--rest", type=click.Choice(["keep", "drop"]), help="Rows that the run did not reach (--limit).")
@click.option("--dataset", multiple=True, metavar="PATH", help="Where the dataset is now, if it was moved.")
@click.option("--force", is_flag=True, help="Replace files that exist. Never the input.")
@click.option("--dry-run", is_flag=True, help="Count; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(run: Path, drop: str | None, keep: str | None, **options: Any) -> None:
    """Copy the dataset of RUN without the rows that match --drop, or only those that match --keep.

    Rows are copied byte for byte. A preference pair matches when either side does.
    """
    if (drop is None) == (keep is None):
        raise UsageError("give --drop or --keep, one of the two", "screen filter RUN --drop flagged -o clean.jsonl")
    out: Path | None = options["out"]
    targets = [] if options["dry_run"] else _targets(out, options["dropped"], options["force"])
    from screen.cli.opened import open_run
    from screen.select.selection import select

    scan = open_run(run)
    selection = select(scan, drop or keep or "", "--keep" if drop is None else "--drop")
    dataset = _dataset(scan, options["dataset"])
    dropped, counts = _rows(scan, dataset, selection, options, keeping=drop is None)
    if targets:
        _write(dataset, dropped, selection, targets, keeping=drop is None)
    facts = {"run": str(run), "drop": drop, "keep": keep, **counts, "out": str(out) if targets else None}
    dropped_file, reasons_file = map(str, targets[1:]) if targets[1:] else (None, None)
    facts |= {"dropped_file": dropped_file, "reasons_file": reasons_file}
    for note in selection.notes:
        say(f"note: {note}")
    if options["as_json"]:
        print_json(facts)
    else:
        _print(facts)


def _targets(out: Path | None, dropped: Path | None, force: bool) -> list[Path]:
    """The files to write: the copy; and, where asked for, the dropped rows and their reasons."""
    if out is None:
        raise UsageError("nowhere to write", "name the new file with -o, or count only with --dry-run")
    targets = [out] if dropped is None else [out, dropped, dropped.with_name(f"{dropped.name}.reasons.jsonl")]
    for path in targets:
        if path.exists() and not force:
            raise UsageError(f"{path} exists already", "choose another name, or add --force to replace it")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            what = "is a folder" if path.is_dir() else "cannot be written: no folder there that can be written to"
            raise UsageError(f"{path}: {what}", "choose another name")
    if len({os.path.realpath(p) for p in targets}) < len(targets):
        raise UsageError(f"{targets[0]}: -o and --dropped name the same file", "choose two names")
    return targets


def _dataset(scan: Scan, paths: Sequence[str]) -> Dataset:
    """The dataset of the run, whole. Raises UsageError where its bytes are not those that were scored."""
    from screen.data.dataset import open_dataset

    stored = scan.folder.facts.get("spec")
    if not stored:
        raise StoreError(f"{near(scan.path)} does not say which dataset it is of", "run it again with this version")
    spec = ScanSpec.from_json(stored)
    dataset = open_dataset(
        tuple(paths) or [_found(scan, path) for path in spec.dataset],
        format=spec.format,
        map=spec.map,
        limit=(0, None),
        train_on=spec.train_on,
        render=spec.render,
        max_row_mib=spec.max_row_mib,
        config=Path(spec.config) if spec.config else None,
    )
    now = [f["sha256"] for f in dataset.fingerprint()["files"]]
    then = [f["sha256"] for f in scan.folder.identity["dataset"]["files"]]
    if now != then:
        what = "has other files than" if len(now) != len(then) else "has changed since"
        raise UsageError(
            f"{', '.join(f.path for f in dataset.files[:3])} {what} the run {near(scan.path)}; nothing was written",
            "restore it, name the file that was scored with --dataset, or run the scan again",
        )
    return dataset


def _found(scan: Scan, path: str) -> str:
    """A path of the run's own command, from here or, since runs lie beside their dataset, from the run."""
    beside = scan.path.parent / Path(path).name
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("the run was of standard input", "pipe the same data in, or name its file with --dataset")
    elif not os.path.exists(path):
        if beside.exists():
            return str(beside)
        raise UsageError(
            f"the dataset {path} is not here", "go where the run was started, or say where it is with --dataset"
        )
    return path


def _rows(
    scan: Scan, dataset: Dataset, selection: Selection, options: dict[str, Any], keeping: bool
) -> tuple[Any, dict[str, Any]]:
    """(rows,) bool, true where a row is dropped, and counts for people. `keeping`: those that do not match are."""
    import numpy as np

    from screen.store.folder import read_published
    from screen.store.unfinished import unfinished

    total = dataset.count() or 0
    drop = np.zeros(total, dtype=bool)
    drop[selection.rows()] = True
    matching = int(drop.sum())
    if keeping:
        drop = ~drop
    skipped = [read_published(p, columns=["row"])["row"].to_numpy() for p in scan.folder.tables("skipped")]
    drop_skipped = keeping if options["drop_skipped"] is None else options["drop_skipped"]
    for rows in skipped:
        drop[rows] = drop_skipped
    reached = np.zeros(total, dtype=bool)
    for entry in scan.folder.published.values():
        reached[entry.first_row : entry.end_row] = True
    rest = int(total - reached.sum())
    if rest and options["rest"] is None:
        if not scan.folder.finished:
            message, following = unfinished(scan.folder)
            raise UsageError(message, f"{following}; or say what becomes of the others: --rest keep or --rest drop")
        raise UsageError(
            f"{near(scan.path)} holds scores for {total - rest:,} of the dataset's {total:,} rows",
            "finish the run, or say what becomes of the others: --rest keep or --rest drop",
        )
    drop[~reached] = options["rest"] == "drop"
    return drop, {
        "rows": total,
        "kept": int(total - drop.sum()),
        "dropped": int(drop.sum()),
        "matching": matching,
        "matching_by_test": selection.counts(),
        "skipped": sum(len(rows) for rows in skipped),
        "skipped_are": "dropped" if drop_skipped else "kept",
        "not_reached": rest,
        "without_score": selection.nulls,
    }


def _write(dataset: Dataset, drop: Any, selection: Selection, targets: Sequence[Path], keeping: bool) -> None:
    """The copy comes last: where it stands, all of it does."""
    from screen.data.subset import check_not_input, check_out, write_subset

    for path in targets[:2]:
        check_out(dataset, path)
    for path in targets[2:]:
        check_not_input(dataset, path)
        write_subset(dataset, lambda row: bool(drop[row]), targets[1])
        _write_reasons(path, drop, selection, keeping)
    write_subset(dataset, lambda row: not drop[row], targets[0])


def _write_reasons(path: Path, drop: Any, selection: Selection, keeping: bool) -> None:
    """One line a dropped row, in order: its number, its id and what held of it."""
    why = {} if keeping else {told["row"]: told for told in selection.reasons()}
    scored = set(selection.table["row"].to_pylist())
    next_step = "choose a folder that exists, with room"
    with writing(path, next_step), new_file(path) as scratch, scratch.open("w", encoding="ascii") as file:
        for row in drop.nonzero()[0].tolist():
            test = "does not match" if row in scored else "not scored"
            file.write(dump(why.get(row) or {"row": row, "id": None, "reasons": [{"test": test}]}) + "\n")


def _print(facts: dict[str, Any]) -> None:
    from screen_reports.text import count, one_line, plural, share

    lines = [
        f"{plural(facts['rows'], 'row')}: {count(facts['kept'])} kept, {count(facts['dropped'])} dropped"
        f" ({share(facts['dropped'], facts['rows'])})"
    ]
    lines += [f"  {test}: {plural(n, 'sample')}" for test, n in facts["matching_by_test"].items()]
    for name, n in facts["without_score"].items():
        lines.append(f"{plural(n, 'sample')} without {name}: never matched by it")
    if facts["skipped"]:
        lines.append(f"{plural(facts['skipped'], 'row')} that could not be scored: {facts['skipped_are']}")
    if facts["not_reached"]:
        lines.append(f"{plural(facts['not_reached'], 'row')} that the run did not reach")
    lines.append(f"written to {facts['out']}" if facts["out"] else "nothing was written (--dry-run)")
    if facts["dropped_file"]:
        lines.append(f"dropped rows in {facts['dropped_file']}, reasons in {facts['reasons_file']}")
    sys.stdout.write("".join(f"{one_line(line) if line[0] != ' ' else '  ' + one_line(line)}\n" for line in lines))
