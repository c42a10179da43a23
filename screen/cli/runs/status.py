"""`screen status`: how far a run is, and whether its files are as published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.errors import StoreError, near

if TYPE_CHECKING:
    from screen.store.scan import Scan

_EPILOG = """\b
Examples:
  screen status chats.screen
  screen status chats.screen --verify
"""


@click.command("status", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Hash every published file and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(run: Path, verify: bool, as_json: bool) -> None:
    """Tell whether RUN is finished, what it holds, who writes it and how to go on.

    With --verify the exit code is 2 if a file is not as it was published.
    """
    from screen.select.precision import all_sentences, as_object, precision
    from screen.store.scan import Scan

    scan = Scan.open(run)
    labelled = [precision(scan, trait) for trait in scan.traits]
    wrong = [(str(path.relative_to(scan.path)), why) for _, path, why in scan.folder.verify()] if verify else []
    described = scan.folder.facts.get("dataset")
    state = {
        "run": str(run),
        **scan.status(),
        "rows_total": described.get("rows") if described else None,
        "traits": list(scan.traits),
        "dataset": list(scan.folder.facts.get("spec", {}).get("dataset", ())),
    }
    state["precision"] = [as_object(found) for found in labelled]
    if verify:
        state["damaged"] = [{"file": file, "why": why} for file, why in wrong]
    if as_json:
        print_json(state)
    else:
        _print(scan, state, all_sentences(labelled))
    if wrong:
        file, why = wrong[0]
        more = f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise StoreError(
            f"{near(scan.path / file)} {why}{more}",
            "type the run's command again: a file that can be made again byte for byte is; or restore a backup",
        )


def _print(scan: Scan, state: dict[str, Any], labelled: list[str]) -> None:
    from screen_reports.console import Terminal
    from screen_reports.text import count, plural
    from screen_reports.verdicts import verdicts

    terminal = Terminal()
    total = state["rows_total"]
    of = f" of {count(total)}" if total else ""
    terminal.fact("run", f"{state['run']}, {'finished' if state['finished'] else 'not finished'}")
    terminal.fact("rows", f"{count(state['rows'])}{of}, in {plural(state['shards'], 'shard')}")
    terminal.fact("samples", f"{count(state['scored'])} scored, {plural(state['skipped'], 'row')} skipped")
    if since := state.get("since"):
        known = "finished" if since["finished"] else "not finished when this began"
        terminal.fact("since", f"{plural(since['carried'], 'row')} carried from {since['path']} ({known})")
    terminal.fact("traits", ", ".join(state["traits"]))
    for sentence, _ in verdicts(scan.summary) if state["finished"] else ():
        terminal.fact("verdict", sentence)
    for sentence in labelled:
        terminal.fact("labels", sentence)
    if state["writer"]:
        terminal.fact("writer", f"process {state['writer']['pid']} on {state['writer']['host']} is at work")
    for orphan in state["orphans"]:
        terminal.fact("orphan", f"{orphan}: left by a crash, not counted; it can be deleted when nobody writes")
    if "damaged" in state:
        files = sum(len(entry.files) for entry in scan.folder.published.values())
        bad = len(state["damaged"])
        terminal.fact("verified", f"{plural(files, 'file')}: " + (f"{bad} not as published" if bad else "all whole"))
    if not state["finished"] and not state["writer"]:
        from screen.store.unfinished import resume

        terminal.fact("go on", resume(scan.folder))
