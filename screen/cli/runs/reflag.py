"""`screen reflag`: another threshold for a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from screen.cli.decision.report import write_beside
from screen.cli.output import print_json

_EPILOG = """\b
Examples:
  screen reflag chats.screen --at p95
  screen reflag chats.screen --fdr 0.05
"""


@click.command("reflag", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--at", metavar="pNN", help="Flag above this percentile of the reference.")
@click.option("--fdr", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="Q",
              help="Flag at this false-discovery rate against the run's --reference.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the thresholds and counts as JSON.")
def command(run: Path, at: str | None, fdr: float | None, as_json: bool) -> None:
    """Flag the rows of RUN, which is finished, by another threshold. No row is scored anew.

    summary.json, the catalogue and a report.html that is there are made anew, and the summary keeps a list of earlier
    thresholds.
    """
    from screen.library.reflag import reflagged
    from screen.scan.reflag import words

    before, after = reflagged(run, at, fdr)
    thresholds = [(s["at"], s["fdr"]) for s in (before, after)]
    if (run / "report.html").exists():
        write_beside(run, silent=True)
    if as_json:
        told = {t: {"before": _facts(before, t), "after": _facts(after, t)} for t in after["traits"]}
        print_json({"run": str(run), "before": _threshold(before), "after": _threshold(after), "traits": told})
        return
    from screen_reports.console import Head, Terminal
    from screen_reports.text import count, digits, score

    terminal = Terminal()
    terminal.put(f"flagged by {words(thresholds[1])}; before, by {words(thresholds[0])}")
    heads: list[Head] = [("trait", "left")]
    heads += [(name, "right") for name in ("threshold", "before", "flagged", "before")]
    decimals = digits(s["traits"][t]["threshold"] for s in (before, after) for t in s["traits"])
    pairs = {t: (after["traits"][t], before["traits"][t]) for t in after["traits"]}
    rows: list[list[Any]] = [
        [t, *(score(s["threshold"], decimals) for s in pair), *(count(s["flagged"]) for s in pair)]
        for t, pair in pairs.items()
    ]
    terminal.table(heads, rows)
    for rule in dict.fromkeys(s["rule"] for s in after["traits"].values()):
        terminal.put(f"threshold: {rule}")


def _threshold(summary: dict[str, Any]) -> dict[str, Any]:
    return {"at": summary["at"], "fdr": summary["fdr"]}


def _facts(summary: dict[str, Any], trait: str) -> dict[str, Any]:
    return {name: summary["traits"][trait][name] for name in ("threshold", "rule", "flagged")}
