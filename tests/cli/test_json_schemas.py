"""What verbs print with --json is as docs/json/ describes it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from screen.cli.main import VERBS
from screen.pocket import VECTORS_DIR
from tests.cli.conftest import Screen
from tests.schemas import SCHEMAS, validated

BUNDLE = ("export", "chats.screen", "--as", "audit", "--signed-by", "Me", "-o", "chats.audit", "--json")
BEFORE = {"verify": BUNDLE}  # verb -> a command line that makes what it is called on
COMMANDS = {  # verb -> a command line on the run of eight rows, whose output fills as much of the schema as one can
    "card": ("card", "chats.screen", "-o", "card.md", "--json"),
    "browse": ("browse", "chats.screen", "--json"),
    "compare": ("compare", "chats.screen", "chats.screen", "--json"),
    "doctor": ("doctor", "--json"),
    "estimate": ("estimate", "chats.jsonl", "--baseline", "last-prompt", "--traits", "evil", "--json"),
    "export": BUNDLE,
    "report": ("report", "chats.screen", "--json"),
    "gate": ("gate", "chats.screen", "evil>1%", "cannot-tell", "skipped>0%", "kind=review", "--labels", "--json"),
    "label": ("label", "chats.screen", "5", "6", "drop", "--note", "mean", "--list", "--json"),
    "monitor-log": ("monitor", "log", "chats.screen", "-o", "messages.jsonl", "--json"),
    "verify": ("verify", "chats.audit", "--dataset", "chats.jsonl", "--json"),
    "sample": ("sample", "chats.screen", "-n", "3", "-o", "look.jsonl", "--json"),
}


# what runs a model, on a run of the embedded one in this order; its first 104 rows make a reference
ON_A_MODEL = {
    "run": ("run", "long.jsonl", "--baseline", "last-prompt", "--no-report", "--max-errors", "none", "--json"),
    "inspect": ("inspect", "long.jsonl", "--show-mask", "-n", "2", "--json"),
    "explain": ("explain", "long.screen", "1", "--json"),
    "similar": ("similar", "long.screen", "1", "-n", "2", "--json"),
    "similar --copies": ("similar", "long.screen", "--copies", "--json"),
    "lift": ("lift", "long.screen", "--limit", "4", "--traits", "evil", "--json"),
    "check-numerics": ("check-numerics", "long.screen", "--rows", "2", "--json"),
    "selftest": ("selftest", "long.jsonl", "--limit", "24", "--traits", "evil", "--max-new-tokens", "4", "--json"),
    "reference-build": ("reference", "build", "long.screen", "-o", "long.reference", "--json"),
    "reference-show": ("reference", "show", "long.reference", "--json"),
    "reflag": ("reflag", "long.screen", "--at", "p95", "--json"),
}
EVIL = str(VECTORS_DIR / "evil.safetensors")
COMMANDS |= {
    "rank": ("rank", "chats.screen", "--by", "evil", "--json"),
    "cut": ("cut", "chats.screen", "--by", "evil", "--json"),
    "show": ("show", "chats.screen", "5", "--json"),
    "show a skipped row": ("show", "chats.screen", "3", "--json"),
    "status": ("status", "chats.screen", "--verify", "--json"),
    "sql": ("sql", "chats.screen", "select row, evil, id from scores", "--json"),
    "filter": ("filter", "chats.screen", "--drop", "flagged", "-o", "clean.jsonl", "--json"),
    "traits-list": ("traits", "list", "--json"),
    "traits-show": ("traits", "show", "evil", "--json"),
    "vectors-list": ("vectors", "list", EVIL, "--json"),
    "vectors-show": ("vectors", "show", EVIL, "--json"),
    "vectors-export": ("vectors", "export", EVIL, "--to", "npz", "-o", "evil.npz", "--json"),
    "vectors-import": ("vectors", "import", "kind.npy", "--convention", "block", "--sign", "toward", "--layer", "1",
                       "-o", "kind.safetensors", "--json"),
}  # fmt: skip
ELSEWHERE = {  # what takes long or a server: where its real output is held against its schema
    "steer-answer": "tests/experiment/test_steer.py",
    "steer-export": "tests/experiment/test_steer.py",
    "vaccinate": "tests/experiment/test_vaccine.py",
    "validate": "tests/experiment/test_validate.py",
    "monitor-watch": "tests/monitor/test_watch.py",
    "monitor-serve": "tests/monitor/serve/test_proxy.py",
    "traits-new": "tests/traits/test_traits.py",
    "vectors-build": "tests/building/test_commands.py",
    "vectors-validate": "tests/building/test_commands.py",
}


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_json_is_as_its_schema_says(verb: str, screen: Screen, run: Path) -> None:
    np.save("kind.npy", np.ones((2, 3), np.float32))
    if verb in BEFORE:
        screen(*BEFORE[verb])
    said = screen(*COMMANDS[verb])
    assert said.code == (verb == "gate"), said.err  # which fails, so that it has rows to show
    validated(verb.split()[0], said.out)


def test_json_of_what_runs_a_model_is_as_its_schema_says(screen: Screen, tmp_path: Path) -> None:
    rows = (SCHEMAS.parents[1] / "examples" / "support-chats.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "long.jsonl").write_text("".join([*rows[:104], "{broken\n"]))
    for verb, command in ON_A_MODEL.items():
        said = screen(*command, *(("-q",) if verb in ("run", "selftest") else ()))
        assert said.code == 0, (verb, said.err)
        validated(verb.split()[0], said.out)


def test_every_verb_has_a_schema_that_is_held_against_real_output() -> None:
    held = {verb.split()[0] for verb in (*COMMANDS, *ON_A_MODEL)} | set(ELSEWHERE)
    assert {path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir()} == held
    assert {name.replace(" ", "-") for name in typed_with_json()} == held
    for name, place in ELSEWHERE.items():
        text = (SCHEMAS.parents[1] / place).read_text()
        assert f'validated("{name}"' in text or f"{name}.schema.json" in text


def typed_with_json() -> Iterator[str]:
    """Every verb, and every verb of a group; each has --json."""
    for verb, (module, _) in VERBS.items():
        found = importlib.import_module(f"screen.cli.{module}").command
        context = click.Context(found)
        inner: dict[str, click.Command | None] = {verb: found}
        if isinstance(found, click.Group):
            inner = {f"{verb} {name}": found.get_command(context, name) for name in found.list_commands(context)}
        for name, command in inner.items():
            assert command is not None
            assert any("--json" in option.opts for option in command.params), f"{name} has no --json"
            yield name


def unexplained(schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """Keys without a description, wherever they stand."""
    for key, inner in schema.get("properties", {}).items():
        if not inner.get("description"):
            yield f"{at}.{key}"
    for key, inner in schema.items():
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, dict):
                yield from unexplained(one, f"{at}.{key}")


@pytest.mark.parametrize("path", sorted(SCHEMAS.iterdir()), ids=lambda path: path.name.partition(".")[0])
def test_a_schema_explains_every_key(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"]
    assert not list(unexplained(schema))
