"""`screen vectors validate`: is a vector any good?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.progress import progress_on_stderr, stopping
from screen.cli.vectors.report import draw, print_report, steering_of
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
    progress = progress_on_stderr(options["quiet"])
    with stopping(progress, "answers and judgements so far are kept in", work):
        reports = validate_files(
            paths,
            spec,
            work,
            judge=judge_for(options["judge"], options["model"]),
            layers=layers,
            labels=options["labels"],
            progress=progress,
        )
    for report in reports:
        draw(
            work / Path(report.vector.source).name,
            report.vector.trait,
            report.result.facts,
            steering_of(report.vector.card),
        )
        if options["keep"]:
            save_report(report)
    if options["as_json"]:
        print_json([_json(report) for report in reports])
    else:
        for report in reports:
            print_report(report.vector.trait, Path(report.vector.source), report.result.facts, report.judge)
    worst = [r for r in reports if r.result.failed]
    if worst and not options["force"]:
        names = ", ".join(f"{r.vector.trait} ({', '.join(r.result.failed)})" for r in worst)
        raise VectorError(f"no better than its controls: {names}", "do not screen with it; rebuild it, or see --force")


def _json(report: Report) -> dict[str, Any]:
    vector = report.vector
    judge = None if report.judge is None else asdict(report.judge)
    return {"trait": vector.trait, "file": vector.source, "validation": report.result.facts, "judge": judge}
