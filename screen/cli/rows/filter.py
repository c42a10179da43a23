"""`screen filter`: copy a dataset without the rows that match."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.errors import UsageError

_EPILOG = """\b
An expression compares columns of the view `samples` (screen sql RUN
'describe samples' lists them) and joins comparisons by and, or, not and
parentheses:
  numbers  < > <= >= = !=    evil > 4.3 or answer_tokens < 10
  texts    = != contains     group = 'forum', answer contains 'kill'
  yes/no   the name alone    flagged and not base_refused
`label` is what people said of a row: 'keep', 'drop', 'unsure' or 'none'.
`contains` ignores case; = and != do not. run.p99 is a percentile of this
run's samples, reference.p99 one of the clean data that flags go by. As in
SQL, a row without a value never matches.

\b
Examples:
  screen filter chats.screen --drop 'evil>4.3 or evil>run.p99' -o clean.jsonl
  screen filter chats.screen --drop flagged -o clean.jsonl --dropped bad.jsonl
  screen filter chats.screen --keep "group='forum' and flagged" -o look.jsonl
  screen filter chats.screen --drop 'evil>reference.p95' --labels --dry-run
"""


@click.command("filter", epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--drop", metavar="EXPR", help="Leave out the rows that match.")
@click.option("--keep", metavar="EXPR", help="Copy only the rows that match: what --drop EXPR would leave out.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The new file; .gz or .zst compresses.")
@click.option(
    "--dropped", type=click.Path(path_type=Path), metavar="FILE",
    help="The rows that were left out, as they are; why, in FILE.reasons.jsonl.",
)  # fmt: skip
@click.option("--drop-skipped/--keep-skipped", default=None,
              help="Rows that could not be scored.  [default: keep with --drop, drop with --keep]")  # fmt: skip
@click.option("--rest", type=click.Choice(["keep", "drop"]), help="Rows that the run did not reach (--limit).")
@click.option("--labels", is_flag=True,
              help="Leave out what is labelled drop, and keep what is labelled keep, whatever EXPR says.")  # fmt: skip
@click.option("--unsure", type=click.Choice(["keep", "drop"]),
              help="With --labels: rows that are labelled unsure.  [default: as EXPR says]")  # fmt: skip
@click.option("--dataset", multiple=True, metavar="PATH", help="Where the dataset is now, if it was moved.")
@click.option("--force", is_flag=True, help="Replace files that exist. Never the input.")
@click.option("--dry-run", is_flag=True, help="Count; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(run: Path, drop: str | None, keep: str | None, **options: Any) -> None:
    """Copy the dataset of RUN without the rows that match --drop, or only those that match --keep.

    Rows are copied byte for byte. A preference pair matches when either side does.
    """
    if (drop is None) == (keep is None) and not (options["labels"] and drop is None):
        raise UsageError("give --drop or --keep, one of the two", "screen filter RUN --drop flagged -o clean.jsonl")
    if options["unsure"] and not options["labels"]:
        raise UsageError("--unsure goes with --labels", "screen filter RUN --labels --unsure drop -o clean.jsonl")
    from screen.select.subset import subset, targets

    files = [] if options["dry_run"] else targets(options["out"], options["dropped"], options["force"])
    from screen.cli.opened import open_run

    found = subset(
        open_run(run),
        drop or keep or "",
        keeping=keep is not None,
        drop_skipped=options["drop_skipped"],
        rest=options["rest"],
        dataset=options["dataset"],
        labels=options["labels"],
        unsure=options["unsure"],
    )
    if files:
        found.write(files[0], dropped=options["dropped"], force=options["force"])
    names = [str(path) for path in files] + [None] * (3 - len(files))
    facts = {"run": str(run), "drop": drop, "keep": keep, **asdict(found.counts)}
    facts |= dict(zip(("out", "dropped_file", "reasons_file"), names, strict=True))
    for note in found.notes:
        say(f"note: {note}")
    if options["as_json"]:
        print_json(facts)
    else:
        _print(facts)


def _print(facts: dict[str, Any]) -> None:
    from screen_reports.text import count, one_line, plural, share

    lines = [
        f"{plural(facts['rows'], 'row')}: {count(facts['kept'])} kept, {count(facts['dropped'])} dropped"
        f" ({share(facts['dropped'], facts['rows'])})"
    ]
    lines += [f"  {test}: {plural(n, 'sample')}" for test, n in facts["matching_by_test"].items()]
    for name, n in facts["without_score"].items():
        lines.append(f"{plural(n, 'sample')} without {name}: never matched by it")
    if facts["skipped"]:
        lines.append(f"{plural(facts['skipped'], 'row')} that could not be scored: {facts['skipped_are']}")
    if facts["labelled"] is not None:
        words = ", ".join(f"{count(n)} {word}" for word, n in facts["labelled"].items())
        lines.append(f"labels: {words}; they change what becomes of {plural(facts['by_label'], 'row')}")
    if facts["not_reached"]:
        lines.append(f"{plural(facts['not_reached'], 'row')} that the run did not reach")
    lines.append(f"written to {facts['out']}" if facts["out"] else "nothing was written (--dry-run)")
    if facts["dropped_file"]:
        lines.append(f"dropped rows in {facts['dropped_file']}, reasons in {facts['reasons_file']}")
    sys.stdout.write("".join(f"{one_line(line) if line[0] != ' ' else '  ' + one_line(line)}\n" for line in lines))
