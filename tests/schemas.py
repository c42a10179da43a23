"""What verbs print with --json, held against docs/json/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[1] / "docs" / "json"


def validated(name: str, out: str) -> list[Any]:
    """The documents on standard output, one or one a line, each as its schema says."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    try:
        documents = [json.loads(out)]
    except json.JSONDecodeError:
        documents = [json.loads(line) for line in out.splitlines()]
    assert documents
    for document in documents:
        jsonschema.Draft202012Validator(schema).validate(document)
    return documents
