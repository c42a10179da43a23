"""What a run read and did not, summed over its shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from screen.scan.summary.coverage import coverage
from screen.store.folder import RunFolder
from tests.store import fake


def publish(run: RunFolder, shard: int, row: int, *sides: dict[str, Any]) -> None:
    place = {"row": row, "file": "in.jsonl", "line": 1, "offset": 0, "length": 9, "sha256": "ab", "turns_scored": 1}
    tables = {"scores": fake.build("scores", [{**place, **side} for side in sides])}
    run.publish(shard, row, row + 1, tables)


def test_rows_are_counted_once_over_all_shards(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        pair = {"shape": "preference", "not_used": ["margin"]}
        publish(run, 0, 0, {"variant": "chosen", **pair}, {"variant": "rejected", **pair})
        publish(run, 1, 1, {"shape": "chat", "not_used": ["margin", "source"]})
        publish(run, 2, 2, {"shape": "chat", "not_used": [], "role_marks": "[INST]"})
        assert coverage(run) == {
            "rendered": None, "data_notes": [],
            "shapes": {"chat": 2, "preference": 1}, "split_at": {}, "role_marks": {"[INST]": 1},
            "not_used": {"margin": 2, "source": 1},
        }  # fmt: skip


def test_an_empty_run_has_nothing_to_tell(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        assert coverage(run) == {
            "rendered": None, "data_notes": [], "shapes": {}, "split_at": {}, "role_marks": {}, "not_used": {},
        }  # fmt: skip
