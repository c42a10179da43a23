"""`screen card`: what a run found, as a dataset card."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from screen.cli.output import print_json

_EPILOG = """\b
Examples:
  screen card chats.screen
  screen card chats.screen -o README.md
  screen card chats.screen --json > card.json
"""


@click.command("card", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="A new file.  [default: print it]")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="The text, its YAML and the figures as JSON.")
def command(run: Path, out: Path | None, force: bool, as_json: bool) -> None:
    """Write what RUN found as a dataset card: Markdown, with the YAML that the Hugging Face hub reads.

    It says how the data were screened and what that cannot find. Licence and language are not known: add them.
    """
    from screen.cli.opened import open_run
    from screen.handover.card import card, write_card

    scan = open_run(run)
    made = card(scan)
    if out is not None:
        write_card(scan, made, out, force)
    if as_json:
        print_json({"run": str(run), "out": None if out is None else str(out), **asdict(made)})
    elif out is None:
        sys.stdout.write(made.markdown)
    else:
        from screen_reports.text import one_line

        sys.stdout.write(one_line(f"written to {out}") + "\n")
