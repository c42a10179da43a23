"""Runs for comparisons, made without a model: a row a (content, id, score of evil); `kind` scores half of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from screen.scan.summary.summarise import summarise
from screen.store import context as kept
from screen.store.folder import RunFolder
from tests.cli import fake_run

Row = tuple[str, str | None, float | None]  # content, id, score; a row without a score is skipped


def made(
    path: Path, rows: Sequence[Row], *, finish: bool = True, of: int | None = None, pairs: bool = False,
    answers: Mapping[int, str] | None = None, traits: Sequence[str] = fake_run.TRAITS, shard_rows: int = 512,
    at: str | None = None,     **identity: Any,
) -> Path:  # fmt: skip
    """A run of these rows. `of`: rows of its dataset, where that has more; `identity`: what it was made with."""
    clean = {name: value for name, value in fake_run.REFERENCE.items() if name != "controls"}
    cards = {t: {"layer": 2, "reference": clean if t == "evil" else None} for t in traits}
    facts = {
        "spec": {"dataset": [f"{path.stem}.jsonl"], "model": identity.pop("name", "toy")},
        "baseline": identity.pop("baseline", "generate"),
        "dataset": {"rows": of or len(rows)},
        "references": {t: c["reference"] for t, c in cards.items()},
    }
    content = hashlib.sha256(repr([row[0] for row in rows]).encode()).hexdigest()
    whole = {"traits": list(traits), "dataset": {"files": [{"sha256": content, "bytes": 1}]}, **identity}
    with RunFolder.open(path, whole, facts) as folder:
        kept.save(folder.path, folder.run, {}, {"set_of": {}})
        for shard, first in enumerate(range(0, len(rows), shard_rows)):
            tables = _tables(first, rows[first : first + shard_rows], pairs, answers or {}, traits)
            folder.publish(shard, first, min(first + shard_rows, len(rows)), tables)
        if finish:
            folder.finish(summarise(folder, cards, at=at, run={"tokens": 1, "seconds": 1.0, "resumed_rows": 0}))
    return path


def _tables(
    first: int, rows: Sequence[Row], pairs: bool, answers: Mapping[int, str], traits: Sequence[str]
) -> dict[str, Any]:
    scores, turns, skipped = [], [], []
    for i, (content, name, score) in enumerate(rows, first):
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        place = {"row": i, "file": "data.jsonl", "line": i + 1, "offset": 0, "length": 0, "sha256": digest}
        if score is None:
            skipped.append({**place, "stage": "read", "code": "bad_json", "message": "not JSON", "head": "{"})
            continue
        for side in ("chosen", "rejected") if pairs else (None,):
            own = -score if side == "rejected" else score
            values = {t: own / (1 + traits.index(t)) for t in traits}
            facts = {**fake_run._facts(0, "generate"), "group": "data.jsonl", "prompt_key": int(digest[:12], 16)}
            sign = -1 if side == "rejected" else 1
            scores.append({**place, **facts, **values, "id": name, "variant": side, "sign": sign})
            turns.append({**_turn(traits), **values, "row": i, "variant": side, "text": answers.get(i, content)})
    made = {"scores": scores, "turns": turns, "skipped": skipped}
    return {table: fake_run.table(table, rows, traits) for table, rows in made.items()}


def _turn(traits: Sequence[str]) -> dict[str, Any]:
    return {"turn": 1, "prompt_tokens": 9, "answer_tokens": 24, "prompt": "?"} | {
        f"{t}_window_{end}": 0 for t in traits for end in ("start", "end")
    }
