"""Texts that would be markup, script, a formula or an order to a terminal, and a run that has them everywhere.

hostile_texts.json: a payload a class of attack on pages ("markup"), and of other trouble ("naughty").
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from screen.data.dataset import open_dataset
from screen.scan.summary.summarise import summarise
from screen.select.labels import LabelGiven, add
from screen.store import context as kept
from screen.store.folder import RunFolder
from screen.store.scan import read_scan
from tests.cli import fake_run

LISTED = json.loads((Path(__file__).parent / "hostile_texts.json").read_text())
# Never printed.
RAW = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff]")
TEXTS: tuple[str, ...] = tuple(entry["text"] for entry in LISTED)


def plain(texts: Sequence[str]) -> list[str]:
    """As many texts of the same lengths, of letters alone."""
    rng = random.Random(1)
    return ["".join(rng.choice("abcdefgh") for _ in text) for text in texts]


def write_run(folder: Path, given: Sequence[str], distinct: bool = True) -> Path:
    """A finished run of a row a text: it stands in the prompt, the answer, the model's own response, and, some rows
    further each, as file, group and id; in a skipped row and in a note of the run too. `distinct`: words are added to
    texts, so that no two rows are nearly the same."""
    rows, texts = len(given), [*given, *["fine"] * 8]
    chats = fake_run.write_chats(folder / "chats.jsonl", max(rows, 4))
    cards = {"evil": {"layer": 2, "reference": fake_run.REFERENCE}, "kind": {"layer": 3, "reference": None}}
    described = {"rows": rows, "files": list(given), "shape": texts[0], "evidence": texts[1]}
    facts = {
        "spec": {"dataset": list(given[:40]), "template": texts[0]}, "baseline": "generate", "dataset": described,
        "references": {trait: card["reference"] for trait, card in cards.items()}, "versions": {texts[2]: texts[3]},
        "model": {"name": texts[4], "device": texts[5], "dtype": "float32", "notes": [texts[6]]},
    }  # fmt: skip
    identity = {"traits": list(fake_run.TRAITS), "dataset": open_dataset((str(chats),)).fingerprint()}
    with RunFolder.open(folder / "hostile.screen", identity, facts) as run:
        kept.save(run.path, run.run, {}, {"set_of": {"evil": "controls"}})
        tables = fake_run.shard_tables(chats, range(rows), "generate", False)
        run.publish(0, 0, rows, {name: _filled(table, given, distinct) for name, table in tables.items()})
        told = {"tokens": 1, "seconds": 1.0, "resumed_rows": 0, "notes": list(given[:20])}
        run.finish(summarise(run, cards, run=told))
    return run.path


def label_all(run: Path, texts: Sequence[str]) -> Path:
    """Every scored row labelled, with a text as its note (a note has no NUL)."""
    scan = read_scan(run)
    notes = [text.replace("\0", "") for text in texts]
    add(scan, [LabelGiven(at, None, "drop", note) for at, note in enumerate(notes) if at != 3])
    return run


def _filled(table: pa.Table, texts: Sequence[str], distinct: bool) -> pa.Table:
    """The table with the texts put in where a dataset's own texts stand."""
    rng = random.Random(2)
    words = " ".join("".join(rng.choices("stuvwxyz", k=6)) for _ in range(4000)).split()

    def text(row: int, further: int = 0) -> str:
        return texts[(row + further) % len(texts)]

    def long(row: int, further: int = 0) -> str:
        return f"{text(row, further)} {' '.join(words[12 * row : 12 * row + 12] if distinct else ())}"

    columns: dict[str, Callable[[int], Any]] = {
        "file": lambda row: f"f {text(row, 1)}",
        "group": lambda row: f"g {text(row, 2)}",
        "id": lambda row: text(row, 3),
        "prompt": lambda row: long(row, 4),
        "text": long,
        "base_answer": lambda row: long(row, 5),
        "message": text,
        "head": text,
        "evil_window_start": lambda row: 0,
        "evil_window_end": lambda row: 5,
        "kind_window_start": lambda row: 5,
        "kind_window_end": lambda row: 8,
    }
    numbers = table["row"].to_pylist()
    for name in set(columns) & set(table.column_names):
        at = table.column_names.index(name)
        table = table.set_column(
            at, table.field(at), pa.array([columns[name](n) for n in numbers], table.field(at).type)
        )
    return table
