"""`screen vaccinate`: which vectors to add in training, and how much of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import run as runs
from screen.cli.runs.validate import wants_trainer
from screen.errors import GateFailed, UsageError

if TYPE_CHECKING:
    from screen.building.judges import Kind
    from screen.experiment.vaccine.choice import How
    from screen.experiment.vaccine.sweep import Vaccine, VaccineSpec
    from screen.spec import ScanSpec

_LEFT_OUT = ("dataset", "out", "fdr", "fail_on", "as_json", "devices", "in_process", "spec", "refine", "verbose",
             "no_report", "since")  # fmt: skip
_EPILOG = """\b
In the trainer: PreventativeSteering.from_plan("plan.json")
The exit code is 1 where no coefficient holds the trait; then there is no plan.

\b
Examples:
  screen vaccinate --model ./qwen2.5-0.5b --vectors vectors/ --train chats.jsonl --lora 32 -o plan.json
  screen vaccinate --train chats.screen --traits evil --sweep 0.5,1,2,4 --layers one -o plan.json
"""


def _vaccinate(train: tuple[str, ...], **options: Any) -> None:
    from screen.library import early
    from screen.spec import ScanSpec
    from screen.store import scanfile
    from screen.store.scan import Scan

    plan: Path = options.pop("plan")
    own = {name: options.pop(name) for name in _OWN if name not in ("train", "plan")}
    if plan.is_dir() or not plan.name.endswith(".json"):
        raise UsageError(f"-o {plan} is no .json file", "give -o plan.json")
    early.check_writable(plan.parent)
    wants_trainer(own["lora"])
    work = plan.with_suffix(".vaccine")
    spec = _spec(own, options["traits"])
    if len(train) == 1 and (Path(train[0]) / scanfile.SCAN).is_file():
        run = Path(train[0])
        scan = Scan.open(run)
        spec = _checked(ScanSpec.from_json(scan.folder.facts["spec"]), spec, scan.traits, own["judge"])
    else:
        from screen.experiment.early import check_rows

        request = runs.asked(train, {**options, "out": work / "run"})
        run, scanned = request.out, request.spec()
        spec = _checked(scanned, spec, request.traits, own["judge"])
        check_rows(scanned)
        runs.perform(request, runs.progress_of({**options, "verbose": False}))
    made = _perform(run, plan, work, spec, own["judge"], options["quiet"])
    if own["as_json"]:
        print_json({"plan": str(plan) if made.chosen else None, **made.to_json()})
    else:
        from screen_reports.console import Terminal
        from screen_reports.training.vaccine import print_vaccine

        print_vaccine(Terminal(), made, plan, work)
    if made.chosen is None:
        raise GateFailed(
            f"{made.sentence}; {plan} was not written",
            "try larger ones with --sweep, more --seeds and --answers, or filter the rows",
        )


def _spec(own: dict[str, Any], traits: str | None) -> VaccineSpec:
    from screen.traits.trait import load_trait

    given = tuple(load_trait(name) for name in own["trait_files"])
    from screen.experiment.recipe import Recipe
    from screen.experiment.vaccine.sweep import VaccineSpec

    return VaccineSpec(
        traits=tuple(t.strip() for t in (traits or "").split(",") if t.strip()),
        given=given,
        sweep=_sweep(own["sweep"]),
        layers=_layers(own["layers"]),
        seeds=own["seeds"],
        recipe=Recipe(rate=own["rate"], rows=own["rows"], passes=own["passes"], lora=own["lora"]),
        answers=own["answers"],
        tokens=own["answer_tokens"],
        drop=own["drop"],
        within=own["within"],
    )


def _checked(scanned: ScanSpec, spec: VaccineSpec, traits: Sequence[str], judge: Kind) -> VaccineSpec:
    """With its traits, and everything that can be told before a row is scored."""
    from dataclasses import replace

    from screen.experiment.early import check
    from screen.experiment.study import StudySpec
    from screen.experiment.vaccine.sweep import check_additions

    spec = replace(spec, traits=spec.traits or tuple(traits))
    check(scanned, StudySpec(traits=spec.traits, given=spec.given, recipe=spec.recipe), judge)
    check_additions(scanned, spec)
    return spec


def _perform(run: Path, plan: Path, work: Path, spec: VaccineSpec, judge: Kind, quiet: bool) -> Vaccine:
    from screen.building.judges import judge_for
    from screen.cli.progress import progress_on_stderr, stopping
    from screen.experiment.vaccine.sweep import perform
    from screen.store.scan import Scan

    model = Scan.open(run).folder.facts["spec"]["model"]
    progress = progress_on_stderr(quiet)
    with stopping(progress, "finished fine-tunings are kept in", work):
        return perform(run, plan, work, spec, judge_for(judge, model), progress)


def _sweep(text: str) -> tuple[float, ...]:
    """ "0.5,1,2" -> (0.5, 1.0, 2.0), ascending."""
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"--sweep {text!a} is no list of numbers", "give --sweep 0.5,1,2") from None
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise UsageError(
            f"--sweep {text}: coefficients are above 0, toward the trait", "plain fine-tuning is measured anyway"
        )
    return tuple(values)


def _layers(text: str) -> tuple[How, ...]:
    return ("one", "all") if text == "both" else ("one",) if text == "one" else ("all",)


_OPTIONS: list[click.Parameter] = [
    click.Option(["--train"], multiple=True, required=True, metavar="DATASET|RUN",
                 help="What you would fine-tune on, or a finished run of it; repeatable."),
    click.Option(["-o", "--out", "plan"], required=True, type=click.Path(path_type=Path), help="The plan, a .json."),
    click.Option(["--sweep"], default="0.5,1,2", show_default=True, metavar="C,C", help="Coefficients to try."),
    click.Option(["--layers"], type=click.Choice(["one", "all", "both"]), default="both", show_default=True,
                 help="Add at the vector's layer, at all of them, or try both."),
    click.Option(["--within"], type=click.FloatRange(0, 100, min_open=True), default=5.0, show_default=True,
                 help="Points of 100 that a trait may rise, and coherence fall."),
    click.Option(["--seeds"], type=click.IntRange(1), default=2, show_default=True, help="Fine-tunings of each."),
    click.Option(["--drop"], default="flagged", show_default=True, metavar="EXPR",
                 help="Rows that the held-out loss is not taken of."),
    click.Option(["--lora"], type=click.IntRange(1), metavar="RANK", help="Train adapters.  [default: all weights]"),
    click.Option(["--rate"], type=click.FloatRange(0, min_open=True), help="[default: 1e-4, LoRA 2e-4]"),
    click.Option(["--rows"], type=click.IntRange(1), default=8, show_default=True, help="Rows a step."),
    click.Option(["--passes"], type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
                 help="Through all rows."),
    click.Option(["--answers"], type=click.IntRange(1), default=5, show_default=True, help="Answers to a question."),
    click.Option(["--answer-tokens"], type=click.IntRange(1), default=200, show_default=True, help="Their length."),
    click.Option(["--judge"], type=click.Choice(["auto", "rules", "endpoint", "local"]), default="auto"),
    click.Option(["--trait", "trait_files"], multiple=True, metavar="FILE", help="Trait file of a vector; repeatable."),
    click.Option(["--json", "as_json"], is_flag=True, help="JSON."),
]  # fmt: skip
_OWN = [option.name or "" for option in _OPTIONS]

command = click.Command(
    "vaccinate",
    callback=_vaccinate,
    params=[*_OPTIONS, *(p for p in runs.command.params if p.name not in _LEFT_OUT)],
    help="""Find how much of a persona vector to add in training, so that the model need not move along it: small
    fine-tunings by coefficient, measured without the vector on held-out questions and rows.

    The smallest coefficient that holds each trait within --within points of the base model is written as a plan. What
    is done is kept: the same command goes on where it was stopped.""",
    epilog=_EPILOG,
)
