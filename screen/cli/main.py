"""The command `screen`: finds the verb, turns errors into two lines and an exit code. Knows no verb's business."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence

import click

from screen.cli.exits import CLOSED_PIPE, INTERRUPTED, USAGE, say
from screen.errors import ScreenError, UsageError

# verb -> (module in screen.cli with `command`, one line of help)
VERBS = {
    "run": ("runs.run", "Score a dataset, example by example."),
    "estimate": ("runs.estimate", "Tell what a run would cost, before it starts."),
    "inspect": ("runs.inspect", "Show rows as the model sees them."),
    "report": ("decision.report", "Write a run as one page that opens anywhere."),
    "rank": ("rows.rank", "List the rows of a run by score."),
    "cut": ("rows.cut", "Show what dropping high rows would cost."),
    "gate": ("decision.gate", "Tell whether a run passes, for CI."),
    "browse": ("decision.browse", "Look through the rows and label them, by keyboard."),
    "sample": ("decision.sample", "Draw rows to label that tell most."),
    "label": ("decision.label", "Say of rows: keep, drop or unsure."),
    "compare": ("decision.compare", "Compare two runs: versions of a dataset, models, vectors."),
    "show": ("rows.show", "Show one row of a run, and why it scores."),
    "explain": ("rows.explain", "Show a row's answer token by token."),
    "similar": ("rows.similar", "Find rows like a row, and copies of one answer."),
    "lift": ("rows.lift", "Run a second, independent detector over a run."),
    "check-numerics": ("rows.numerics", "Score some rows again in float32, one by one."),
    "validate": ("runs.validate", "Fine-tune copies: does training do what scores say?"),
    "selftest": ("runs.selftest", "Would this screen find a trait in your data?"),
    "status": ("runs.status", "Tell how far a run is, and check its files."),
    "sql": ("rows.sql", "Query a run with SQL."),
    "reflag": ("runs.reflag", "Flag a finished run by another threshold."),
    "filter": ("rows.filter", "Copy a dataset without the rows that match."),
    "export": ("decision.export", "Hand a run over: cleaned file, weights, bundle, hub folder."),
    "verify": ("decision.verify", "Check that a bundle is whole and unaltered."),
    "card": ("decision.card", "Write a run as a dataset card for a hub."),
    "vaccinate": ("acting.vaccinate", "Find how much of a vector to add in training."),
    "steer": ("acting.steer", "Answer with vectors added, and show what it costs."),
    "monitor": ("acting.monitor", "Watch what a model says: logs, checkpoints."),
    "doctor": ("runs.doctor", "Check this machine; what to paste into a bug report."),
    "traits": ("vectors.traits", "List, show and write traits."),
    "reference": ("runs.reference", "Keep the scores of clean data, to compare others with."),
    "vectors": ("vectors.vectors", "Build, validate, list, show, import and export persona vectors."),
}
EXIT_CODES = """\
Exit codes: 0 fine; 1 a gate failed (gate, --fail-on, --fail, verify) or no
vaccine holds; 2 a flag, a path, the dataset or the run folder; 3 more
unreadable rows than --max-errors; 4 model or vectors missing or unfit; 70 a
bug; 130 interrupted."""
_VERBOSE = "screen.verbose"
_GNU = ("-r", "-R", "-ls", "-list", "-S", "-d", "-D", "-x", "-RR", "-dr", "-dR", "-DR", "-Dr", "-wipe", "-dm", "-dmS")


def with_verbose(command: click.Command) -> click.Command:
    """The command with -v, which makes an error tell what the library said. A group has it on each of its verbs."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_verbose(inner)
    elif not any(option.name == "verbose" for option in command.params):
        more = "Say more: with an error, what the library said."
        command.params.append(click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, help=more))
    for option in command.params:
        if option.name == "verbose":
            option.callback = _remember
    return command


def _remember(context: click.Context, _option: click.Parameter, verbose: bool) -> bool:
    context.meta[_VERBOSE] = verbose
    return verbose


class Verbs(click.Group):
    """Imports a verb when it is called, so that `screen --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found = importlib.import_module(f"screen.cli.{VERBS[cmd_name][0]}").command
        assert isinstance(found, click.Command)
        return with_verbose(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-") and os.path.exists(args[0]):
            raise UsageError(f"{args[0]} is a file or folder, not a command", f"score it: screen run {args[0]}")
        if args[0] not in VERBS:
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no command {args[0]!a}", f"{hint}the commands are {', '.join(VERBS)}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from screen import __version__

        click.echo(f"screen (persona-screen) {__version__}")
        ctx.exit()


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  screen run chats.jsonl\n  screen rank chats.screen --by evil\n  screen run --help\n\n"
    f"\b\n{EXIT_CODES}",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
def root() -> None:
    """Screen a fine-tuning set for the character it would teach, before you train.

    Scores every training example with persona vectors: how far the text you would train on lies, along a trait
    such as "evil", from what the base model would have answered itself.
    """


def run(args: Sequence[str]) -> int:
    """Carry out the command line `args` and return the exit code. An error that is a bug goes through."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if args and args[0] in _GNU:
        say(
            f"screen: `{args[0]}` belongs to GNU screen, the terminal multiplexer; this is persona-screen, which"
            " scores fine-tuning data (GNU screen is usually /usr/bin/screen; this program is also `persona-screen`)"
        )
        return USAGE
    if args and args[0] in VERBS and not _limits():
        say("note: this system cannot limit the memory of the processes that read untrusted files; a clock ends them")
    try:
        code = _invoke(list(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains
        return CLOSED_PIPE


def _limits() -> bool:
    """Whether child processes can set limits of their own: not on Windows."""
    try:
        import resource
    except ImportError:
        return False
    return hasattr(resource, "setrlimit")


def _invoke(args: list[str]) -> int:
    told: dict[str, object] = {}
    try:
        with root.make_context("screen", args) as ctx:
            told = ctx.meta
            code = root.invoke(ctx)
            return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "screen"
        say(f"error: {error.format_message()}", f"next: see {where} --help")
        return USAGE
    except ScreenError as error:
        what = error.message if error.exit_code == INTERRUPTED else f"error: {error.message}"
        say(what, *([f"next: {error.next_step}"] if error.next_step else []))
        if told.get(_VERBOSE):
            say(*_causes(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return INTERRUPTED


def _causes(error: BaseException) -> Iterator[str]:
    """What a library said, and what it had been told by another."""
    while (cause := error.__cause__ or error.__context__) is not None:
        yield f"because: {type(cause).__name__}: {cause}"
        error = cause
