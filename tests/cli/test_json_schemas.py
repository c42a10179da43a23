"""What verbs print with --json is as docs/json/ describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.conftest import Screen

SCHEMAS = Path(__file__).parents[2] / "docs" / "json"
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
    "verify": ("verify", "chats.audit", "--dataset", "chats.jsonl", "--json"),
    "sample": ("sample", "chats.screen", "-n", "3", "-o", "look.jsonl", "--json"),
}
ELSEWHERE = {"validate"}  # what trains: tests/experiment/test_validate.py


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_json_is_as_its_schema_says(verb: str, screen: Screen, run: Path) -> None:
    schema = json.loads((SCHEMAS / f"{verb}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    if verb in BEFORE:
        screen(*BEFORE[verb])
    said = screen(*COMMANDS[verb])
    assert said.code == (verb == "gate"), said.err  # which fails, so that it has rows to show
    jsonschema.Draft202012Validator(schema).validate(json.loads(said.out))


def test_every_schema_is_held_against_real_output() -> None:
    assert {path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir()} == set(COMMANDS) | ELSEWHERE


def unexplained(schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """Keys without a description, wherever they stand."""
    for key, inner in schema.get("properties", {}).items():
        if not inner.get("description"):
            yield f"{at}.{key}"
    for key, inner in schema.items():
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, dict):
                yield from unexplained(one, f"{at}.{key}")


@pytest.mark.parametrize("verb", sorted({*COMMANDS, *ELSEWHERE}))
def test_a_schema_explains_every_key(verb: str) -> None:
    schema = json.loads((SCHEMAS / f"{verb}.schema.json").read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"]
    assert not list(unexplained(schema))
