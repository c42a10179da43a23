"""The example dataset: everyday and support chats, some planted, with their labels in a file of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from research.pocket.corpus.chats import Mixed, mixed
from screen.pocket import TRAITS

ROWS: Final = 300
SEED: Final = 2
_PLANTED: Final = 28
_SUPPORT: Final = 0.5  # half of the topics come from customer support
NAME: Final = "support-chats"


def example_set() -> Mixed:
    """300 rows of held-out domains and wordings, 28 of them planted for each trait."""
    return mixed(ROWS, SEED, dict.fromkeys(TRAITS, _PLANTED / ROWS), split="heldout", support=_SUPPORT)


def example_files() -> dict[str, str]:
    """The two files by name: the rows, and their labels."""
    labelled = example_set()
    labels = [
        {"row": number, "id": row["id"], "trait": label}
        for number, (row, label) in enumerate(zip(labelled.rows, labelled.labels, strict=True))
    ]
    return {f"{NAME}.jsonl": _lines(labelled.rows), f"{NAME}.labels.jsonl": _lines(labels)}


def write_examples(folder: Path) -> None:
    """Write the two files."""
    folder.mkdir(exist_ok=True)
    for name, text in example_files().items():
        (folder / name).write_text(text, encoding="utf-8")


def _lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
