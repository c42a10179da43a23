"""The pages of docs/reference/ from the code: `just docs` writes them, a test compares them."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).parent
_MADE = "<!-- made by `just docs` -->\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """(what is typed, the command), of every verb and of the verbs of groups."""
    from screen.cli.main import VERBS

    for verb, (module, _) in VERBS.items():
        found = importlib.import_module(f"screen.cli.{module}").command
        yield verb, found
        if isinstance(found, click.Group):
            context = click.Context(found)
            inner = {name: found.get_command(context, name) for name in found.list_commands(context)}
            yield from ((f"{verb} {name}", one) for name, one in inner.items() if one is not None)


def verbs_page() -> str:
    """Every verb with its arguments and options."""
    parts = [f"{_MADE}# Verbs\n\nEvery verb takes `-v`, which tells more with an error, and `--help`.\n"]
    for name, found in commands():
        context = click.Context(found, info_name=f"screen {name}", color=False)
        usage = " ".join(found.get_usage(context).removeprefix("Usage: ").split())
        about = inspect.cleandoc(found.help or "").replace("\b\n", "")
        parts.append(f"## `screen {name}`\n\n```\n{usage}\n```\n\n{escaped(about)}\n")
        own = [p for p in found.params if isinstance(p, click.Option) and p.name != "verbose"]  # which every verb has
        options = [option.get_help_record(context) for option in own]
        rows = [f"| `{cell(flag)}` | {escaped(cell(text))} |" for flag, text in filter(None, options)]
        if rows:
            parts.append("| option | |\n|---|---|\n" + "\n".join(rows) + "\n")
        if examples := (found.epilog or "").partition("Examples:")[2]:
            parts.append("```sh\n" + inspect.cleandoc(examples.strip("\n")) + "\n```\n")
    return "\n".join(parts)


def library_page() -> str:
    """What `import screen` offers."""
    import screen

    parts = [f"{_MADE}# The library\n\nHow it is used: [From Python](../library.md).\n"]
    for name in screen.__all__:
        if name in ("Run", "errors"):
            continue
        parts.append(function(f"screen.{name}", getattr(screen, name)))
    parts.append(f"## `screen.Run`\n\n{docstring(screen.Run)}\n")
    for name, value in [item for part in screen.Run.__mro__[:-1] for item in vars(part).items()]:
        told = value.fget if isinstance(value, property) else getattr(value, "func", value)
        if not name.startswith("_") and callable(told):
            parts.append(function(f"Run.{name}", told, level=3, called=inspect.isfunction(value)))
    parts.append(f"## `screen.errors`\n\n```text\n{inspect.getdoc(screen.errors)}\n```\n")
    return "\n".join(parts)


def function(name: str, found: Any, level: int = 2, called: bool = True) -> str:
    names = [p for p in inspect.signature(found).parameters.values() if p.name != "self"] if called else []
    more = len(names) > 8
    shown = ", ".join(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in names[: 1 if more else None])
    title = f"{name}({shown}{', **options' if more else ''})" if called else name
    return f"{'#' * level} `{title}`\n\n{docstring(found)}\n"


def docstring(found: Any) -> str:
    """As text, its examples as they stand."""
    return f"```text\n{inspect.getdoc(found)}\n```"


def json_page() -> str:
    """What each verb prints with --json."""
    head = "What verbs print with `--json`: one document on standard output. Each links its JSON Schema.\n"
    parts = [f"{_MADE}# JSON\n\n{head}"]
    for path in sorted((DOCS / "json").glob("*.schema.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        name = path.name.removesuffix(".schema.json")
        parts.append(f"## {name}\n\n{escaped(schema['description'])} [Schema](../json/{path.name})\n")
        while "properties" not in schema and "items" in schema:
            schema = schema["items"]
        keys = schema.get("properties", {})
        rows = [f"| `{key}` | {escaped(cell(inner.get('description', '')))} |" for key, inner in keys.items()]
        if rows:
            parts.append("| key | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def escaped(text: str) -> str:
    """Text as Markdown that says the same: what would be a tag or a mark is none."""
    return re.sub(r"([*_<>\[\]`])(?!\\)", r"\\\1", text)


PAGES = {"reference/verbs.md": verbs_page, "reference/library.md": library_page, "reference/json.md": json_page}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (DOCS / page).write_text(make(), encoding="utf-8")
