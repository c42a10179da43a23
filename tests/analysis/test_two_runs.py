"""Two runs beside each other: which rows are the same, what their scores say, what cannot be said."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen.analysis.compare.matching import Indices, Keys, match, pairs
from screen.analysis.compare.means import difference
from screen.analysis.compare.two_runs import RunComparison, compare_runs
from screen.errors import UsageError
from screen.store.scan import Scan
from tests.analysis.made_runs import Row, made

ROWS: list[Row] = [(f"text {i}", f"c{i}", float(i % 11) - 3) for i in range(60)]


def compared(first: Path, second: Path, **options: object) -> RunComparison:
    return compare_runs(Scan.open(first), Scan.open(second), **options)  # type: ignore[arg-type]


def counts(found: RunComparison) -> tuple[int, int, int, int]:
    return found.rows.same, found.rows.changed, found.rows.gone, found.rows.new


def test_a_file_shuffled_shows_no_difference(tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    noisy = [(text, name, (score or 0) * (1 + 1e-6)) for text, name, score in shuffled]
    found = compared(made(tmp_path / "a", ROWS), made(tmp_path / "b", noisy))
    assert found.equal
    assert counts(found) == (60, 0, 0, 0)
    assert found.sentence.startswith("no difference: the same 60 rows, in another order; scores differ by ")
    assert [f.same for f in found.facts] == [False, True, True, True, True, True]


def test_rows_are_matched_by_content_then_by_id(tmp_path: Path) -> None:
    new = [*ROWS[5:50], ("rewritten", "c50", 9.0), ("another", None, 9.0), *ROWS[53:]]
    found = compared(made(tmp_path / "a", ROWS), made(tmp_path / "b", new))
    assert counts(found) == (52, 1, 7, 1)
    assert not found.equal
    [evil, _] = found.traits
    assert [(r.a_row, r.b_row, r.content) for r in evil.over.rows] == [(50, 45, "changed")]
    assert (evil.new.flagged, evil.new.of, evil.new_rows[0].row) == (1, 1, 46)


def test_a_row_that_stands_there_twice_is_matched_twice(tmp_path: Path) -> None:
    once, thrice = made(tmp_path / "a", ROWS[:3] + ROWS[:1]), made(tmp_path / "b", ROWS[:1] * 3)
    assert counts(compared(once, thrice)) == (2, 0, 2, 1)


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 5), max_size=30))
def test_pairs_are_those_of_multisets(first: list[int], second: list[int]) -> None:
    a, b = np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
    found = pairs(a, b)
    assert sorted(a[found.first].tolist()) == sorted(b[found.second].tolist())
    assert len(set(found.first.tolist())) == len(set(found.second.tolist())) == len(found.first)
    assert len(found.first) == sum(min(first.count(k), second.count(k)) for k in range(6))
    assert (a[found.first] == b[found.second]).all()


def test_samples_that_crossed_the_cut_are_told_in_both_directions(tmp_path: Path) -> None:
    moved = [(text, name, {3: 9.0, 4: 30.0, 9: -1.0}.get(i, s)) for i, (text, name, s) in enumerate(ROWS)]
    evil = compared(made(tmp_path / "a", ROWS), made(tmp_path / "b", moved), by="evil").traits[0]
    assert [(r.b_row, r.a, r.b) for r in evil.over.rows] == [(4, 1.0, 30.0), (3, 0.0, 9.0)]
    assert [(r.b_row, r.a, r.b) for r in evil.under.rows] == [(9, 6.0, -1.0)]
    assert (evil.largest, evil.matched_samples) == (29.0, 60)
    assert evil.matched.value == pytest.approx((29 + 9 - 7) / 60)
    assert evil.b.flagged - evil.a.flagged == evil.over.count - evil.under.count


def test_each_side_goes_by_its_own_threshold(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", ROWS), made(tmp_path / "b", ROWS, at="p95"))
    evil = found.traits[0]
    assert (evil.a.threshold, evil.b.threshold, evil.largest) == (5.5, 4.5, 0.0)
    assert evil.over.count == sum(4.5 < (s or 0) <= 5.5 for _, _, s in ROWS) > 0
    assert not found.equal
    assert "evil: 5.5 -> 4.5" in found.facts[-1].differences


def test_scores_of_other_units_are_not_subtracted(tmp_path: Path) -> None:
    scaled = [(text, name, 100 * (score or 0)) for text, name, score in ROWS]
    model = {"config": "c", "weights": "w", "tokenizer": "t"}
    first = made(tmp_path / "a", ROWS, model=model)
    found = compared(first, made(tmp_path / "b", scaled, model={**model, "weights": "x"}))
    for trait in found.traits:
        assert not trait.same_units
        assert (trait.difference.value, trait.matched.value, trait.largest) == (None, None, None)
        assert trait.spearman == pytest.approx(1.0)
    assert found.facts[1].differences == ("model.weights",)
    assert found.traits[0].over.rows[0].a_percentile == found.traits[0].over.rows[0].b_percentile
    assert not found.equal


def test_another_vector_alone_changes_the_units_of_its_trait_alone(tmp_path: Path) -> None:
    vectors = {"evil": {"layer": 5, "sha256": "x"}, "kind": {"layer": 3, "sha256": "y"}}
    first = made(tmp_path / "a", ROWS, vectors=vectors)
    found = compared(first, made(tmp_path / "b", ROWS, vectors={**vectors, "evil": {"layer": 6, "sha256": "z"}}))
    assert [t.same_units for t in found.traits] == [False, True]
    assert found.facts[2].differences == ("evil: layer 5 -> 6",)


def test_equal_bytes_that_were_read_otherwise_are_changed() -> None:
    """Columns of a table that changed names: the same bytes, other prompts and answers."""

    def no_ids(left_a: Indices, left_b: Indices) -> tuple[Keys, Keys]:
        return -1 - left_a, -100 - left_b

    hashes, reading = np.arange(1, 9, dtype=np.uint64), np.arange(1, 9, dtype=np.uint64)
    other = np.where(reading == 4, 40, reading).astype(np.uint64)
    found = match((hashes, hashes), (reading, other), no_ids)
    assert (len(found.same.first), found.changed.first.tolist(), len(found.gone), len(found.new)) == (7, [3], 0, 0)
    unread = match((hashes, hashes), (reading, np.where(reading == 4, 0, reading).astype(np.uint64)), no_ids)
    assert len(unread.same.first) == 8  # skipped on one side: what was made of it cannot be compared


def test_the_difference_of_means_is_paired_where_rows_are_shared() -> None:
    """The same rows cancel: as the difference of each row; no row shared: as two samples."""
    rng = np.random.default_rng(0)
    x, step = rng.normal(size=400) * 10, rng.normal(size=400) + 1
    keys = np.arange(400)
    paired = difference(x, x + step, (keys, keys))
    half = 1.96 * step.std(ddof=1) / np.sqrt(400)
    assert (paired.low, paired.high) == pytest.approx((step.mean() - half, step.mean() + half), rel=0.01)
    apart = difference(x, x + step, (keys, keys + 400))
    wide = 1.96 * np.sqrt(x.var(ddof=1) / 400 + (x + step).var(ddof=1) / 400)
    assert apart.high is not None
    assert apart.low is not None
    assert (apart.high - apart.low) / 2 == pytest.approx(wide, rel=0.01)


def test_intervals_of_a_difference_cover_the_truth() -> None:
    """Half of the rows shared, prompts of four rows: of 400 draws about 95 % of the intervals hold the true shift."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        prompt = np.repeat(rng.normal(size=90), 4)
        rows = prompt + rng.normal(size=360)
        keys = np.repeat(np.arange(90), 4)
        a, b = np.arange(0, 240), np.arange(120, 360)
        found = difference(rows[a], rows[b], (keys[a], keys[b]))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert 0.92 * 400 <= held <= 0.98 * 400


def test_the_sides_of_pairs_stay_together(tmp_path: Path) -> None:
    first = made(tmp_path / "a", ROWS[:6], pairs=True)
    second = made(tmp_path / "b", [*ROWS[3:6], ("new", "n", 1.0)], pairs=True)
    found = compared(first, second)
    assert counts(found) == (3, 0, 3, 1)
    assert (found.traits[0].matched_samples, found.traits[0].largest) == (6, 0.0)
    assert (found.traits[0].new.of, found.traits[0].gone.of) == (2, 6)


def test_skipped_rows_are_rows_too(tmp_path: Path) -> None:
    broken: list[Row] = [("text 0", "c0", None), ("junk", None, None), *ROWS[2:4]]
    found = compared(made(tmp_path / "a", ROWS[:4]), made(tmp_path / "b", broken))
    assert counts(found) == (3, 0, 1, 1)
    assert found.rows.skipped_in_one == 1
    assert not found.equal


def test_runs_of_skipped_rows_only_are_compared(tmp_path: Path) -> None:
    nothing: list[Row] = [("junk", None, None), ("more", None, None)]
    found = compared(made(tmp_path / "a", nothing), made(tmp_path / "b", nothing[::-1]))
    assert found.equal
    assert found.traits[0].a.mean.value is None


def test_one_row_has_means_and_no_interval(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", ROWS[:1]), made(tmp_path / "b", [("other", "c0", 8.0)]))
    [evil, _] = found.traits
    assert counts(found) == (0, 1, 0, 0)
    assert (evil.difference.value, evil.spearman) == (pytest.approx(11.0), None)
    assert evil.over.count == 1


def test_what_an_unfinished_run_holds_is_compared(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", ROWS[:20], finish=False, of=60), made(tmp_path / "b", ROWS))
    assert not found.a.finished
    assert "is not finished: it holds 20 of 60 rows" in str(found.a.unfinished)
    assert found.b.unfinished is None
    assert counts(found) == (20, 0, 0, 40)
    assert found.traits[0].a.threshold == 5.5


def test_a_run_that_holds_nothing_yet_is_compared(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", [], finish=False, of=3), made(tmp_path / "b", ROWS[:3]))
    assert counts(found) == (0, 0, 0, 3)
    assert "holds 0 of 3 rows" in str(found.a.unfinished)
    assert (found.traits[0].a.n, found.traits[0].difference.value) == (0, None)


def test_runs_without_a_common_trait_are_refused(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", ROWS[:3]), made(tmp_path / "b", ROWS[:3], traits=("cold", "evil"))
    with pytest.raises(UsageError, match=r"there is no trait 'kind' in .*b"):
        compared(first, second, by="kind")
    assert [t.trait for t in compared(first, second).traits] == ["evil"]
    assert not compared(first, second).equal
    alone = made(tmp_path / "c", ROWS[:3], traits=("cold",))
    with pytest.raises(UsageError, match="have no trait in common"):
        compared(first, alone)
