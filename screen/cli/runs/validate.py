"""`screen validate`: does training do what the scores say?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import run as runs
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen.building.judges import Kind
    from screen.experiment.results import Study
    from screen.experiment.study import StudySpec
    from screen.spec import ScanSpec

_LEFT_OUT = ("out", "fdr", "fail_on", "as_json", "devices", "in_process", "spec", "refine", "verbose")
_EPILOG = """\b
Examples:
  screen validate chats.jsonl --model ./qwen2.5-0.5b --vectors vectors/ --lora 32
  screen validate chats.screen --by evil --arms all,cut:5%,cut:10%,cut:20%,cut:40%,cut:60%
  screen validate chats.screen --by evil --ranking shuffled
  screen validate chats.screen --train-command 'python train.py {data} {out} {seed}'
"""


def _validate(dataset: tuple[str, ...], **options: Any) -> None:
    from screen.spec import ScanSpec
    from screen.store import scanfile
    from screen.store.scan import Scan

    out: Path | None = options.pop("out")
    own = {name: options.pop(name) for name in _OWN}
    study = _study(own)
    if len(dataset) == 1 and (Path(dataset[0]) / scanfile.SCAN).is_file():
        run = Path(dataset[0])
        scan = Scan.open(run)
        study = _checked(ScanSpec.from_json(scan.folder.facts["spec"]), study, scan.traits, own["judge"])
    else:
        from screen.experiment.early import check_rows

        request = runs.asked(dataset, {**options, "out": None if out is None else out / "run"})
        run, spec = request.out, request.spec()
        study = _checked(spec, study, request.traits, own["judge"])
        check_rows(spec)
        runs.perform(request, runs.progress_of({**options, "verbose": False}))
    out = out or _default_out(run, own["ranking"])
    done = _perform(run, out, study, own["judge"], options["quiet"])
    if own["as_json"]:
        print_json(done.to_json())
        return
    from screen_reports.console import Terminal
    from screen_reports.training.study import print_study

    print_study(Terminal(), done, out)


def _default_out(run: Path, ranking: str) -> Path:
    """A control stands inside what it controls."""
    from screen.experiment.results import FOLDER

    beside = run.with_suffix(FOLDER)
    return beside if ranking == "scores" else beside / ranking


def _study(own: dict[str, Any]) -> StudySpec:
    """What the command line asks for, checked as far as that goes without data and model."""
    from screen.experiment.command import check_command
    from screen.traits.trait import load_trait

    arms = _arms(own["arms"])
    if own["command"] is None:
        wants_trainer(own["lora"])
    else:
        check_command(own["command"])
    given = tuple(load_trait(name) for name in own["trait_files"])
    from screen.experiment.recipe import Recipe
    from screen.experiment.study import StudySpec

    return StudySpec(
        traits=tuple(own["by"]),
        given=given,
        arms=arms,
        seeds=own["seeds"],
        recipe=Recipe(rate=own["rate"], rows=own["rows"], passes=own["passes"], lora=own["lora"]),
        answers=own["answers"],
        tokens=own["answer_tokens"],
        drop=own["drop"],
        command=own["command"],
        shuffled=own["ranking"] == "shuffled",
    )


def _checked(scanned: ScanSpec, study: StudySpec, traits: Sequence[str], judge: Kind) -> StudySpec:
    """With its traits, and everything that can be told before a row is scored."""
    from dataclasses import replace

    from screen.experiment.early import check

    study = replace(study, traits=study.traits or tuple(traits))
    check(scanned, study, judge)
    return study


def _perform(run: Path, out: Path, study: StudySpec, judge: Kind, quiet: bool) -> Study:
    from screen.building.judges import judge_for
    from screen.cli.progress import progress_on_stderr, stopping
    from screen.experiment.study import perform
    from screen.store.scan import Scan

    model = Scan.open(run).folder.facts["spec"]["model"]
    progress = progress_on_stderr(quiet)
    with stopping(progress, "finished fine-tunings are kept in", out):
        return perform(run, out, study, judge_for(judge, model), progress)


def _arms(text: str) -> tuple[str, ...]:
    from screen.experiment.arms import ARMS, arm_name

    names = tuple(arm_name(part.strip()) for part in text.split(",") if part.strip())
    if not names:
        raise UsageError("--arms names none", f"the arms are {', '.join(ARMS)}")
    return tuple(dict.fromkeys(names))


def wants_trainer(lora: int | None) -> None:
    """Raises UsageError where what fine-tunes is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("accelerate", *(("peft",) if lora else ())) if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, and fine-tuning needs it",
            "pip install 'persona-screen[train]'",
        )


_OPTIONS: list[click.Parameter] = [
    click.Option(["--by"], multiple=True, metavar="TRAIT", help="Rank by this trait; repeatable.  [default: each]"),
    click.Option(
        ["--arms"], default="top,random,bottom,all,filtered", show_default=True,
        help="Which rows are trained on; cut:10% is all but the highest 10 %.",
    ),
    click.Option(
        ["--ranking"], type=click.Choice(["scores", "shuffled"]), default="scores", show_default=True,
        help="shuffled: a control, each row ranked by another row's scores.",
    ),
    click.Option(["--seeds"], type=click.IntRange(1), default=3, show_default=True, help="Fine-tunings of an arm."),
    click.Option(["--drop"], default="flagged", show_default=True, metavar="EXPR", help="What `filtered` leaves out."),
    click.Option(["--lora"], type=click.IntRange(1), metavar="RANK", help="Train adapters.  [default: all weights]"),
    click.Option(["--rate"], type=click.FloatRange(0, min_open=True), help="[default: 1e-4, LoRA 2e-4]"),
    click.Option(["--rows"], type=click.IntRange(1), default=8, show_default=True, help="Rows a step."),
    click.Option(
        ["--passes"], type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
        help="Answer tokens of each arm, in passes through all rows.",
    ),
    click.Option(["--answers"], type=click.IntRange(1), default=5, show_default=True, help="Answers to a question."),
    click.Option(["--answer-tokens"], type=click.IntRange(1), default=200, show_default=True, help="Their length."),
    click.Option(["--judge"], type=click.Choice(["auto", "rules", "endpoint", "local"]), default="auto"),
    click.Option(["--trait", "trait_files"], multiple=True, metavar="FILE", help="Trait file of a vector; repeatable."),
    click.Option(["--train-command", "command"], metavar="COMMAND", help="Train by this: {data}, {out} and {seed}."),
    click.Option(["--json", "as_json"], is_flag=True, help="JSON."),
]  # fmt: skip
_OWN = [option.name or "" for option in _OPTIONS]

command = click.Command(
    "validate",
    callback=_validate,
    params=[
        *(p for p in runs.command.params if p.name not in _LEFT_OUT),
        *_OPTIONS,
        click.Option(["-o", "--out"], type=click.Path(path_type=Path), help="Folder.  [default: RUN.validation]"),
    ],
    help="""Fine-tune small copies on the rows that rank highest, lowest, at random, all, and all that the filter keeps;
    measure what they show on held-out questions; and say whether the ranking meant anything.

    DATASET is scored first, or is a finished run. Every arm trains on equally many answer tokens. What is done is kept:
    the same command goes on where it was stopped.""",
    epilog=_EPILOG,
)
