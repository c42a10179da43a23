"""`screen gate`: does a run pass?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import print_json
from screen.errors import GateFailed, UsageError

if TYPE_CHECKING:
    from screen_reports.gates.outcome import GateOutcome

_FORMATS = ("text", "github", "junit", "sarif", "json")
_EPILOG = """\b
A gate is a condition under which the run fails:
  evil > 1%                  share of judged samples that is flagged
  count(evil) > 20           flagged samples
  max(evil) > p99            highest score, against clean rows, or a number
  mean(evil) > reference     dataset's mean, against clean rows', or a number
  group('forum', evil) > 2%  share within a group
  skipped > 0.5%             rows not scored; count(skipped) > 3
  verdict(evil) = review     or nothing, or cannot-tell
  cannot-tell                of any trait nothing can be told
Joined by and, or, not and parentheses. What cannot be told fails.

\b
Exit codes: 0 all pass, 1 one fails, 2 one does not parse, or there is no run.

\b
Examples:
  screen gate chats.screen 'evil>1%' 'skipped > 0.5%'
  screen gate chats.screen 'evil>1%' cannot-tell --format sarif > gate.sarif
  screen gate chats.screen 'count(evil) > 0' --labels
"""


@click.command("gate", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("gates", nargs=-1, metavar="GATE...")
@click.option("--format", "shape", type=click.Choice(_FORMATS), default="text", help="What to print.  [default: text]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--labels", is_flag=True, help="Rows that somebody labelled keep are not counted as flagged.")
@click.option("-n", "count", type=click.IntRange(1), default=5, show_default=True, help="Failing rows shown a trait.")
def command(run: Path, gates: tuple[str, ...], shape: str, as_json: bool, labels: bool, count: int) -> None:
    """Tell whether RUN passes every GATE, with the figures and the first rows that fail.

    For GitHub Actions, where GITHUB_STEP_SUMMARY is set, --format github writes the step's summary too (docs/gates.md).
    """
    if as_json and shape not in ("text", "json"):
        raise UsageError(f"--json and --format {shape} exclude each other", "give one of them")
    outcome = _outcome(run, gates, labels, "json" if as_json else shape, count)
    _PRINT["json" if as_json else shape](outcome)
    if not outcome.passed:
        raise GateFailed(outcome.headline)


def _outcome(run: Path, texts: tuple[str, ...], labels: bool, shape: str, count: int) -> GateOutcome:
    from screen.select.gates.parser import check_names, parse

    if not texts:
        raise UsageError("no gate was given", f"screen gate {run} 'evil>1%'; `screen gate --help` has the others")
    gates = [parse(text) for text in texts]
    from screen_reports.gates.outcome import gate_outcome

    from screen.select.gates.evaluate import evaluate
    from screen.select.gates.figures import Figures
    from screen.store.scan import read_scan

    scan = read_scan(run)
    check_names(gates, scan.traits)
    figures = Figures(scan, labels)
    return gate_outcome(figures, str(run), evaluate(figures, gates), _most(shape, count))


def _most(shape: str, count: int) -> int:
    if shape == "sarif":
        from screen_reports.gates.sarif import MOST

        return MOST
    if shape == "github":
        from screen_reports.gates.github import SUMMARY_ROWS

        return SUMMARY_ROWS
    return count


def _print_text(outcome: GateOutcome) -> None:
    from screen_reports.console import Terminal
    from screen_reports.gates.terminal import print_gates

    print_gates(Terminal(), outcome)


def _print_github(outcome: GateOutcome) -> None:
    from screen_reports.gates.github import step_summary, workflow_commands

    from screen.disk import append_durably, writing

    sys.stdout.writelines(f"{line}\n" for line in workflow_commands(outcome))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with writing(Path(summary), "GITHUB_STEP_SUMMARY names a file that can be written"):
            append_durably(Path(summary), step_summary(outcome).encode())


def _print_junit(outcome: GateOutcome) -> None:
    from screen_reports.gates.junit import junit

    sys.stdout.write(junit(outcome))


def _print_sarif(outcome: GateOutcome) -> None:
    from screen_reports.gates.sarif import sarif

    print_json(sarif(outcome))


def _print_json(outcome: GateOutcome) -> None:
    from screen_reports.gates.as_json import as_object

    print_json(as_object(outcome))


_PRINT = {
    "text": _print_text,
    "github": _print_github,
    "junit": _print_junit,
    "sarif": _print_sarif,
    "json": _print_json,
}
