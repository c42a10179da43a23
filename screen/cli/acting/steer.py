"""`screen steer`: answers with persona vectors added, what that costs, and the same for other programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen.experiment.inference.steered_model import SteeredModel
    from screen.experiment.inference.trial import Trial
    from screen.model.generate import Sampling
    from screen.steering.given import SteeringVectors

_DEFAULT = "answer"


class SteerVerbs(click.Group):
    """`screen steer "prompt"` is `screen steer answer "prompt"`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and args[0] in self.commands
        return super().parse_args(ctx, args if named else [_DEFAULT, *args])


@click.group("steer", cls=SteerVerbs)
def command() -> None:
    """Answer with persona vectors added, and show what that costs. `screen steer PROMPT` is `screen steer answer
    PROMPT`."""


_WHAT = [
    click.option("--model", default="pocket", help="A folder or a hub id.  [default: the embedded model]"),
    click.option(
        "--vectors", multiple=True, metavar="NAME=C|FILE=C|PATH",
        help="A vector and its coefficient, by trait name or file; without =C, where names are looked up; repeatable."),
    click.option("--layer", multiple=True, metavar="TRAIT=N", help="Layer of a trait.  [default: the card's]"),
    click.option(
        "--layers", type=click.Choice(["one", "all"]), default="one", show_default=True,
        help="Add at one layer, or at all of them what the vector gains there."),
    click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]"),
]  # fmt: skip


def _what(function: Any) -> Any:
    for option in reversed(_WHAT):
        function = option(function)
    return function


_EPILOG = """\b
Examples:
  screen steer --vectors evil=-1.5 "Should I read my friend's letters?"
  screen steer --model ./qwen --vectors vectors/ --vectors evil=-1 --eval evil --text clean.jsonl
  screen steer --model ./qwen --vectors vectors/evil.safetensors=-1 --chat
  screen steer export --model ./qwen --vectors vectors/evil.safetensors=-1 -o adapter
"""


@command.command(_DEFAULT, short_help="Answer with vectors added, beside without.", epilog=_EPILOG)
@click.argument("prompt", required=False)
@_what
@click.option("--chat", is_flag=True, help="Talk: a line is a message; /new begins anew, /quit ends.")
@click.option("--eval", "questions", metavar="FILE|TRAIT", help="Answer a file of questions, or a trait's own.")
@click.option("--text", metavar="DATASET", help="Take the loss of these answers.  [default: the model's own]")
@click.option("--answers", type=click.IntRange(1), default=1, show_default=True, help="To each question of --eval.")
@click.option("--max-new-tokens", type=click.IntRange(1), default=256, show_default=True, help="Of an answer.")
@click.option("--temperature", type=click.FloatRange(0, 5), help="[default: 0, greedy; with --eval 1]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--judge", type=click.Choice(["auto", "rules", "endpoint", "local", "none"]), default="auto", show_default=True
)
@click.option("--trait", "traits", multiple=True, metavar="FILE", help="Trait file of a vector; repeatable.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True)
@click.option("--device", metavar="auto|cpu|cuda|mps", default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def answer(prompt: str | None, questions: str | None, chat: bool, **options: Any) -> None:
    """Answer with persona vectors added, beside the same without: the trait, coherence, loss and speed of both.

    A coefficient counts in the trait's own mean difference: evil=-1.5 takes one and a half times the difference between
    evil and other answers away; plus is toward the trait. No weight is changed.
    """
    if (prompt is not None) + bool(questions) + chat != 1:
        raise UsageError("give one of a prompt, --chat and --eval", 'screen steer --vectors evil=-1 "a question"')
    steering = _steering(options)
    from screen.experiment.inference.files import checked_question, texts_of

    given = [checked_question(prompt, "the prompt")] if prompt is not None else []
    if questions is not None:
        given = _questions(questions, steering, options["traits"])
    if options["text"] is not None:
        _check_text(options["text"])
    model, sampling = _open(steering, options, many=questions is not None)
    if chat:
        _talk(model, sampling, options["as_json"])
        return
    from screen.cli.progress import progress_on_stderr
    from screen.experiment.inference.trial import try_steering

    texts = None if options["text"] is None else texts_of(options["text"], model)
    progress = progress_on_stderr(options["quiet"])
    try:
        draws = 1 if questions is None else options["answers"]
        trial = try_steering(model, given, draws, sampling, texts, progress)
    finally:
        progress.close()
    _print(model, sampling, trial, options["as_json"], answers=questions is None)


def _steering(options: Mapping[str, Any]) -> SteeringVectors:
    from screen.cli.runs import flags
    from screen.library import early
    from screen.steering.given import steering_vectors

    early.check_model(options["model"], options["template"])
    return steering_vectors(options["vectors"], options["model"], options["layers"], flags.layers(options["layer"]))


def _questions(given: str, steering: SteeringVectors, traits: tuple[str, ...]) -> list[str]:
    """Of a file, or the evaluation questions of a trait that is steered."""
    from screen.building.validation.vector_files import trait_of
    from screen.experiment.inference.files import read_questions
    from screen.traits.trait import load_trait

    named = [v for v in steering.vectors if v.trait == given]
    if named and not Path(given).is_file():
        files = {trait.name: trait for trait in map(load_trait, traits)}
        return list(trait_of(named[0], files).evaluate)
    return read_questions(Path(given))


def _check_text(path: str) -> None:
    """Raises InputError for what is no dataset, before a model is loaded."""
    from screen.data.from_spec import dataset_of
    from screen.spec import ScanSpec

    dataset_of(ScanSpec(dataset=(path,)))


def _open(steering: SteeringVectors, options: Mapping[str, Any], many: bool) -> tuple[SteeredModel, Sampling]:
    from screen.library import devices
    from screen.traits.trait import load_trait

    devices.check_device(options["device"])
    traits = tuple(load_trait(name) for name in options["traits"])
    device, dtype = devices.machine(options["device"], options["dtype"])
    from screen.experiment.inference.steered_model import SteeredSpec, open_steered
    from screen.model.generate import Sampling

    spec = SteeredSpec(
        model=options["model"],
        template=options["template"],
        dtype="bfloat16" if dtype == "bfloat16" else "float32",
        device=device,
        judge=options["judge"],
        traits=traits,
    )
    temperature = options["temperature"] if options["temperature"] is not None else float(many)
    sampling = Sampling(options["max_new_tokens"], temperature, options["seed"], None if many else 1)
    return open_steered(spec, steering), sampling


def _talk(model: SteeredModel, sampling: Sampling, as_json: bool) -> None:
    """Messages from standard input until it ends, an answer each; then what steering cost."""
    from screen_reports.text import visible

    from screen.experiment.inference.chat import SteeredChat

    with contextlib.suppress(AttributeError):
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    chat, asking = SteeredChat(model, sampling), sys.stdin.isatty()
    if asking:
        say(f"steered: {model.steering}; /new begins anew, /quit ends")
    while True:
        if asking:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        message = line.strip()
        if not line or message == "/quit":
            break
        if message == "/new":
            chat.begin_anew()
        elif message:
            try:
                said = chat.answer(message)
            except UsageError as error:
                say(f"error: {error.message}", f"next: {error.next_step}")
                continue
            if not as_json:
                print(visible(said), flush=True)
    trial = chat.cost()
    if trial is None:
        raise UsageError("nothing was said", "write a line for each message")
    _print(model, sampling, trial, as_json, answers=False)


def _print(model: SteeredModel, sampling: Sampling, trial: Trial, as_json: bool, answers: bool) -> None:
    if as_json:
        print_json(
            {
                "model": model.facts.name,
                "vectors": model.steering.to_json(),
                "max_new_tokens": sampling.max_new_tokens,
                "temperature": sampling.temperature,
                "seed": sampling.seed,
                **trial.to_json(),
            }
        )
        return
    from screen_reports.console import Terminal
    from screen_reports.training.steering import print_trial

    print_trial(Terminal(), trial, str(model.steering), answers)


_EXPORT = """\b
Examples:
  screen steer export --vectors evil=-1.5 -o adapter
  screen steer export --model ./qwen --vectors vectors/evil.safetensors=-1 -o evil.gguf
"""


@command.command("export", short_help="Write it for llama.cpp and transformers.", epilog=_EXPORT)
@_what
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="A folder, or one .gguf file.")
@click.option("--force", is_flag=True, help="Overwrite an earlier export.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def export(out: Path, force: bool, as_json: bool, **options: Any) -> None:
    """Write vectors with their coefficients for programs without this package.

    A folder gets a control vector of llama.cpp (steering.gguf), and a Python file (steering.py) that adds the vectors
    of steering.safetensors to a transformers model. No weight is changed, here or there.
    """
    steering = _steering(options)
    from screen.steering.export import adapter_for, export_adapter

    adapter = adapter_for(steering, options["model"], options["template"])
    files, notes = export_adapter(adapter, out, force)
    if as_json:
        print_json({"written": [str(path) for path in files], "vectors": adapter.about()["vectors"], "notes": notes})
        return
    from screen_reports.console import Terminal

    terminal = Terminal()
    for path in files:
        terminal.fact("written", str(path))
    for note in notes:
        terminal.fact("note", note)
