"""`screen vectors`: list and show persona vectors, import and export other tools' files. No model is loaded."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.errors import UsageError, VectorError
from screen.vectors.interchange.stated import CONVENTIONS, POOLINGS, SIGNS

if TYPE_CHECKING:
    from screen.vectors.persona import PersonaVector

ELSEWHERE: dict[str, tuple[str, str]] = {
    # verb -> (module with `command`, one line of help): verbs that run a model, imported when called
    "build": ("screen.cli.vectors.build", "Make vectors from trait files, on your model."),
    "validate": ("screen.cli.vectors.validate", "Measure vectors against controls."),
}
_TARGETS = ("persona-vectors", "assistant-axis", "repeng", "llama.cpp", "npy", "npz")


class VectorVerbs(click.Group):
    """The verbs of this file, and those of ELSEWHERE, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        from screen.cli.main import with_verbose

        loaded = importlib.import_module(ELSEWHERE[cmd_name][0]).command
        assert isinstance(loaded, click.Command)
        return with_verbose(loaded)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [(name, listed.get_short_help_str(60)) for name, listed in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, text) for name, (_, text) in ELSEWHERE.items())])


_EPILOG = """\b
Examples:
  screen vectors list vectors/
  screen vectors show vectors/evil.safetensors
  screen vectors import evil_response_avg_diff.pt --layer 20 -o vectors/
"""


@click.group("vectors", cls=VectorVerbs, epilog=_EPILOG)
def command() -> None:
    """Build, validate, list, show, import and export persona vectors."""


_LIST = """\b
Examples:
  screen vectors list
  screen vectors list vectors/ more/kind.safetensors
  screen vectors list vectors/ --json
"""


@command.command("list", short_help="List vectors, and what is known of each.", epilog=_LIST)
@click.argument("paths", metavar="[DIR|FILE]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def list_(paths: tuple[str, ...], as_json: bool) -> int:
    """List the vectors in folders or files.  [default: those of the embedded model]

    The exit code is 4 if a file cannot be read; the others are still listed.
    """
    from screen_reports.console import Terminal

    from screen.cli.vectors import shown
    from screen.pocket import VECTORS_DIR
    from screen.vectors.files import load_vector, vector_files

    vectors: list[PersonaVector] = []
    refused: list[tuple[Path, VectorError]] = []
    for path in vector_files(paths or (str(VECTORS_DIR),)):
        try:
            vectors.append(load_vector(path))
        except VectorError as why:
            refused.append((path, why))
    if as_json:
        errors = [{"file": str(path), "error": e.message, "next": e.next_step} for path, e in refused]
        print_json([shown.row_of(v) for v in vectors] + errors)
    elif vectors:
        shown.print_list(Terminal(), [shown.row_of(v) for v in vectors])
    if not as_json:
        for _, error in refused:
            say(f"refused: {error.message}", f"next: {error.next_step}")
    return VectorError.exit_code if refused else 0


_SHOW = """\b
Examples:
  screen vectors show vectors/evil.safetensors
  screen vectors show vectors/evil.safetensors --layers
  screen vectors show vectors/evil.safetensors --json
"""


@command.command("show", short_help="Show a vector's card and norms.", epilog=_SHOW)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--layers", is_flag=True, help="The norm of every layer, a line each.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(file: Path, layers: bool, as_json: bool) -> None:
    """Show the whole card of a vector FILE, and the norm of its direction at each layer."""
    from screen_reports.console import Terminal

    from screen.cli.vectors import shown
    from screen.vectors.files import load_vector

    vector = load_vector(file)
    if as_json:
        row, norms = shown.row_of(vector), shown.norms_of(vector)
        print_json({**row, "norms": norms, "warnings": list(vector.warnings), "card": vector.card})
    else:
        shown.print_card(Terminal(), vector, layers)


_IMPORT = """\b
Examples:
  screen vectors import evil_response_avg_diff.pt --layer 20 -o vectors/
  screen vectors import axis.pt --convention assistant-axis --model-id Qwen/Qwen3-32B -o vectors/
  screen vectors import axis.pt --convention assistant-axis --sign away --trait role-playing -o vectors/
  screen vectors import honest.gguf --pooling last_token --layer 14 -o vectors/
  screen vectors import kind.npy --convention block --sign toward --layer 12 -o kind.safetensors
"""


@command.command("import", short_help="Make native files of other tools' files.", epilog=_IMPORT)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="A folder, or one .safetensors file.")
@click.option("--trait", metavar="NAME", help="What the directions point toward.  [default: from the file]")
@click.option("--layer", type=click.IntRange(0), help="The layer to screen at: a hidden_states row, 0 = embeddings.")
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    help="How the file numbers layers: hs, row i = hidden_states[i]; block, row i = output of block i ="
    " hidden_states[i+1]; or the tool that wrote it.  [default: what the file says]",
)
@click.option("--model-id", metavar="ID|DIR", help="The model it was made for; a folder's layers are checked.")
@click.option("--n-layers", type=click.IntRange(1, 10_000), help="How many layers (blocks) that model has.")
@click.option("--pooling", type=click.Choice(POOLINGS), help="The tokens it was averaged over.")
@click.option(
    "--sign",
    type=click.Choice(SIGNS),
    help="Where plus points in the file: toward the trait, or away from it, which turns it round."
    "  [default: what the tool that wrote it means by it]",
)
@click.option("--key", metavar="NAME", help="Which array, where the file holds several.")
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def import_(files: tuple[Path, ...], out: Path, force: bool, as_json: bool, **flags: Any) -> None:
    """Make native vector files of .pt, .gguf, .npy, .npz and .safetensors FILEs, with a card each.

    What a file does not say, you state; nothing is guessed. The card records the file's hash and all you stated.
    """
    from screen_reports.console import Terminal

    from screen.cli.vectors import flags as flag_values
    from screen.cli.vectors import shown
    from screen.vectors.files import import_vector, save_vector

    if flags["trait"] is not None and len(files) > 1:
        raise UsageError("--trait names one trait, but there are several files", "import them one by one")
    stated = flag_values.stated(flags)
    vectors = [import_vector(path, stated) for path in files]
    targets = flag_values.targets(out, [v.trait for v in vectors], force)
    for vector, target in zip(vectors, targets, strict=True):
        save_vector(vector, target)
    written = list(zip(targets, vectors, strict=True))
    if as_json:
        print_json([{"written": str(t), **shown.row_of(v), "card": v.card} for t, v in written])
        return
    terminal = Terminal()
    for target, vector in written:
        shown.print_imported(terminal, str(target), vector)


_EXPORT = """\b
Examples:
  screen vectors export vectors/evil.safetensors --to persona-vectors -o evil_response_avg_diff.pt
  screen vectors export vectors/evil.safetensors --to llama.cpp -o evil.gguf
  screen vectors export vectors/evil.safetensors --to npz -o evil.npz
"""


@command.command("export", short_help="Write a vector as another tool reads it.", epilog=_EXPORT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Choice(_TARGETS), help="The tool or kind of file.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def export(file: Path, target: str, out: Path, force: bool, as_json: bool) -> None:
    """Write a vector FILE as another tool reads it, and say what that format cannot hold."""
    from screen.cli.vectors import flags as flag_values
    from screen.disk import write_atomically, writing
    from screen.vectors.files import UNWRITABLE, load_vector
    from screen.vectors.interchange import outgoing

    vector = load_vector(file)
    suffix = outgoing.TARGETS[target][0]
    if out.suffix != suffix or out.is_dir():
        raise UsageError(
            f"{target} files end in {suffix}, not as {out} does", f"give -o a file name ending in {suffix}"
        )

    exported = outgoing.export(vector, target)
    flag_values.writable([out], force)
    with writing(out, UNWRITABLE):
        write_atomically(out, exported.data)
    if as_json:
        print_json({"written": str(out), "to": target, "trait": vector.trait, "notes": list(exported.notes)})
        return
    from screen_reports.console import Terminal

    terminal = Terminal()
    terminal.fact("written", f"{out}: {vector.trait}, as {target}")
    for note in exported.notes:
        terminal.fact("note", note)
