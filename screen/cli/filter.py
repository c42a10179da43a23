"""`screen filter`: copy a dataset without the rows that match."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from screen_reports.text import near

from screen.cli.output import dump, print_json
from screen.errors import StoreError, UsageError
from screen.spec import ScanSpec

if TYPE_CHECKING:
    from screen.cli.selection import Selection
    from screen.data.dataset import Dataset
    from screen.store.scan import Scan

_EPILOG = """\b
An expression compares columns of the run's scores with numbers or with
percentiles, joined by and, or, not and parentheses. run.p99 is a percentile
of this run's samples, reference.p99 one of the clean data flags go by:
  evil > 4.3 or sycophancy > run.p99
  flagged and not base_refused
As in SQL, a row without a score never matches.

\b
Examples:
  screen filter chats.screen --drop 'evil>4.3 or evil>run.p99' -o clean.jsonl
  screen filter chats.screen --drop flagged -o clean.jsonl --dropped why.jsonl
  screen filter chats.screen --drop 'evil>reference.p95' --dry-run
"""


@click.command("filter", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--drop", "expression", required=True, metavar="EXPR", help="Which rows to leave out.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The new file; .gz or .zst compresses.")
@click.option("--dropped", type=click.Path(path_type=Path), metavar="FILE", help="Dropped rows and reasons, JSONL.")
@click.option("--drop-skipped/--keep-skipped", default=False, help="Rows that could not be scored.  [default: keep]")
@click.option("--rest", type=click.Choice(["keep", "drop"]), help="Rows that the run did not reach (--limit).")
@click.option("--dataset", multiple=True, metavar="PATH", help="Where the dataset is now, if it was moved.")
@click.option("--force", is_flag=True, help="Replace files that exist. Never the input.")
@click.option("--dry-run", is_flag=True, help="Count; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(run: Path, expression: str, out: Path | None, dropped: Path | None, **options: Any) -> None:
    """Copy the dataset of RUN without the rows that match --drop. Kept rows are copied byte for byte.

    A preference pair is left out when either side matches.
    """
    if out is None and not options["dry_run"]:
        raise UsageError("nowhere to write", "name the new file with -o, or count only with --dry-run")
    from screen.cli.selection import select
    from screen.store.scan import Scan

    scan = Scan.open(run)
    scan.folder.check()  # a flipped bit must not decide what is trained on
    selection = select(scan, expression)
    dataset = _dataset(scan, options["dataset"])
    drop, counts = _rows(scan, dataset, selection, options)
    if not options["dry_run"]:
        assert out is not None
        _check_targets(dataset, [p for p in (out, dropped) if p], options["force"])
        _write(dataset, drop, selection, out, dropped)
    facts = {"run": str(run), "drop": expression, **counts, "out": None if options["dry_run"] else str(out)}
    if options["as_json"]:
        print_json({**facts, "dropped_file": str(dropped) if dropped and not options["dry_run"] else None})
    else:
        _print(facts, dropped, options["dry_run"])


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


def _rows(scan: Scan, dataset: Dataset, selection: Selection, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(rows,) bool, true where a row is dropped, and counts for people."""
    import numpy as np
    import pyarrow.parquet as pq

    total = dataset.count() or 0
    drop = np.zeros(total, dtype=bool)
    drop[selection.rows()] = True
    matching = int(drop.sum())
    skipped = [pq.read_table(p, columns=["row"])["row"].to_numpy() for p in scan.folder.tables("skipped")]
    for rows in skipped if options["drop_skipped"] else ():
        drop[rows] = True
    reached = np.zeros(total, dtype=bool)
    for entry in scan.folder.published.values():
        reached[entry.first_row : entry.end_row] = True
    rest = int(total - reached.sum())
    if rest and options["rest"] is None:
        raise UsageError(
            f"{near(scan.path)} holds scores for {total - rest:,} of the dataset's {total:,} rows",
            "finish the run, or say what becomes of the others: --rest keep or --rest drop",
        )
    if options["rest"] == "drop":
        drop |= ~reached
    return drop, {
        "rows": total,
        "kept": int(total - drop.sum()),
        "dropped": int(drop.sum()),
        "matching": matching,
        "matching_by_test": selection.counts(),
        "skipped": sum(len(rows) for rows in skipped),
        "skipped_are": "dropped" if options["drop_skipped"] else "kept",
        "not_reached": rest,
        "without_score": selection.nulls,
    }


def _check_targets(dataset: Dataset, targets: Sequence[Path], force: bool) -> None:
    inputs = {os.path.realpath(f.local) for f in dataset.files}
    for path in targets:
        if os.path.realpath(path) in inputs:
            raise UsageError(f"{path}: this is the input, which is never written to", "choose another name")
        if path.exists() and not force:
            raise UsageError(f"{path} exists already", "choose another name, or add --force to replace it")
    if len({os.path.realpath(p) for p in targets}) < len(targets):
        raise UsageError(f"{targets[0]}: -o and --dropped name the same file", "choose two names")


def _write(dataset: Dataset, drop: Any, selection: Selection, out: Path, dropped: Path | None) -> None:
    from screen.data.subset import write_subset

    if dropped is None:
        write_subset(dataset, lambda row: not drop[row], out)
        return
    with _new_text(dropped) as file:
        why = selection.reasons()
        following = next(why, None)

        def on_drop(row: int, _raw: bytes) -> None:
            nonlocal following
            if following is not None and following["row"] == row:
                file.write(dump(following) + "\n")
                following = next(why, None)
            else:
                file.write(dump({"row": row, "id": None, "reasons": [{"test": "not scored"}]}) + "\n")

        write_subset(dataset, lambda row: not drop[row], out, on_drop)


@contextlib.contextmanager
def _new_text(path: Path) -> Iterator[IO[str]]:
    """A file that takes its name once all of it is written."""
    part = path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex[:8]}")
    try:
        with open(part, "x", encoding="ascii") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{path}: cannot be written: {reason}", "choose a folder that exists, with room") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _print(facts: dict[str, Any], dropped: Path | None, dry: bool) -> None:
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
    lines.append("nothing was written (--dry-run)" if dry else f"written to {facts['out']}")
    if dropped and not dry:
        lines.append(f"reasons in {dropped}")
    sys.stdout.write("".join(f"{one_line(line) if line[0] != ' ' else '  ' + one_line(line)}\n" for line in lines))
