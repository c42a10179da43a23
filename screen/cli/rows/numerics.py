"""`screen check-numerics`: is a flag arithmetic noise?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from screen.cli.output import print_json
from screen.errors import GateFailed
from screen.library.places import default_cache

_EPILOG = """\b
Examples:
  screen check-numerics chats.screen
  screen check-numerics chats.screen --rows 100 --fail
"""


@click.command("check-numerics", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--rows", type=click.IntRange(2), default=32, show_default=True, help="Rows of the sample.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where baseline responses are kept.")
@click.option("--fail", is_flag=True, help="Exit 1 where a flag changes.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def command(run: Path, rows: int, seed: int, cache: Path | None, fail: bool, as_json: bool) -> None:
    """Score a sample of RUN, and every row near a threshold, again: in float32, one sequence at a time.

    Reports how far scores move and which flags change. A threshold that lies within the noise of a row is named.
    """
    from screen.analysis.numerics import check
    from screen.store.scan import Scan

    scan = Scan.open(run)
    kept = scan.path / "baselines"
    found = check(scan, rows=rows, seed=seed, cache=cache or (kept if kept.is_dir() else default_cache()))
    if as_json:
        print_json(found)
    else:
        _print(found)
    changed = sum(len(t["changed"]) for t in found["traits"].values())
    if fail and changed:
        raise GateFailed(f"{changed} flags change in float32 at batch 1", "move the threshold away from them: --at")


def _print(found: dict[str, Any]) -> None:
    from screen_reports.console import Head, Terminal
    from screen_reports.text import plural, score

    terminal = Terminal()
    terminal.put(
        f"{plural(found['rows'], 'row')} scored again in float32, one by one; the run's dtype is {found['dtype']}"
    )
    terminal.put()
    heads: list[Head] = [("trait", "left")]
    heads += [(name, "right") for name in ("noise", "largest", "threshold", "near it", "flags changed")]
    rows: list[Any] = []
    for trait, told in found["traits"].items():
        figures = [f"{told['noise']:.1e}", f"{told['largest']:.1e}", score(told["threshold"], 3)]
        rows.append([trait, *figures, str(told["near"]), str(len(told["changed"]))])
    terminal.table(heads, rows)
    for trait, told in found["traits"].items():
        if told["inside_noise"]:
            terminal.put(f"{trait}: {plural(told['near'], 'row')} within the noise of the threshold: move it with --at")
        for change in told["changed"][:10]:
            terminal.put(f"  row {change['row']}: {score(change['stored'], 4)} -> {score(change['again'], 4)}")
