"""`screen monitor log`: the conversations that a deployed model had."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import run as runs
from screen.errors import GateFailed, Interrupted, UsageError

if TYPE_CHECKING:
    from screen.monitor.log import LogReport

_TAKEN = (
    "model", "vectors", "traits", "layer", "limit", "fields", "max_row_mib", "template", "end_of_turn", "dtype",
    "device", "devices", "in_process", "batch_tokens", "shard_rows", "reference", "quiet",
)  # fmt: skip
_EPILOG = """\b
Examples:
  screen monitor log conversations.jsonl
  screen monitor log logs/ --model ./qwen2.5-7b --vectors vectors/ --reference clean.reference
  screen monitor log logs.jsonl --reference clean.reference --by model_version -o scores.jsonl
  screen monitor log logs.screen --time meta.at --fail
"""


def _log(logs: tuple[str, ...], **options: Any) -> None:
    from screen.disk import scratch_folder
    from screen.store import scanfile

    out: Path | None = options["out"]
    if options["text"] and out is None:
        raise UsageError("--text adds what was said to the file of -o, and there is none", "give -o FILE")
    if out is not None:
        _check_out(out)
    if len(logs) == 1 and (Path(logs[0]) / scanfile.SCAN).is_file():
        _told(Path(logs[0]), options)
        return
    kept: Path | None = options["run"]
    with nullcontext() if kept else scratch_folder("screen-log-") as scratch:
        run = kept or Path(scratch or "") / "log.screen"
        try:
            _scan(logs, run, options)
        except Interrupted as error:
            if kept:
                raise
            raise Interrupted(
                "stopped; nothing was kept", "with --run FOLDER the same command goes on where it stopped"
            ) from error
        _told(run, options)


def _scan(logs: tuple[str, ...], run: Path, options: dict[str, Any]) -> None:
    from screen.baselines.table import kind_of
    from screen.data.shapes.forms import MIXED
    from screen.library.settings import baseline
    from screen.monitor.known import BASELINE, check
    from screen.scan.inputs import vectors_of

    if "-" in logs:
        raise UsageError("a log is read twice, and standard input only once", "write it to a file first")
    name = options["baseline"] or BASELINE.name
    kind = kind_of(baseline(name)["baseline"])
    shape = options["shape"] or (None if options["fields"] else MIXED)
    given = {**options, "out": run, "baseline": name, "shape": shape, "max_errors": "none"}
    request = runs.asked(logs, {key: value for key, value in given.items() if key not in ("text", "time", "by", "run")})
    chosen = request.chosen
    vectors = vectors_of(
        chosen.get("model", "pocket"), chosen.get("vectors", ()), chosen.get("traits", ()), chosen.get("layers", {})
    )
    check(vectors, options["reference"] and Path(options["reference"]), kind)
    runs.perform(request, runs.progress_of({**options, "verbose": False}))


def _told(run: Path, options: dict[str, Any]) -> None:
    """Print what the log shows, and write its messages where -o asks for them."""
    from screen.monitor.log import Log
    from screen.store.scan import read_scan

    log = Log.read(read_scan(run).folder, options["time"], options["by"])
    report = log.report(options["chance"])
    out: Path | None = options["out"]
    if out is not None:
        _write(out, log.messages(options["text"]))
    if options["as_json"]:
        print_json({"run": str(options["run"]) if options["run"] else None, "out": out and str(out), **report})
    else:
        from screen_reports.console import Terminal
        from screen_reports.monitoring.log import print_log

        print_log(Terminal(), report, out)
    _check_alarms(report, options["fail"])


def _check_alarms(report: LogReport, fail: bool) -> None:
    alarmed = [t["trait"] for t in report["traits"] if t["alarms"]]
    if fail and alarmed:
        raise GateFailed(f"alarm: {', '.join(alarmed)}", "look at the conversations from where it seems to have begun")


def _check_out(out: Path) -> None:
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        what = "is a folder" if out.is_dir() else f"there is no folder {out.parent} that can be written"
        raise UsageError(f"-o {out}: {what}", "name another file")


def _write(out: Path, lines: Iterable[object]) -> None:
    from screen.disk import new_file, writing
    from screen.jsonl import dump

    with (
        writing(out, "choose a folder that exists, with room"),
        new_file(out) as scratch,
        scratch.open("w", encoding="ascii") as file,
    ):
        file.writelines(f"{dump(line)}\n" for line in lines)


command = click.Command(
    "log",
    callback=_log,
    params=[
        click.Argument(["logs"], nargs=-1, required=True),
        *(p for p in runs.command.params if p.name in _TAKEN),
        click.Option(["--format", "shape"], metavar="SHAPE", help="The rows' shape.  [default: each row's own]"),
        click.Option(["--baseline"], metavar="KIND", help="As for `screen run`.  [default: last-prompt]"),
        click.Option(["--time"], metavar="FIELD", help="The field that says when.  [default: found]"),
        click.Option(["--by"], multiple=True, metavar="FIELD", help="Compare by this field; repeatable."),
        click.Option(
            ["--chance"], type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
            metavar="P", help="That a clean log raises any alarm.",
        ),
        click.Option(["--fail"], is_flag=True, help="Exit 1 where there is an alarm."),
        click.Option(["--run"], type=click.Path(path_type=Path), help="Keep the scan, with its texts, in this folder."),
        click.Option(["-o", "--out"], type=click.Path(path_type=Path), help="Write a JSON line a message."),
        click.Option(["--text"], is_flag=True, help="With what was said, in the file of -o."),
        click.Option(["--json", "as_json"], is_flag=True, help="JSON."),
    ],
    help="""Score each assistant turn of LOGS (files of conversations, as `screen run` reads them; or a finished run)
    and say whether a trait has risen, since when, and how it stands by day and by field.

    Scores are set beside clean conversations: those of --reference, else of the vectors' cards. Nothing is generated:
    what is subtracted is the projection of the prompt's last token. Rows that are no conversation are skipped and
    counted.""",
    epilog=_EPILOG,
)  # fmt: skip
