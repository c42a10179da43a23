"""`screen vectors build`: from trait files to validated vectors, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.cli.progress import PlainProgress, progress_on_stderr, stopping
from screen.cli.vectors.report import draw, print_report, steering_of

if TYPE_CHECKING:
    from screen.building.build import Built
    from screen.building.spec import BuildSpec
    from screen.library.options import BuildOptions

_EPILOG = """\b
The endpoint is OPENAI_BASE_URL, its key OPENAI_API_KEY, its model OPENAI_MODEL.

\b
Examples:
  screen vectors build evil sycophancy hallucination
  screen vectors build evil --model ./qwen2.5-7b --judge endpoint -o vectors/
  screen vectors build ./defers.yaml --model ./qwen2.5-7b --rollouts 20
"""


@click.command("build", short_help="Make vectors from trait files, for a model.", epilog=_EPILOG)
@click.argument("traits", metavar="TRAIT|FILE...", nargs=-1, required=True)
@click.option("--model", default="pocket", help="A folder or a hub id.  [default: the embedded model]")
@click.option(
    "--judge",
    type=click.Choice(["auto", "rules", "endpoint", "local"]),
    default="auto",
    show_default=True,
    help="Who scores the answers; auto: rules for the embedded model, an endpoint where one is set, else the model.",
)
@click.option(
    "--answers",
    type=click.Choice(["model", "endpoint"]),
    default="model",
    show_default=True,
    help="Who makes the answers: the model here, or an endpoint that serves it.",
)
@click.option("--rollouts", type=click.IntRange(1), default=10, show_default=True, help="Answers to each prompt.")
@click.option("--held-out", type=click.IntRange(1), default=2, show_default=True, help="The same, to validate with.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Of an answer.  [default: 1000, or half the context]")
@click.option("--temperature", type=click.FloatRange(0.01, 5.0), default=1.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--minimum", type=click.IntRange(2), help="Kept answers a side.  [default: a tenth, from 10 to 50]")
@click.option("--layer-by", type=click.Choice(["steering", "separation"]), default="steering", show_default=True)
@click.option("--denoise", is_flag=True, help="Take out what varies most among the model's neutral answers.")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True)
@click.option("--device", metavar="auto|cpu|cuda|mps", default="auto", show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("vectors"), show_default=True)
@click.option("--force", is_flag=True, help="Save a vector no better than its controls; replace another model's.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def command(traits: tuple[str, ...], **options: Any) -> None:
    """Build a vector for each TRAIT, of the library or a file of your own.

    The model answers the trait's questions under its contrastive system prompts; a judge scores the answers; the
    vector is the difference of the mean states of those that show the trait and those that do not. Then its layer
    is chosen, and the vector validated on questions that it was not made from.

    The same command, typed again, goes on where a build stopped. The exit code is 4 if a vector is refused.
    """
    from screen.library.vectors import build_request

    request = build_request(traits, cast("BuildOptions", options))
    progress = progress_on_stderr(options["quiet"])
    _tell(request.spec, request.judge, progress)
    with stopping(progress, "answers and judgements so far are kept in", request.out):
        built = request.perform(progress)
    _report(built, options["as_json"])
    if built.refused:
        for error in built.refused[:-1]:
            say(f"error: {error.message}", f"next: {error.next_step}")
        raise built.refused[-1]


def _tell(spec: BuildSpec, asked: Any, progress: PlainProgress) -> None:
    from screen.building.judges import chosen

    kind = chosen(asked, spec.model)
    progress.note("judge", {"kind": kind, "by": "auto" if asked == "auto" else "name"})


def _report(built: Built, as_json: bool) -> None:
    for saved in built.vectors:
        card = saved.vector.card
        draw(saved.path, saved.vector.trait, card["validation"], steering_of(card))
    if as_json:
        print_json(
            {
                "made": [
                    {"file": str(m.path), "trait": m.vector.trait, "card": dict(m.vector.card)} for m in built.vectors
                ],
                "refused": [{"message": e.message, "next": e.next_step} for e in built.refused],
            }
        )
        return
    for saved in built.vectors:
        print_report(saved.vector.trait, saved.path, saved.vector.card["validation"])
