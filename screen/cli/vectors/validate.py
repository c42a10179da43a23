"""`screen vectors validate`: is a vector any good? And how a report looks, for `build` too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.errors import UsageError, VectorError

if TYPE_CHECKING:
    from screen.building.validation.vector_files import Report

_EPILOG = """\b
Examples:
  screen vectors validate vectors/evil.safetensors --model ./qwen2.5-7b
  screen vectors validate vectors/ --model ./qwen2.5-7b --judge endpoint
  screen vectors validate vectors/evil.safetensors --labels labelled.jsonl

\b
Each line of --labels: {"question": "...", "answer": "...", "label": true}
"""


@click.command("validate", short_help="Measure whether vectors separate and steer.", epilog=_EPILOG)
@click.argument("paths", metavar="FILE|DIR...", nargs=-1, required=True)
@click.option("--model", default="pocket", help="The model they were made for.  [default: the embedded model]")
@click.option("--judge", type=click.Choice(["auto", "rules", "endpoint", "local"]), default="auto", show_default=True)
@click.option("--trait", "traits", multiple=True, metavar="FILE", help="Trait file of a vector; repeatable.")
@click.option("--layer", multiple=True, metavar="TRAIT=N", help="Layer of a trait; repeatable.  [default: the card's]")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="Compare the judge with these labels.")
@click.option("--held-out", type=click.IntRange(1), default=2, show_default=True, help="Answers to each prompt.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of the curves.  [default: beside the vector]"
)
@click.option("--save", "keep", is_flag=True, help="Keep the report on the card.")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True)
@click.option("--device", metavar="auto|cpu|cuda|mps", default="auto", show_default=True)
@click.option("--force", is_flag=True, help="Exit 0 for a vector that is no better than its controls, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def command(paths: tuple[str, ...], **options: Any) -> None:
    """Validate vectors: held-out AUROC at each layer, steering, other traits' vectors, and controls.

    The curves are drawn beside each vector, as evil.svg. Answers and judgements are kept beside the vectors too, in
    .build, and are not made again. What belongs to the embedded model goes to the folder vectors/ here. The exit
    code is 4 where a vector is no better than its controls.
    """
    from screen.cli.runs import flags
    from screen.cli.vectors.build import Lines, stopping
    from screen.library import devices, early
    from screen.traits.trait import load_trait
    from screen.vectors.files import load_vectors
    from screen.vectors.fit import choose

    early.check_model(options["model"], options["template"])
    devices.check_device(options["device"])
    layers = flags.layers(options["layer"])
    choose(load_vectors(paths), (), layers or {})
    if options["labels"] is not None and not options["labels"].is_file():
        raise UsageError(f"--labels {options['labels']}: there is no such file", "check its path")
    traits = tuple(load_trait(name) for name in options["traits"])
    from screen.building.judges import judge_for
    from screen.building.spec import BuildSpec
    from screen.building.validation.vector_files import save_report, validate_files
    from screen.pocket import VECTORS_DIR

    device, dtype = devices.machine(options["device"], options["dtype"])
    spec = BuildSpec(
        traits=traits,
        model=options["model"],
        held_out=options["held_out"],
        seed=options["seed"],
        template=options["template"],
        device=device,
        dtype="bfloat16" if dtype == "bfloat16" else "float32",
    )
    first = Path(paths[0])
    beside = first if first.is_dir() else first.parent
    work: Path = options["out"] or (Path("vectors") if beside.resolve() == VECTORS_DIR.resolve() else beside)
    with stopping(work):
        reports = validate_files(
            paths,
            spec,
            work,
            judge=judge_for(options["judge"], options["model"]),
            layers=layers,
            labels=options["labels"],
            progress=Lines(options["quiet"]),
        )
    for report in reports:
        draw(
            work / Path(report.vector.source).name,
            report.vector.trait,
            report.verdict.facts,
            steering_of(report.vector.card),
        )
        if options["keep"]:
            save_report(report)
    if options["as_json"]:
        print_json([_json(report) for report in reports])
    else:
        for report in reports:
            print_report(report.vector.trait, Path(report.vector.source), report.verdict.facts, report.judge)
    worst = [r for r in reports if r.verdict.failed]
    if worst and not options["force"]:
        names = ", ".join(f"{r.vector.trait} ({', '.join(r.verdict.failed)})" for r in worst)
        raise VectorError(f"no better than its controls: {names}", "do not screen with it; rebuild it, or see --force")


def _json(report: Report) -> dict[str, Any]:
    vector = report.vector
    return {"trait": vector.trait, "file": vector.source, "validation": report.verdict.facts, "judge": report.judge}


def steering_of(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steering at every layer that a card tells of, if it does."""
    choice = card.get("layer_choice")
    points = choice.get("steering") if isinstance(choice, Mapping) else None
    return list(points) if isinstance(points, list) else []


def draw(path: Path, trait: str, facts: Mapping[str, Any], steering: list[Mapping[str, Any]]) -> Path:
    """Write `evil.svg` beside `evil.safetensors`."""
    from screen_reports.curves import vector_picture

    from screen.disk import storing, write_atomically

    target = path.with_suffix(".svg")
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, vector_picture(trait, facts["layer"], facts, steering).encode())
    return target


def print_report(trait: str, path: Path, facts: Mapping[str, Any], judge: Mapping[str, Any] | None = None) -> None:
    """One vector's report in the terminal."""
    from screen_reports.console import Terminal
    from screen_reports.text import near

    terminal = Terminal()
    terminal.put()
    terminal.fact("vector", f"{near(path)}: {trait}, layer {facts['layer']}")
    positive, negative = (facts["held_out"]["sides"][side]["kept"] for side in ("positive", "negative"))
    area = f"AUROC {facts['auroc_at_layer']:.3f}{_interval(facts.get('auroc_interval'))}"
    terminal.fact("held out", f"{area} on {positive} and {negative} answers")
    terminal.fact("controls", "; ".join(_control(name, value) for name, value in facts["controls"].items()))
    for other, cosine in facts["cosine"].items():
        cross = facts["cross_auroc"][other]
        terminal.fact("beside", f"the {other} vector: cosine {cosine:+.3f}, AUROC {cross:.3f} on {trait}'s answers")
    if (share := facts["top_ten_share"][facts["layer"]]) is not None:
        terminal.fact("norm", f"{100 * share:.0f} % of the squared norm lies in the ten largest dimensions")
    if judge is not None:
        told = {name: _number(value) for name, value in judge.items() if not name.endswith("_interval")}
        told |= {name: f"{said}{_interval(judge.get(f'{name}_interval'))}" for name, said in told.items()}
        terminal.fact("judge", ", ".join(f"{name} {said}" for name, said in told.items()))
    for warning in facts["warnings"]:
        terminal.fact("note", warning)
    if facts["failed"]:
        terminal.fact("warning", f"no better than {', '.join(facts['failed'])}")
    _curves(terminal, facts)


def _curves(terminal: Any, facts: Mapping[str, Any]) -> None:
    layers = [
        [f"{n} *" if n == facts["layer"] else f"{n}  ", _number(a), _number(e)]
        for n, (a, e) in enumerate(zip(facts["auroc"], facts["effect"], strict=True))
    ]
    terminal.put()
    terminal.table([("layer  ", "right"), ("AUROC", "right"), ("effect", "right")], layers)
    steering = [[f"{p['coefficient']:+g}", f"{p['score']:.1f}", f"{p['coherence']:.1f}"] for p in facts["steering"]]
    terminal.put()
    terminal.table([("coefficient", "right"), ("trait", "right"), ("coherence", "right")], steering)


def _control(name: str, value: object) -> str:
    said = name.replace("_", " ")
    if isinstance(value, Mapping):
        return f"{said} {value['mean']:.3f} (95th percentile {value['p95']:.3f})"
    return f"{said} {value:.3f}"


def _interval(ends: Sequence[float] | None) -> str:
    """ " (0.983 to 1.000)"; nothing for a card that was written without."""
    return f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)
