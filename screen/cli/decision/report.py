"""`screen report`: a run as one page that opens anywhere."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from screen.cli.output import print_json

_EPILOG = """\b
Examples:
  screen report chats.screen
  screen report chats.screen -o chats-report.html --top 400
"""


@click.command("report", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="[default: RUN/report.html]")
@click.option("--top", type=click.IntRange(0, 2000), default=200, show_default=True, metavar="N",
              help="Rows with the highest scores, at most.")  # fmt: skip
@click.option("--sample", type=click.IntRange(0, 2000), default=100, show_default=True, metavar="N",
              help="Rows drawn from the others, at most.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(run: Path, output: Path | None, top: int, sample: int, as_json: bool) -> None:
    """Write RUN as one self-contained page: verdicts, pictures, the highest rows, and how sure it is.

    It opens from disk without a network, below 2 MB whatever the dataset's size. Texts of rows are in it: give it to
    nobody who may not read the dataset.
    """
    from screen_reports.html.report import NAME, make, write

    from screen.cli.opened import open_run

    scan = open_run(run)
    made = make(scan, str(run), top=top, sample=sample)
    path = write(made, output or run / NAME)
    if as_json:
        print_json({"run": str(run), **made.described(path)})
        return
    from screen_reports.console import Terminal

    Terminal().put(f"written to {path}: {made.line()}")


def write_beside(run: Path, silent: bool) -> None:
    """The run's report.html. One that fails costs nothing but itself: it is a warning, with what to type."""
    from screen_reports.console import Terminal

    from screen.cli.exits import say
    from screen.store.scan import Scan

    try:
        from screen_reports.html.report import NAME, make, write

        path = write(make(Scan.open(run), str(run)), run / NAME)
    except Exception as error:  # whatever it is, the run is whole and its exit code says so
        say(
            f"warning: the run is finished, its report could not be made: {error}",
            f"next: screen report {shlex.quote(str(run))}",
        )
        return
    if not silent:
        Terminal().put(f"report: {path}: open it in a browser")
