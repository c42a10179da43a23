"""`screen reference`: the scores of clean data, to compare others with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from screen.cli.output import print_json
from screen.cli.runs import run as runs
from screen.errors import UsageError

_FDR_LEAST = 1_000  # rows: the least p-value is one in as many
_LEFT_OUT = ("out", "at", "fdr", "refine", "reference", "fail_on", "as_json", "group_by")
_EPILOG = """\b
Examples:
  screen reference build clean.jsonl --model ./qwen2.5-7b --vectors vectors/ -o clean.reference
  screen reference show clean.reference
"""
_BUILD = """\b
Examples:
  screen reference build clean.jsonl -o clean.reference
  screen reference build clean.screen -o clean.reference
"""
_SHOW = """\b
Examples:
  screen reference show clean.reference
"""


@click.group("reference", epilog=_EPILOG)
def command() -> None:
    """Keep the scores of data that you trust to be clean.

    A run with --reference then gives every row a percentile, a z-score and an empirical p-value.
    """


def _build(dataset: tuple[str, ...], **options: Any) -> None:
    from screen.store import scanfile
    from screen.store.folder import RunFolder
    from screen.store.reference import Reference

    target: Path = options.pop("target")
    as_json: bool = options.pop("as_json")
    if not target.parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {target.parent}", "make it, or name another place")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        what = "is a folder" if target.is_dir() else "cannot be written there"
        raise UsageError(f"-o {target}: {what}", "name another file")
    if len(dataset) == 1 and (Path(dataset[0]) / scanfile.SCAN).is_file():
        run = Path(dataset[0])
    else:
        run = options["out"] or target.with_name(f"{target.name}.screen")
        runs.perform(runs.asked(dataset, {**options, "out": run}), runs.progress_of(options))
    reference = Reference.from_run(RunFolder.read(run))
    reference.save(target)
    _tell(Reference.load(target), target, as_json)


command.add_command(
    click.Command(
        "build",
        callback=_build,
        params=[
            *(p for p in runs.command.params if p.name not in _LEFT_OUT),
            click.Option(["-o", "target"], type=click.Path(path_type=Path), required=True, help="The file to write."),
            click.Option(["--out"], type=click.Path(path_type=Path), help="Its run's folder.  [default: beside it]"),
            click.Option(["--json", "as_json"], is_flag=True, help="Print what was built as JSON."),
        ],
        help="Score DATASET, clean rows, and keep the scores. Takes the flags of `screen run`; or a finished run.",
        epilog=_BUILD,
    )
)


@command.command("show", epilog=_SHOW)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def show(file: Path, as_json: bool) -> None:
    """What a reference holds: rows, percentiles and what it was made from."""
    from screen.store.reference import Reference

    _tell(Reference.load(file), file, as_json)


def _tell(reference: Any, path: Path, as_json: bool) -> None:
    cards = {trait: reference.as_card(trait) for trait in reference.scores}
    if as_json:
        print_json(
            {"file": str(path), "card": reference.card, "quantiles": {t: c["quantiles"] for t, c in cards.items()}}
        )
        return
    from screen_reports.console import Head, Terminal
    from screen_reports.text import count, score

    from screen.scoring.findings.flags import BEYOND_LEAST, supported

    terminal = Terminal()
    heads: list[Head] = [("trait", "left"), ("layer", "right"), ("rows", "right")]
    shown = ("p50", "p90", "p95", "p99", "p999")
    heads += [(name if name != "p999" else "p99.9", "right") for name in shown]
    rows: list[Any] = []
    for trait, card in cards.items():
        layer = str(reference.card["vectors"].get(trait, {}).get("layer", "-"))
        known = {name for name in shown if supported(card["quantiles"], card["rows"], name) == name}
        told = [score(card["quantiles"][name], 2) if name in known else "-" for name in shown]
        rows.append([trait, layer, count(card["rows"]), *told])
    terminal.table(heads, rows)
    terminal.put()
    if any("-" in row[3:] for row in rows):
        terminal.put(f"-: fewer than {BEYOND_LEAST} of its rows lie above, too few to flag by")
    terminal.put(f"{path}: {reference.card['baseline']} differences of {', '.join(reference.card['dataset']) or '-'}")
    least = min((card["rows"] for card in cards.values()), default=0)
    terminal.put(f"next: screen run DATASET --reference {path}" + (" --fdr 0.05" if least >= _FDR_LEAST else ""))
