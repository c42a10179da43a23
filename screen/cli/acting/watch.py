"""`screen monitor watch`: how training moves a model, a checkpoint at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.cli.runs import flags
from screen.errors import GateFailed, InputError, UsageError

if TYPE_CHECKING:
    from screen.monitor.watch import CheckpointShift, Watcher

_EPILOG = """\b
Examples:
  screen monitor watch out/ --model ./qwen2.5-7b --vectors vectors/
  screen monitor watch out/ --once --limit 1 --plot shift.svg
  screen monitor watch out/ --idle 3600 --json
"""


@click.command("watch", epilog=_EPILOG)
@click.argument("checkpoints", type=click.Path(path_type=Path))
@click.option("--model", help="The model before training: a folder or a hub id.  [default: the embedded model]")
@click.option("--vectors", multiple=True, metavar="PATH", help="Persona vectors: files or folders; repeatable.")
@click.option("--traits", metavar="A,B", help="These traits only.")
@click.option("--layer", multiple=True, metavar="TRAIT=N", help="Layer of a trait; repeatable.  [default: the card's]")
@click.option("--reference", metavar="FILE", help="Clean rows, for their spread.  [default: those of the cards]")
@click.option("--trait", "trait_files", multiple=True, metavar="FILE", help="Trait file of a vector; repeatable.")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", help="[default: auto]")
@click.option("--device", metavar="auto|cpu|cuda|mps", default="auto", help="[default: auto]")
@click.option("--limit", type=click.FloatRange(0, min_open=True), metavar="SD",
              help="Stop, and exit 1, at a shift of so many standard deviations of clean rows.")  # fmt: skip
@click.option("--once", is_flag=True, help="Measure what is there, and do not wait for more.")
@click.option("--every", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Seconds between looks.")
@click.option("--idle", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop when none came for so long.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the shifts by step.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def command(checkpoints: Path, **options: Any) -> None:
    """Tell how far each checkpoint in CHECKPOINTS has moved along every vector, as training goes on.

    A shift is that of the last prompt token's projection over the traits' held-out questions, against --model.
    Folders of whole models and of peft adapters are read (adapters are merged in memory); a folder that is still being
    written is waited for. Ctrl-C ends the watch with what was measured.
    """
    from screen.monitor.checkpoints import find

    if options["plot"] is not None:
        _check_plot(options["plot"])
    find(checkpoints)  # a mistyped name is told before a model is loaded
    watcher = _opened(options)
    found: list[CheckpointShift] = []
    try:
        for shift in _measured(watcher, checkpoints, options):
            found.append(shift)
            if not options["as_json"]:
                _tell(shift)
            if options["limit"] is not None and not options["once"] and _over(shift, options["limit"]):
                break
    except KeyboardInterrupt:
        say("stopped")
    _told(found, checkpoints, options)


def _opened(options: dict[str, Any]) -> Watcher:
    from screen.library import devices, early, settings
    from screen.monitor.known import BASELINE, OF_CARD, Standard, of_reference
    from screen.scan.inputs import vectors_of
    from screen.scoring.findings.flags import reference_of
    from screen.store.reference import Reference
    from screen.traits.trait import load_trait

    model = options["model"] or "pocket"
    early.check_model(model, options["template"])
    layers = flags.layers(options["layer"])
    vectors = vectors_of(model, options["vectors"], settings.names(options["traits"]) or (), layers)
    given = {trait.name: trait for trait in map(load_trait, options["trait_files"])}
    known: dict[str, Standard] = {}
    held: Reference | None = None
    if options["reference"] is not None:
        held = Reference.load(Path(options["reference"]))
        known = of_reference(held, vectors)
    else:
        for vector, layer in zip(vectors.vectors, vectors.layers, strict=True):
            if (reference := reference_of(vector.card, layer, BASELINE.reference)) is not None:
                known[vector.trait] = Standard.of(reference)
    if options["limit"] is not None and (lacking := [t for t in vectors.traits if t not in known]):
        raise InputError(
            f"--limit counts standard deviations of clean rows, and {OF_CARD} of {lacking[0]} has none",
            "give --reference with a file of `screen reference build`",
        )
    device, dtype = devices.machine(options["device"], options["dtype"])
    from screen.monitor.watch import Dtype, Watcher

    return Watcher.open(
        model, vectors, known, reference=held, given=given, template=options["template"], dtype=cast(Dtype, dtype),
        device=device,
    )  # fmt: skip


def _measured(watcher: Watcher, folder: Path, options: dict[str, Any]) -> Iterator[CheckpointShift]:
    from screen.monitor.watch import new, whole

    if not options["once"]:
        yield from map(watcher.measure, new(folder, options["every"], options["idle"]))
        return
    done, unfinished = whole(folder)
    for checkpoint in unfinished:
        say(f"note: {checkpoint.name} is still being written, or damaged: left out")
    if not done:
        raise InputError(
            f"{folder} holds no whole checkpoint", "wait for one, or name the folder that the trainer writes them to"
        )
    yield from map(watcher.measure, done)


def _over(shift: CheckpointShift, limit: float) -> list[str]:
    from screen.monitor.watch import passed

    return passed(shift, limit)


def _tell(shift: CheckpointShift) -> None:
    from screen_reports.monitoring.watch import line

    say(line(shift))


def _told(found: list[CheckpointShift], folder: Path, options: dict[str, Any]) -> None:
    """Raises GateFailed where a shift passes --limit, ModelError where no checkpoint could be measured."""
    plot: Path | None = options["plot"]
    if plot is not None:
        from screen_reports.monitoring.watch import drawn

        from screen.disk import new_file, writing

        with writing(plot, "choose a folder that exists, with room"), new_file(plot) as scratch:
            scratch.write_text(drawn(found), encoding="utf-8")
    over = {shift["name"]: _over(shift, options["limit"]) for shift in found} if options["limit"] is not None else {}
    if options["as_json"]:
        limit = {"limit": options["limit"], "passed": [name for name, traits in over.items() if traits]}
        print_json({"folder": str(folder), "checkpoints": found, **limit, "plot": plot and str(plot)})
    else:
        from screen_reports.console import Terminal
        from screen_reports.monitoring.watch import print_watch

        print_watch(Terminal(), found, plot)
    for name, traits in over.items():
        if traits:
            raise GateFailed(
                f"{name} has moved {options['limit']:g} standard deviations of clean rows or more along"
                f" {', '.join(traits)}",
                "look at what it was trained on: screen run DATASET",
            )
    if found and all(shift["failed"] for shift in found):
        from screen.errors import ModelError

        raise ModelError(f"{found[0]['name']}: {found[0]['failed']}", "check --model, and what wrote the checkpoints")


def _check_plot(plot: Path) -> None:
    if plot.suffix != ".svg" or plot.is_dir() or not plot.parent.is_dir() or not os.access(plot.parent, os.W_OK):
        raise UsageError(f"--plot {plot}: not an .svg file in a folder that can be written", "give --plot shift.svg")
