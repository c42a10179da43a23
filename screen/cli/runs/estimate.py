"""`screen estimate`: what a run would cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import run as runs
from screen.library.request import estimated

if TYPE_CHECKING:
    from screen.analysis.estimate.record import ScanEstimate
    from screen.cli.progress import PlainProgress
    from screen.progress import Tally

_LEFT_OUT = ("fail_on", "since", "no_report", "as_json", "quiet", "verbose")
_EPILOG = """\b
Examples:
  screen estimate chats.jsonl
  screen estimate chats.jsonl --model ./qwen2.5-7b --vectors vectors/ --baseline calibrated
  screen estimate chats.jsonl --json
"""


class _Warnings:
    """Of what loading tells, warnings alone: the rest is in the estimate."""

    def __init__(self, progress: PlainProgress) -> None:
        self._progress = progress

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "warning":
            self._progress.note(kind, facts)

    def tick(self, tally: Tally) -> None:
        pass


def _estimate(dataset: tuple[str, ...], **options: Any) -> None:
    as_json = options.pop("as_json")
    progress = runs.progress_of({"quiet": options.pop("quiet"), "verbose": False})
    found = estimated(dataset, runs.scan_options(options), _Warnings(progress))
    print_json(found.to_json()) if as_json else _print(found)


def _print(found: ScanEstimate) -> None:
    from screen_reports.before.costs import lines
    from screen_reports.console import Terminal

    terminal = Terminal()
    for label, text in lines(found.to_json()):
        terminal.fact(label, text)


command = click.Command(
    "estimate",
    callback=_estimate,
    params=[
        *(p for p in runs.command.params if p.name not in _LEFT_OUT),
        click.Option(["--json", "as_json"], is_flag=True, help="Print it as JSON."),
        click.Option(["-q", "--quiet"], is_flag=True, help="No warnings on standard error."),
    ],
    help="""Tell what `screen run DATASET` with the same flags would cost. Nothing is kept.

    Loads the model as a run does, looks at up to 4,096 rows, and scores and answers some of them for a measure:
    20 seconds at most. Says rows, tokens, what is truncated, distinct prompts, the kind of baseline, and time, memory
    and disk of a whole run.
    """,
    epilog=_EPILOG,
)
