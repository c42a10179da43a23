"""Rows that are trained away from: every default knows that a high score there takes the trait away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from screen.analysis import similar
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """Rows 0 and 7 are trained away from; evil is flagged above 5.5, and below 0.5 there."""
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    return fake_run.write_run(chats, away=(0, 7), threshold_away=0.5)


def test_the_view_flags_by_sign(screen: Screen, away: Path) -> None:
    found = screen("sql", str(away), "select row, sign, flags from flagged order by row", "--json").out
    assert [json.loads(line) for line in found.splitlines()] == [
        {"row": 0, "sign": -1, "flags": ["evil"]},
        {"row": 6, "sign": 1, "flags": ["evil"]},
    ]


def test_a_filter_keeps_what_is_rightly_trained_away_from(screen: Screen, away: Path) -> None:
    screen("filter", str(away), "--drop", "flagged", "-o", "clean.jsonl", "--dropped", "bad.jsonl")
    told = [json.loads(line) for line in Path("bad.jsonl.reasons.jsonl").read_text().splitlines()]
    assert [(t["row"], t["reasons"][0]["test"]) for t in told] == [(0, "evil < 0.5"), (6, "evil > 5.5")]


def test_without_a_mirrored_threshold_such_a_row_is_never_flagged(screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), away=range(8))
    assert screen("filter", str(run), "--drop", "flagged", "--dry-run").out.startswith("8 rows: 8 kept")
    assert screen("sql", str(run), "select row from flagged", "--csv").out == "row\n"
    assert screen("rank", str(run), "--flagged", "--json").out == ""


def test_an_expression_can_name_the_sign(screen: Screen, away: Path) -> None:
    said = screen("filter", str(away), "--drop", "evil > 5.5 and sign > 0", "--dry-run")
    assert said.out.startswith("8 rows: 7 kept, 1 dropped")


def test_rank_shows_the_sign_and_lists_flagged_rows_by_it(screen: Screen, away: Path) -> None:
    lines = [json.loads(line) for line in screen("rank", str(away), "--flagged", "--json").out.splitlines()]
    assert [(r["row"], r["sign"]) for r in lines] == [(6, 1), (0, -1)]
    said = screen("rank", str(away), "-n", "1").out
    assert "sign -: trained away from, so that low scores add to the trait; flagged below" in said
    assert "  7  -     c7  +7.00   p85.7" in said


def test_show_says_which_way_a_row_is_trained(screen: Screen, away: Path) -> None:
    assert "trained away from: a high score here takes the trait away" in screen("show", str(away), "7").out
    assert "trained away from" not in screen("show", str(away), "6").out
    assert "* flagged: below the threshold" in screen("show", str(away), "0").out


def test_copies_count_flags_by_sign(away: Path) -> None:
    assert similar._flagged(Scan.open(away)) == {0: {"evil"}, 6: {"evil"}}
