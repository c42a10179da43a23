"""`screen doctor`: is everything here that a run needs?"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from screen.cli.output import print_json
from screen.errors import GateFailed

if TYPE_CHECKING:
    from screen.library.doctor.record import HealthCheck

_EPILOG = """\b
Examples:
  screen doctor
  screen doctor --model ./qwen2.5-7b
  screen doctor --fail --json
"""


@click.command("doctor", epilog=_EPILOG)
@click.option("--model", default="pocket", metavar="MODEL", help="Prove fast paths on it.  [default: the embedded one]")
@click.option("--fail", is_flag=True, help="Exit 1 where something is a problem.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(model: str, fail: bool, as_json: bool) -> None:
    """Tell versions, devices, caches, disk, and which fast paths a model takes here, and why.

    Put all of it into a bug report: it names no person, no secret and no folder above your home. Exits with 0 whatever
    it finds, unless --fail is given.
    """
    from screen.library.doctor.diagnose import diagnose

    found = []
    for check in diagnose(model):
        found.append(check)
        if not as_json:
            _print(check)
    if as_json:
        print_json({"checks": [asdict(check) for check in found], **_counts(found)})
    else:
        _close(found)
    broken = [check.name for check in found if check.status == "problem"]
    if fail and broken:
        raise GateFailed(f"{len(broken)} of {len(found)} checks found a problem: {', '.join(broken)}", "see above")


def _counts(found: list[HealthCheck]) -> dict[str, int]:
    counts = Counter(check.status for check in found)
    return {"warnings": counts["warn"], "problems": counts["problem"]}


def _print(check: HealthCheck) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import one_line

    next_step = f"; next: {check.next_step}" if check.next_step else ""
    Terminal().fact(check.status, one_line(f"{check.name}: {check.says}{next_step}"))


def _close(found: list[HealthCheck]) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import plural

    counts = _counts(found)
    Terminal().put(
        f"{plural(len(found), 'check')}: {plural(counts['problems'], 'problem')}, "
        f"{plural(counts['warnings'], 'warning')}; paste all of this into a bug report"
    )
