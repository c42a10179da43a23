"""`screen monitor`: what a deployed or a training model says. Each verb in a file of its own, imported when called."""

from __future__ import annotations

import importlib

import click

VERBS: dict[str, tuple[str, str]] = {
    # verb -> (module with `command`, one line of help)
    "log": ("screen.cli.acting.log", "Score the conversations that a model had."),
    "serve": ("screen.cli.acting.serve", "Pass requests on to a server, and score the answers."),
    "watch": ("screen.cli.acting.watch", "Tell how far each checkpoint has moved."),
}
_EPILOG = """\b
Examples:
  screen monitor log conversations.jsonl --reference clean.reference
  screen monitor serve --upstream http://localhost:8000/v1 -o watched
  screen monitor watch out/ --model ./qwen2.5-7b --vectors vectors/
"""


class MonitorVerbs(click.Group):
    """Imports a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        from screen.cli.main import with_verbose

        loaded = importlib.import_module(VERBS[cmd_name][0]).command
        assert isinstance(loaded, click.Command)
        return with_verbose(loaded)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group("monitor", cls=MonitorVerbs, epilog=_EPILOG)
def command() -> None:
    """Watch what a model says, beside how clean conversations score."""
