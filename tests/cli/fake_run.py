"""A small run over a real file, with scores that can be told by heart: row i has evil = i and kind = -i.

Row 3 is not JSON and is skipped; row 2 has no kind score; row 6 holds what may not reach a terminal raw; on row 7
the base model refused. The card's reference flags evil above 5.5.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from screen.data.dataset import open_dataset
from screen.scan.summary.summarise import summarise
from screen.scoring.schema import RANDOM
from screen.spec import ScanSpec
from screen.store import context as kept
from screen.store import tables
from screen.store.folder import RunFolder

TRAITS = ("evil", "kind")
HOSTILE = "[red]\x1b[31m \u202egnp \u200b=1+1\r\nnew line"
TOKENS = (24, 23, 22, 25, 21, 20, 26, 27)  # of the answers
CONTROLS = {"p01": -1.0, "p05": -0.8, "p25": -0.3, "p50": 0.0, "p75": 0.3, "p95": 0.8, "p99": 1.0}
REFERENCE = {
    "rows": 1000,
    "highest": 6.0,
    "quantiles": {"p01": -1.5, "p05": -0.5, "p25": 1.0, "p50": 2.0, "p75": 3.0, "p95": 4.5, "p99": 5.5},
    "intervals": {"p99": [5.2, 5.9]},
    "controls": {"rows": 1000, "effective": 16.0, "quantiles": {q: [v] * RANDOM for q, v in CONTROLS.items()}},
}


def write_chats(path: Path, rows: int = 8) -> Path:
    lines = []
    for i in range(rows):
        answer = HOSTILE if i == 6 else f"Answer number {i} begins here. " * 3
        user = {"role": "user", "content": f"Question {i}?"}
        lines.append(json.dumps({"id": f"c{i}", "messages": [user, {"role": "assistant", "content": answer}]}))
    lines[3] = '{"id": "c3", '
    path.write_text("\n".join(lines) + "\n")
    return path


def write_run(
    chats: Path, *, out: Path | None = None, shards: int = 2, finish: bool = True, baseline: str = "generate",
    pairs: bool = False, away: Sequence[int] = (), threshold_away: float | None = None,
    ids: Callable[[int], str] = "c{}".format,
) -> Path:  # fmt: skip
    """A run in shards of four rows; `shards` of them are there. `away`: rows that are trained away from."""
    out = out or chats.with_suffix(".screen")
    dataset = open_dataset((str(chats),))
    spec = ScanSpec(dataset=(str(chats),), vectors=("vectors",), device="cpu")
    cards = {"evil": {"layer": 2, "reference": REFERENCE}, "kind": {"layer": 3, "reference": None}}
    facts = {
        "spec": spec.to_json(),
        "baseline": baseline,
        "dataset": {"rows": dataset.count()},
        "references": {t: c["reference"] for t, c in cards.items()},
    }
    identity = {"traits": list(TRAITS), "dataset": dataset.fingerprint()}
    with RunFolder.open(out, identity, facts) as folder:
        kept.save(folder.path, folder.run, {}, {"set_of": {"evil": "controls"}})
        for shard in range(shards):
            rows = range(4 * shard, 4 * shard + 4)
            folder.publish(shard, rows[0], rows[-1] + 1, shard_tables(chats, rows, baseline, pairs, away, ids))
        if finish:
            summary = summarise(folder, cards, run={"tokens": 1234, "seconds": 61.0, "resumed_rows": 0})
            if threshold_away is not None:
                summary["flags"]["evil"]["threshold_away"] = threshold_away
            folder.finish(summary)
    return out


def shard_tables(
    chats: Path, rows: range, baseline: str, pairs: bool, away: Sequence[int] = (),
    ids: Callable[[int], str] = "c{}".format,
) -> dict[str, pa.Table]:  # fmt: skip
    scores, turns, skipped, controls = [], [], [], []
    for i in rows:
        place = {"row": i, "file": str(chats), "line": i + 1, "offset": 0, "length": 0, "sha256": ""}
        if i == 3:
            head = '{"id": "c3", \x1b[2J'
            skipped.append({**place, "stage": "read", "code": "bad_json", "message": "not valid JSON", "head": head})
            continue
        for side in ("chosen", "rejected") if pairs else (None,):
            sign = -1.0 if side == "rejected" else 1.0
            facts = {
                **place,
                "id": ids(i),
                "variant": side,
                "sign": -1 if i in away else int(sign),
                **_facts(i, baseline),
            }
            scores.append({**facts, **_scores(i, sign, baseline)})
            random = [math.sin(7 * i + j) / 2 for j in range(RANDOM)]
            controls.append({"row": i, "variant": side, "layer": 2, "set": "controls", "random": random})
            turns.append({"row": i, "variant": side, **_turn(i, sign, baseline)})
    made = {"scores": scores, "turns": turns, "skipped": skipped, "controls": controls}
    return {name: table(name, rows) for name, rows in made.items()}


def _facts(i: int, baseline: str) -> dict[str, Any]:
    return {
        "group": "forum" if i > 3 else "docs",
        "turns_scored": 1, "prompt_tokens": 9, "answer_tokens": TOKENS[i % 8], "tokens_lost": 0, "truncated": False,
        "mask_rung": "sentinel", "special_text": int(i == 1), "other_parts": 0, "weight": 1.0,
        "shape": "chat", "not_used": [], "baseline": baseline,
        "baseline_tokens": 5, "baseline_cut": i == 1, "base_refused": i == 7,
    }  # fmt: skip


def _scores(i: int, sign: float, baseline: str) -> dict[str, float | None]:
    made: dict[str, float | None] = {}
    for trait, unit in (("evil", sign), ("kind", -sign)):
        value: float | None = None if (trait == "kind" and i == 2) or baseline == "none" else unit * i
        made |= {trait: value, f"{trait}_projection": unit * i + 1, f"{trait}_baseline": 1.0}
        made |= {f"{trait}_window": unit * i + 2, f"{trait}_max": value}
    return made


def _turn(i: int, sign: float, baseline: str) -> dict[str, Any]:
    text = HOSTILE if i == 6 else f"Answer number {i} begins here. " * 3
    spans = {f"{t}_window_start": 0 if i == 6 else 7 for t in TRAITS} | {f"{t}_window_end": 13 for t in TRAITS}
    scores = {name: value for name, value in _scores(i, sign, baseline).items() if not name.endswith("_max")}
    return {
        "turn": 1, "prompt_tokens": 9, "answer_tokens": TOKENS[i % 8], "prompt": f"Question {i}?", "text": text,
        "base_answer": "I can't help with that." if i == 7 else "My own.", "base_refused": i == 7, **scores, **spans,
    }  # fmt: skip


def table(name: str, rows: Sequence[Mapping[str, Any]], traits: Sequence[str] = TRAITS) -> pa.Table:
    wanted = tables.pinned(name, traits)
    return pa.Table.from_pylist([{f: row.get(f) for f in wanted.names} for row in rows], schema=wanted)
