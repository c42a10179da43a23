"""`screen compare`: two runs beside each other."""

from __future__ import annotations

from pathlib import Path

import click

from screen.cli.output import print_json

_EPILOG = """\b
Examples:
  screen compare v1.screen v2.screen             two versions of a dataset
  screen compare small.screen large.screen       two models on one dataset
  screen compare v1.screen v2.screen --by evil -n 20
  screen compare v1.screen v2.screen --json > difference.json
"""


@click.command("compare", epilog=_EPILOG)
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option("--by", metavar="TRAIT", help="This trait alone.  [default: every trait that both have]")
@click.option("-n", "count", type=click.IntRange(0), default=5, show_default=True, metavar="ROWS",
              help="How many rows of each kind are named, a trait.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object (docs/json/compare.schema.json).")
def command(first: Path, second: Path, by: str | None, count: int, as_json: bool) -> None:
    """Compare the runs A and B: rows new, gone, changed and the same, by content; means with intervals; rows that
    crossed the cut, each run by its own threshold.

    What the two were made with is told first. Scores are subtracted only where they have the same units; else places
    within each run are compared (docs/compare.md).
    """
    from screen_reports.comparison import print_comparison
    from screen_reports.console import Terminal

    from screen.analysis.compare.two_runs import compare_runs
    from screen.store.scan import read_scan

    runs = read_scan(first), read_scan(second)
    found = compare_runs(*runs, by=by, rows=count)
    if as_json:
        print_json(found.to_json())
    else:
        print_comparison(Terminal(), found, runs[1])
