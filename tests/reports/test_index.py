"""Ranking from a run's index says what ranking from its shards says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from screen_reports import queries

from screen.select.scores import score_values
from screen.store.index import INDEX
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.store import fake


def ranked(run: Path, **options: Any) -> list[queries.Ranked]:
    return queries.top_rows(Scan.open(run), "evil", "evil", limit=0.5, **options)


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(("count", "flagged"), [(1, False), (5, True), (24, False), (100, True), (1001, False)])
def test_the_highest_rows_and_their_places(tmp_path: Path, count: int, flagged: bool, ascending: bool) -> None:
    fake.scan(tmp_path / "run")
    asked: dict[str, Any] = {"count": count, "ascending": ascending, "only_flagged": flagged}
    found = ranked(tmp_path / "run", **asked)
    assert len(found) == min(count, 24) or flagged
    assert found
    (tmp_path / "run" / INDEX).unlink()
    assert found == ranked(tmp_path / "run", **asked)


def test_equal_scores_are_listed_by_row(tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), pairs=True)
    for count in (1, 2, 5, 14):
        found = [(r.row, r.variant, r.place) for r in ranked(run, count=count)]
        kept = (run / INDEX).read_bytes()
        (run / INDEX).unlink()
        assert found == [(r.row, r.variant, r.place) for r in ranked(run, count=count)]
        (run / INDEX).write_bytes(kept)


def test_an_index_of_other_shards_is_not_used(tmp_path: Path) -> None:
    fake.scan(tmp_path / "run")
    fake.scan(tmp_path / "short", rows=9)
    (tmp_path / "run" / INDEX).write_bytes((tmp_path / "short" / INDEX).read_bytes())
    scan = Scan.open(tmp_path / "run")
    assert scan.index is None
    assert len(score_values(scan, "evil")) == 24


def test_the_index_holds_rows_signs_and_scores_in_order(tmp_path: Path) -> None:
    fake.scan(tmp_path / "run")
    scan = Scan.open(tmp_path / "run")
    assert scan.index is not None
    wanted = scan.scores().collect()
    assert scan.index.rows.tolist() == wanted["row"].to_list()
    assert np.array_equal(scan.index.scores["evil"], wanted["evil"].to_numpy())
