from __future__ import annotations

from typing import Any

import pytest
from screen_reports.before.costs import lines, size

FACTS: dict[str, Any] = {
    "files": ["chats.jsonl"], "rows": 100_000, "looked_at": 4096, "shape": "chat", "skipped": {"bad_json": 3},
    "tokens": {"p50": 80, "p95": 190, "total": 8_100_000, "low": 8_000_000, "high": 8_200_000},
    "truncated": 0.00001, "prompts": {"distinct": 1500, "seen": 1400},
    "baseline": {"kind": "generate", "certain": False, "answers": 1400, "kept": 100, "answer_tokens": 17.2},
    "model": "pocket", "device": "cpu", "dtype": "float32", "batching": "packed",
    "seconds": {"loading": 4.0, "baselines": None, "scoring": 61.0, "total": None},
    "measured": {"tokens": 512, "rows": 6, "batches": 1, "seconds": 9.0},
    "memory": {"resident": None, "weights": 6_900_000}, "disk": {"run": None, "cache": None, "free": 1 << 34},
    "notes": ["a \x1b note"],
}  # fmt: skip


def test_what_is_estimated_and_what_is_not_known_is_said() -> None:
    told = dict(lines(FACTS))
    assert told["data"].endswith("; what follows is of 4,096 rows, drawn at random")
    assert told["tokens"].startswith("about 8,100,000 (8,000,000 to 8,200,000)")
    assert told["truncated"].startswith("<0.1 %")
    assert told["prompts"] == "about 1,500 distinct prompts, 1,400 of them seen"
    assert "if the rows are as those looked at" in told["baseline"]
    assert told["time"] == "cannot be told: loading 4 s, baselines not measured, scoring 1 min 01 s"
    assert told["memory"].startswith("not told by this system")
    assert told["disk"].startswith("not measured for")
    assert told["note"] == "a \\x1b note"


def test_what_is_counted_is_said_as_counted() -> None:
    whole = {**FACTS, "looked_at": 100_000, "truncated": 0, "skipped": {}, "notes": []}
    whole["baseline"] = {**FACTS["baseline"], "certain": True, "kept": 0}
    told = dict(lines(whole))
    assert told["data"] == "chats.jsonl, 100,000 rows, chat"
    assert told["tokens"].startswith("8,100,000; a row")
    assert told["baseline"] == "generate: the model answers 1,400 prompts, in 17 tokens on the mean"
    assert not {"truncated", "skipped", "note"} & set(told)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (1023, "1.0 KiB"), (1 << 20, "1.0 MiB"), (15 << 30, "15 GiB")]
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text
