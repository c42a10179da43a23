"""Rows to label: each of a stratum is as likely, none is asked for twice, the same command gives the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from screen.errors import UsageError
from screen.select.labels import LabelGiven, add
from screen.select.sampling import draw, with_texts
from screen.select.strata import margins
from screen.store.labels.file import LABELS
from screen.store.scan import Scan
from tests.select import scored


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows: row i has evil = i, rows above 99.5 are flagged; row 5 has none."""
    values = [None if i == 5 else float(i) for i in range(120)]
    return scored.write(tmp_path_factory.mktemp("runs") / "a.screen", {"evil": values}, {"evil": 99.5})


@pytest.fixture
def scan(run: Path) -> Scan:
    (run / LABELS).unlink(missing_ok=True)
    return Scan.open(run)


def label(scan: Scan, rows: list[int], word: str = "drop") -> None:
    add(scan, [LabelGiven(row, None, word) for row in rows])


def test_half_lies_above_the_cut_and_each_stratum_says_how_likely_its_rows_were(scan: Scan) -> None:
    found = draw(scan, "evil", 20)
    assert [(s.name, s.rows, s.drawn, s.probability) for s in found.strata] == [
        ("far above", 10, 5, 0.5), ("just above", 10, 5, 0.5),
        ("just below", 20, 3, 0.15), ("far below", 79, 7, 7 / 79),
    ]  # fmt: skip
    assert list(found.rows) == sorted(found.rows)
    assert Counter(name for _, name in found.rows.values()) == {s.name: s.drawn for s in found.strata}
    assert all(100 <= row < 110 for row, (_, name) in found.rows.items() if name == "just above")
    assert found.unscored == 1


def test_rows_come_with_what_is_to_be_read(scan: Scan) -> None:
    found = draw(scan, "evil", 5)
    for row in with_texts(scan, found):
        i = row.row
        assert (row.id, row.score, row.answer, row.prompt) == (f"r{i}", float(i), f"answer {i}", f"question {i}")
        assert row.probability == {s.name: s.probability for s in found.strata}[row.stratum]


def test_the_same_command_gives_the_rows_that_wait_and_another_seed_others(scan: Scan) -> None:
    first = draw(scan, "evil", 20)
    assert draw(scan, "evil", 20) == first
    assert set(draw(scan, "evil", 5).rows) < set(first.rows)
    assert list(draw(scan, "evil", 20, seed=1).rows) != list(first.rows)


def test_a_labelled_row_is_never_asked_for_again_and_all_are_reached(scan: Scan) -> None:
    label(scan, [0, 118])
    seen = [0, 118]
    while rows := list(draw(scan, "evil", 40).rows):
        label(scan, rows)
        seen += rows
    assert sorted(seen) == [row for row in range(120) if row != 5]


def test_every_row_of_a_stratum_is_as_likely(run: Path) -> None:
    drawn: Counter[int] = Counter()
    for seed in range(100):
        (run / LABELS).unlink(missing_ok=True)
        drawn.update(row for s in strata_of(Scan.open(run), seed) for row in s)
    above = np.array([drawn[row] for row in range(100, 120)])
    assert abs(above - 50).max() < 22  # 50 expected; the standard deviation is 5
    assert abs(np.array([drawn[row] for row in range(80) if row != 5]) - 100 * 7 / 79).max() < 15


def strata_of(scan: Scan, seed: int) -> list[tuple[int, ...]]:
    draw(scan, "evil", 20, seed)
    return [s.drawn for s in scan.labels.draws[-1].strata]


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (2, 2), (7, 7), (119, 119), (500, 119)])
def test_as_many_as_were_asked_for_where_there_are_as_many(count: int, drawn: int, scan: Scan) -> None:
    assert len(draw(scan, "evil", count).rows) == drawn


@pytest.mark.parametrize(("cut", "above", "below"), [(200.0, 0, 119), (-1.0, 119, 0), (118.5, 1, 118)])
def test_a_cut_with_all_rows_on_one_side(cut: float, above: int, below: int, scan: Scan) -> None:
    found = draw(scan, "evil", 30, cut=cut)
    assert sum(s.rows for s in found.strata if s.name.endswith("above")) == above
    assert sum(s.rows for s in found.strata if s.name.endswith("below")) == below
    assert len(found.rows) == 30


def test_ties_stay_together(tmp_path: Path) -> None:
    run = scored.write(tmp_path / "t.screen", {"evil": [1.0] * 50 + [9.0] * 10}, {"evil": 5.0})
    assert [(s.name, s.rows) for s in draw(Scan.open(run), "evil", 12).strata] == [("above", 10), ("below", 50)]


def test_rows_that_are_trained_away_from_are_flagged_by_their_own_threshold(tmp_path: Path) -> None:
    values = {"evil": [float(i) for i in range(10)]}
    run = scored.write(tmp_path / "w.screen", values, {"evil": 7.5}, signs={0: -1, 5: -1, 9: -1}, away=1.5)
    scan = Scan.open(run)
    space = margins(scan, "evil", 7.5, 1.5)
    flagged = scan.sql('select "row" from flagged order by 1')["row"].to_pylist()
    assert space.rows[space.margins > 0].tolist() == flagged == [0, 8]


@pytest.mark.parametrize(
    ("limit", "finish", "value", "why"),
    [
        (None, True, 1.0, "evil has no threshold to draw around"),
        (0.5, True, None, "no row of .* has a score of evil"),
        (0.5, False, 1.0, "is not finished"),
    ],
)
def test_a_run_that_nothing_can_be_drawn_from(
    limit: float | None, finish: bool, value: float | None, why: str, tmp_path: Path
) -> None:
    run = scored.write(tmp_path / "n.screen", {"evil": [value] * 3}, {"evil": limit}, finish=finish)
    with pytest.raises(UsageError, match=why):
        draw(Scan.open(run), "evil", 3)
    assert not (run / LABELS).exists()


def test_a_trait_that_is_not_there(scan: Scan) -> None:
    with pytest.raises(UsageError, match="the run has no trait 'evli'"):
        draw(scan, "evli", 3)
