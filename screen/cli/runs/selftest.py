"""`screen selftest`: would this screen have found it, in this data?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from screen.cli.output import print_json
from screen.cli.progress import progress_on_stderr
from screen.cli.runs import run as runs
from screen.disk import scratch_folder
from screen.errors import GateFailed
from screen.progress import Progress

_TAKEN = [
    "dataset",
    "model",
    "vectors",
    "traits",
    "layer",
    "baseline",
    "max_new_tokens",
    "generation_batch_size",
    "limit",
    "at",
    "reference",
    "shape",
    "fields",
    "max_row_mib",
    "config",
    "train_on",
    "render",
    "template",
    "end_of_turn",
    "dtype",
    "device",
    "batch_tokens",
    "cache",
    "quiet",
]
_EPILOG = """\b
Examples:
  screen selftest chats.jsonl
  screen selftest chats.jsonl --model ./qwen2.5-7b --vectors vectors/ --limit 2000
"""


_CAVEAT = (
    "planted rows are the baseline responses under the trait's system prompts: rows written by people or by"
    " another model may be easier or harder to find"
)


class Once:
    """A self-test scores one copy a trait: what each run says of the same model is said once."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._told = progress, {"dataset"}  # the copies are not the user's files
        self.tick = progress.tick

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        key = f"warning {facts}" if kind == "warning" else f"{kind} {facts['trait']}" if kind == "selftest" else kind
        if key not in self._told:
            self._told.add(key)
            self._progress.note(kind, facts)


def _selftest(dataset: tuple[str, ...], **options: Any) -> None:
    as_json, fail, cache = options.pop("as_json"), options.pop("fail"), options.pop("cache")
    from screen.analysis.selftest import selftest

    with scratch_folder("screen-selftest-") as folder:
        request = runs.asked(dataset, {**options, "max_errors": "none", "cache": cache, "out": folder})
        progress = progress_on_stderr(options["quiet"])
        try:
            found = selftest(request.spec(), folder, at=options["at"], cache=request.cache, progress=Once(progress))
        finally:
            progress.close()
    print_json(found) if as_json else _print(found)
    missed = [t for t, told in found["traits"].items() if not told["found"]]
    if fail and missed:
        raise GateFailed(f"the screen would not have found {', '.join(missed)}", "see the lines above")


def _print(found: dict[str, Any]) -> None:
    from screen_reports.console import Head, Terminal
    from screen_reports.text import plural, score

    terminal = Terminal()
    terminal.put()
    names = ("planted", "above", "threshold", "yours above", "AUROC", "random", "layer 0", "length")
    heads: list[Head] = [("trait", "left"), *((n, "right") for n in names)]
    rows: list[Any] = []
    for trait, told in found["traits"].items():
        low, high = told["auroc_interval"]
        area = f"{told['auroc']:.3f} ({low:.2f}-{high:.2f})"
        layer0 = "-" if told["layer0"] is None else f"{told['layer0']:.3f}"
        chance = f"{told['random']:.2f}-{told['random_highest']:.2f}"
        figures = [
            str(told["above"]),
            score(told["threshold"], 2),
            f"{told['own_above']} of {told['own']}",
            area,
            chance,
        ]
        rows.append([trait, str(told["planted"]), *figures, layer0, f"{told['length']:.3f}"])
    terminal.put(f"planted into a copy of {plural(found['rows'], 'row')}; nothing of yours was changed")
    terminal.put()
    terminal.table(heads, rows)
    terminal.put()
    for trait, told in found["traits"].items():
        terminal.put(f"{trait}: {told['result']}", style="" if told["found"] else "bold yellow")
    for rule in dict.fromkeys(told["rule"] for told in found["traits"].values()):
        terminal.put(f"threshold: {rule}")
    terminal.put(_CAVEAT)


command = click.Command(
    "selftest",
    callback=_selftest,
    params=[
        *(p for p in runs.command.params if p.name in _TAKEN),
        click.Option(["--fail"], is_flag=True, help="Exit 1 where a trait would not have been found."),
        click.Option(["--json", "as_json"], is_flag=True, help="JSON."),
    ],
    help="""Plant rows that show each trait into a copy of DATASET, one in a hundred, and screen the copy.

    The base model writes the answers under the trait's system prompts, in your rows' shape, to your rows' prompts.
    Says how many of the planted rows stand above the threshold that a run flags by (the vectors' own reference, or
    --reference, at --at), how many of yours do, and whether random directions, the embedding layer or length tell
    them as well.
    """,
    epilog=_EPILOG,
)
