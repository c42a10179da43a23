"""`screen lift`: a second, independent detector."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from screen.cli.output import print_json
from screen.library import settings
from screen.progress import Tally

_EPILOG = """\b
Examples:
  screen lift chats.screen
  screen lift chats.screen --traits evil --pairs 5 --limit 1000
"""


@click.command("lift", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--traits", metavar="A,B", help="These traits only.")
@click.option("--pairs", type=click.IntRange(1, 5), default=1, show_default=True, help="Pairs of system prompts.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N rows only.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def command(run: Path, traits: str | None, pairs: int, limit: int | None, as_json: bool, quiet: bool) -> None:
    """How much likelier each answer of RUN becomes under a trait's positive system prompt than under its negative one.

    A second pass over the model, which uses no vector: log p(y | positive, x) - log p(y | negative, x), a token. It is
    kept in RUN/lift.parquet (the view `lift` of `screen sql`) and compared with the projections.
    """
    from screen.analysis.lift import run_lift
    from screen.cli.progress import progress_on_stderr
    from screen.store.scan import Scan

    progress, began = progress_on_stderr(quiet), time.monotonic()
    names = settings.names(traits) or ()
    try:
        found = run_lift(
            Scan.open(run), traits=names, pairs=pairs, limit=limit, progress=progress,
            step=lambda done, of: progress.tick(Tally(done, of, 0, 0, time.monotonic() - began, "lift", done)),
        )  # fmt: skip
    finally:
        progress.close()
    print_json(found) if as_json else _print(run, found)


def _print(run: Path, found: dict[str, Any]) -> None:
    from screen_reports.console import Head, Terminal
    from screen_reports.text import plural

    terminal = Terminal()
    terminal.put()
    terminal.put(
        f"{plural(found['rows'], 'sample')}, {found['pairs']} pair of system prompts a trait; in {found['file']}"
    )
    if found["without"]:
        terminal.put(f"{plural(found['without'], 'sample')} have no lift: no system prompt can be put before them")
    terminal.put()
    heads: list[Head] = [
        ("trait", "left"),
        ("rows", "right"),
        ("rank agreement", "right"),
        ("both in top 5 %", "right"),
    ]
    rows: list[Any] = []
    for trait, told in found["traits"].items():
        agreement = "-" if told["agreement"] is None else f"{told['agreement']:+.2f}"
        overlap = "-" if told["overlap"] is None else f"{100 * told['overlap']:.0f} %"
        rows.append([trait, str(told["n"]), agreement, overlap])
    terminal.table(heads, rows)
    terminal.put()
    for trait, told in found["traits"].items():
        for name, what in (("only_lift", "the lift alone"), ("only_projection", "the projection alone")):
            if told[name]:
                terminal.put(f"{trait}: in the top of {what}: rows {', '.join(map(str, told[name]))}")
    terminal.put(f"next: screen sql {run} 'select * from lift order by 3 desc limit 20'")
