"""`screen inspect`: what a dataset is taken for, and a few of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import flags
from screen.data.sample import Sample, Skip
from screen.library.settings import rows_range

if TYPE_CHECKING:
    from screen_reports.console import Terminal

    from screen.data.dataset import Dataset
    from screen.rendering.renderer import Renderer

_LOOKED_AT = 10_000  # rows that are read for the counts
_SHORT = 500  # characters of a turn
_LONG = 2000  # characters at either end of a marked piece
_EPILOG = """\b
Examples:
  screen inspect chats.jsonl
  screen inspect chats.jsonl --show-mask -n 1
  screen inspect table.csv --map prompt=question --map completion=answer
"""


@click.command("inspect", epilog=_EPILOG)
@click.argument("dataset", nargs=-1, required=True)
@click.option("--show-mask", is_flag=True, help="The rendered text, with the tokens that are scored marked.")
@click.option("-n", "count", type=click.IntRange(0), default=3, show_default=True, help="How many rows.")
@click.option("--model", default="pocket", help="Whose tokenizer and chat template.  [default: the embedded model]")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--end-of-turn", is_flag=True, help="Count the end-of-turn token as answer.")
@click.option("--format", "shape", metavar="SHAPE", help="The rows' shape, where it is not to be detected.")
@click.option("--map", "fields", multiple=True, metavar="ROLE=FIELD", help="Which field is what; repeatable.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Your training configuration.")
@click.option(
    "--train-on", type=click.Choice(["assistant", "last", "all"]), default="assistant", help="What is scored."
)
@click.option("--render", type=click.Choice(["chat", "plain"]), help="Questions given as texts.  [default: chat]")
@click.option("--limit", metavar="N|A-B", help="Look at these rows only.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(dataset: tuple[str, ...], shape: str | None, fields: tuple[str, ...], **options: Any) -> None:
    """Tell the shape of DATASET and show its first rows, as `screen run` would read them.

    Scored turns are what a trainer puts loss on. With --show-mask the whole text stands there as the model reads
    it, special tokens included, with the scored part marked. No model is run.
    """
    from screen.data.dataset import open_dataset
    from screen.library import early

    if options["show_mask"]:
        early.check_model(options["model"], options["template"])
    data = open_dataset(
        dataset,
        format=shape,
        map=flags.pairs("--map", fields, "prompt=question") or {},
        limit=rows_range(options["limit"]) or (0, None),
        train_on=options["train_on"],
        render=options["render"],
        config=options["config"],
    )
    renderer = _renderer(options) if options["show_mask"] else None
    facts = _facts(data, renderer)
    rows = list(islice(_rows(data), options["count"]))
    if options["as_json"]:
        print_json({**facts, "samples": [_as_object(r, renderer) for row in rows for r in row]})
        return
    _print(facts, rows, renderer, data.shape.render)


def _rows(data: Dataset) -> Iterator[Sequence[Sample | Skip]]:
    """Each row's samples, or its one skip."""
    for window in data.windows(64):
        for entry in window.entries:
            read = entry if isinstance(entry, Skip) else data.samples(entry)
            yield [read] if isinstance(read, Skip) else read


def _facts(data: Dataset, renderer: Renderer | None) -> dict[str, Any]:
    looked = skipped = samples = turns = scored = 0
    codes: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    split_at: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    for row in islice(_rows(data), _LOOKED_AT):
        looked += 1
        told = [read for read in row if not isinstance(read, Skip)][:1]
        shapes.update(read.shape for read in told)
        unused.update(name for read in told for name in read.unused)
        split_at.update(read.split_at for read in told if read.split_at)
        marks.update(read.marks for read in told if read.marks)
        for read in row:
            if isinstance(read, Skip):
                skipped += 1
                codes[read.code] += 1
                continue
            samples += 1
            runs = _scored_runs(read)
            turns += len(read.turns) + runs
            scored += sum(turn.scored for turn in read.turns) + runs
    return {
        "files": [str(f.path) for f in data.files],
        "rows": data.count(),
        "shape": data.shape.name,
        "evidence": data.shape.evidence,
        "fields": dict(data.shape.fields),
        "looked_at": looked,
        "samples_read": samples,
        "turns": turns,
        "scored_turns": scored,
        "rendered": data.rendering(),
        "data_notes": list(data.notes),
        "shapes": dict(shapes.most_common()),
        "split_at": dict(split_at),
        "role_marks": dict(marks),
        "not_used": dict(unused.most_common()),
        "cannot_be_read": skipped,
        "codes": dict(codes.most_common()),
        "mask": renderer.facts() if renderer else None,
    }


def _scored_runs(read: Sample) -> int:
    """Runs of scored tokens in a row that the dataset tokenised, each of which is a turn; the first token never is."""
    return sum(1 for scored, _ in groupby(read.token_mask[1:]) if scored)


def _renderer(options: dict[str, Any]) -> Renderer:
    from screen.model.load import context_length, resolve
    from screen.pocket import MODEL_DIR
    from screen.rendering.renderer import Renderer
    from screen.rendering.templates.chat_template import load_template
    from screen.rendering.tokenizer import load_tokenizer

    folder: Path = resolve(options["model"], MODEL_DIR)
    tokenizer = load_tokenizer(str(folder))
    template = load_template(tokenizer, options["template"])
    context = context_length(folder)
    return Renderer(tokenizer, template, context=context, end_of_turn=options["end_of_turn"])


def _pieces(read: Sample, renderer: Renderer) -> list[tuple[str, bool]] | Skip:
    (rendered,) = renderer.render([read])
    return rendered if isinstance(rendered, Skip) else renderer.show(read)


def _as_object(read: Sample | Skip, renderer: Renderer | None) -> dict[str, Any]:
    place = {"row": read.place.row, "file": read.place.file, "line": read.place.line}
    if not isinstance(read, Skip) and renderer is not None:
        found = _pieces(read, renderer)
        if not isinstance(found, Skip):
            pieces = [{"text": text, "scored": scored} for text, scored in found]
            return {**place, "id": read.id, "variant": read.variant, "rendered": pieces}
        read = found
    if isinstance(read, Skip):
        return {**place, "skipped": {"stage": read.stage, "code": read.code, "message": read.message}}
    turns = [{"role": t.role, "scored": t.scored, "content": t.content, "reasoning": t.reasoning} for t in read.turns]
    return {**place, "id": read.id, "variant": read.variant, "turns": turns}


def _print(facts: dict[str, Any], rows: list[Sequence[Sample | Skip]], renderer: Renderer | None, render: str) -> None:
    from screen_reports import notes
    from screen_reports.console import Terminal
    from screen_reports.text import one_line, plural

    terminal = Terminal()
    told = notes.lines("dataset", facts, True)
    if facts["looked_at"]:
        all_rows = facts["looked_at"] == facts["rows"]
        of = "" if all_rows else f", in the first {plural(facts['looked_at'], 'row')}"
        scored = plural(facts["scored_turns"], "scored turn")
        told.append(("samples", f"{facts['samples_read']:,} with {scored} of {facts['turns']:,}{of}"))
    told += [(label, one_line(text)) for label, text in notes.coverage(facts)]
    if facts["codes"]:
        told.append(("skipped", ", ".join(f"{n:,} {code}" for code, n in facts["codes"].items())))
    if facts["mask"]:
        told += notes.lines("mask", {**facts["mask"], "shape": facts["shape"], "render": render}, True)
    for label, text in told:
        terminal.fact(label, text)
    for row in rows:
        for read in row:
            terminal.put()
            _print_row(terminal, read, renderer)


def _middle_cut(text: str) -> str:
    """A piece with its two ends, where it is very long: what is marked is seen, and a terminal is not flooded."""
    if len(text) <= 2 * _LONG:
        return text
    return f"{text[:_LONG]} ({len(text) - 2 * _LONG:,} characters more: --json) {text[-_LONG:]}"


def _print_row(terminal: Terminal, read: Sample | Skip, renderer: Renderer | None) -> None:
    from screen_reports.text import plural

    found = _pieces(read, renderer) if renderer is not None and not isinstance(read, Skip) else None
    if isinstance(read, Skip) or isinstance(found, Skip):
        skip = read if isinstance(read, Skip) else found
        assert isinstance(skip, Skip)
        terminal.put(f"row {skip.place.row:,}, {skip.place}: would be skipped", style="bold")
        terminal.put(f"{skip.code} ({skip.stage}): {skip.message}")
        return
    side = f", {read.variant}" if read.variant else ""
    name = f", id {read.id}" if read.id is not None else ""
    terminal.put(f"row {read.row:,}{side}, {read.place}{name}", style="bold")
    if found is not None:
        told = [(_middle_cut(text) if terminal.cutting else text, scored) for text, scored in found]
        terminal.block(terminal.marked(told))
        return
    if read.layout == "tokens":
        scored = f"{sum(read.token_mask[1:]):,} scored"
        terminal.put(f"{plural(len(read.token_ids), 'token')}, {scored}; see them with --show-mask")
    for turn in read.turns:
        parts = ", ".join(f"{n} {kind}" for kind, n in turn.other_parts.items())
        about = [f"{turn.role}{' (scored)' if turn.scored else ''}", *([f"not scored: {parts}"] if parts else [])]
        terminal.put(", ".join(about), style="cyan" if turn.scored else "")
        text = turn.content if turn.reasoning is None else f"<think>{turn.reasoning}</think>\n{turn.content}"
        for shown in (text, *(f"calls {dict(call)}" for call in turn.tool_calls)):
            cut = terminal.cutting and len(shown) > _SHORT
            terminal.block(f"{shown[:_SHORT]} ({len(shown) - _SHORT:,} characters more)" if cut else shown)
