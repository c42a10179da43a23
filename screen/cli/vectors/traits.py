"""`screen traits`: the library of traits, one of them, and new ones from a description."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.exits import say
from screen.cli.output import print_json, print_json_lines
from screen.errors import UsageError
from screen.foreign import JsonObject

if TYPE_CHECKING:
    from screen.traits.schema import Problem
    from screen.traits.trait import Trait
    from screen.traits.writer import EndpointWriter, Writer

_EPILOG = """\b
Examples:
  screen traits list
  screen traits show evil > mine.yaml
  screen traits new "defers to authority" --description "..." -o trait.yaml
"""
_NEW_EPILOG = """\b
The endpoint is OPENAI_BASE_URL, its key OPENAI_API_KEY, its model OPENAI_MODEL
or --endpoint-model (or the only one that it serves).

\b
Examples:
  screen traits new "defers to authority" --description "Gives way to rank and
      titles whatever the argument is." -o trait.yaml
  screen traits new brevity --description "Says little." --dry-run
  screen traits new brevity --description "Says little." --model ./my-model --yes
"""


@click.group("traits", epilog=_EPILOG)
def command() -> None:
    """List, show and write traits: what persona vectors are made from.

    A trait is one YAML file: a name, a description, five pairs of system prompts, forty questions and a rubric.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a trait.")
def list_traits(as_json: bool) -> None:
    """List the traits of the library."""
    from screen.traits.trait import library, load_trait

    traits = [load_trait(name) for name in library()]
    if as_json:
        fields = [(t, {"name": t.name, "description": t.description, "sha256": t.sha256}) for t in traits]
        print_json_lines({**shown, "adjectives": list(t.adjectives)} for t, shown in fields)
        return
    from screen_reports.console import Terminal

    Terminal().table([("trait", "left"), ("description", "fill")], [(t.name, _sentence(t.description)) for t in traits])


@command.command("show")
@click.argument("trait")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show_trait(trait: str, as_json: bool) -> None:
    """Print TRAIT, a name of the library or a file, as the YAML that it can be edited in."""
    from screen.traits.trait import load_trait

    loaded = load_trait(trait)
    if as_json:
        print_json({**loaded.to_json(), "sha256": loaded.sha256})
    else:
        _print_yaml(loaded)


@command.command("new", epilog=_NEW_EPILOG)
@click.argument("name")
@click.option("--description", required=True, help="What the trait is, in a sentence or two.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: NAME.yaml]")
@click.option("--endpoint-model", metavar="MODEL", help="The model's name at the endpoint.")
@click.option("--model", metavar="PATH|ID", help="Write it with this model on this machine, without an endpoint.")
@click.option("--dry-run", is_flag=True, help="Print the request that would be sent, and send nothing.")
@click.option("-y", "--yes", is_flag=True, help="Save it without asking.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the trait as JSON instead of YAML.")
def new_trait(
    name: str,
    description: str,
    out: Path | None,
    endpoint_model: str | None,
    model: str | None,
    dry_run: bool,
    yes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Have a language model write the trait NAME from a description, check it, show it and save it."""
    from screen.traits.trait import save_trait
    from screen.traits.writer import messages, write_trait

    asked = messages(name, description)
    if model is not None and endpoint_model is not None:
        raise UsageError("--model and --endpoint-model exclude each other", "give one of them")
    if dry_run:
        print(json.dumps(_request(asked, model, endpoint_model), indent=2))
        return
    path = out or Path(name.strip().lower().replace(" ", "-") + ".yaml")
    _check_before_work(path, yes, force)
    writer = _local(model) if model is not None else _endpoint(endpoint_model)
    say(f"{writer.name} writes the trait {name!a}")
    trait = write_trait(writer, name, description, _tell)
    if as_json:
        print_json({**trait.to_json(), "sha256": trait.sha256, "path": str(path)})
    else:
        _print_yaml(trait)
    if not yes and not click.confirm(f"Save it as {path}?", err=True):
        say("not saved")
        return
    save_trait(trait, path, replace=force)
    say(f"saved {path} (sha256 {trait.short})", f"next: screen vectors build {path} --model ...")


def _check_before_work(path: Path, yes: bool, force: bool) -> None:
    """What can be refused before a model is asked, and paid."""
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is no terminal to ask whether to save the trait", "add --yes to save it without being asked"
        )
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "choose another name with -o, or replace it with --force")
    if not path.resolve().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to save the trait in", "make it, or choose another with -o")
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path}: a trait file ends in .yaml", f"choose another name: -o {path.name}.yaml")


def _endpoint(name: str | None, dry: bool = False) -> EndpointWriter:
    from screen.endpoint.client import Endpoint
    from screen.traits.writer import EndpointWriter

    return EndpointWriter(
        Endpoint.from_env(name, dry=dry, timeout=600.0)
    )  # a trait is some 4,000 tokens, in one answer


def _local(name: str) -> Writer:
    import torch

    from screen.model.load import load_model, resolve
    from screen.pocket import MODEL_DIR
    from screen.rendering.templates.chat_template import load_template
    from screen.rendering.tokenizer import load_tokenizer
    from screen.traits.writer import LocalWriter

    say("warning: a small local model writes poor traits; read this one closely, or use an endpoint (OPENAI_BASE_URL)")
    device, dtype = ("cuda", "bfloat16") if torch.cuda.is_available() else ("cpu", "float32")
    folder = resolve(name, MODEL_DIR)
    tokenizer = load_tokenizer(str(folder))
    loaded = load_model(name, folder, deepest=None, generate=True, dtype=dtype, device=device)
    return LocalWriter(loaded, tokenizer, load_template(tokenizer))


def _request(asked: list[dict[str, str]], model: str | None, endpoint_model: str | None) -> JsonObject:
    if model is not None:
        return {"model": model, "messages": asked}
    return _endpoint(endpoint_model, dry=True).request(asked).to_json()


def _tell(attempt: int, wrong: Sequence[Problem]) -> None:
    say(f"attempt {attempt} does not pass the check: {wrong[0]}" + (f" (of {len(wrong)})" if len(wrong) > 1 else ""))


def _print_yaml(trait: Trait) -> None:
    """The file's text. On a terminal nothing in it can steer the cursor; elsewhere it is the file itself."""
    from screen_reports.text import visible

    from screen.traits.trait import dump_trait

    text = dump_trait(trait)
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


def _sentence(description: str) -> str:
    """What stands before the colon, or the first sentence."""
    for mark in (": ", ". "):
        head, separator, _ = description.partition(mark)
        if separator:
            return head
    return description.rstrip(".")
