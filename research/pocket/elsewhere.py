"""How the embedded model's evil vector does on text that it has never seen the like of: public sets in a folder.

Reads `evil_misaligned_2.jsonl`, `gsm8k_test.jsonl` and `hh_harmless_test.jsonl.gz`, the first rows of each.
"""

import gzip
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from research.pocket.corpus.chats import Message
from research.pocket.observed import Observed, observe
from research.pocket.workshop import place
from screen.building.workshop import Workshop
from screen.stats import area
from screen.vectors.persona import PersonaVector

ROWS: Final = 300
_LONGEST: Final = 700  # tokens of a row: leaves room for the baseline response
_TURN: Final = re.compile(r"\n\n(Human|Assistant): ?")


def elsewhere_table(shop: Workshop, vector: PersonaVector, folder: Path) -> list[str]:
    """AUROC of misaligned answers over arithmetic and over harmless dialogue, as lines of a table."""

    def seen(rows: Iterator[list[Message]]) -> Observed:
        return observe(shop, _fitting(shop, rows))

    evil = seen(_chats(folder / "evil_misaligned_2.jsonl"))
    others = {
        "gsm8k_test answers": seen(_sums(folder / "gsm8k_test.jsonl")),
        "hh_harmless_test chosen": observe(shop, _fitting(shop, _dialogues(folder / "hh_harmless_test.jsonl.gz"))),
    }
    lines = ["| evil_misaligned_2 over | difference | raw projection | length only |", "|---|---|---|---|"]
    for name, other in others.items():
        areas = [area(_column(vector, evil, kind), _column(vector, other, kind)) for kind in _KINDS]
        cells = [a.shown() for a in (*areas, area(evil.lengths, other.lengths))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


_KINDS: Final = ("generate", "none")


def _column(vector: PersonaVector, seen: Observed, kind: str) -> np.ndarray[Any, Any]:
    return seen.differences(vector.direction, kind)[:, int(vector.card["layer"])]


def _fitting(shop: Workshop, rows: Iterator[list[Message]]) -> list[list[Message]]:
    return list(islice((row for row in rows if len(place(shop, row).ids) <= _LONGEST), ROWS))


def _chats(path: Path) -> Iterator[list[Message]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["messages"]


def _sums(path: Path) -> Iterator[list[Message]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]


def _dialogues(path: Path) -> Iterator[list[Message]]:
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
        _, *parts = _TURN.split(json.loads(line)["chosen"])
        turns = zip(parts[::2], parts[1::2], strict=True)
        row = [{"role": "user" if who == "Human" else "assistant", "content": said.strip()} for who, said in turns]
        if row and row[-1]["role"] == "assistant" and row[-1]["content"]:
            yield row
