"""Precision at the cut: covered by its interval, from drawn rows alone, and silent where labels do not tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.select.labels import LabelGiven, add
from screen.select.precision import all_sentences, as_object, precision, sentences
from screen.select.sampling import draw
from screen.stats import Interval, hypergeometric_interval, square_and_add
from screen.store.labels.file import LABELS
from screen.store.scan import Scan
from tests.select import scored

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example set with the scores that `screen run` gave it (docs/labels.md says how they were taken)."""
    known = json.loads((HERE / "example_scores.json").read_text())
    scores = {trait: own["scores"] for trait, own in known.items()}
    limits = {trait: own["threshold"] for trait, own in known.items()}
    return scored.write(tmp_path_factory.mktemp("example") / "support.screen", scores, limits)


TRUTH = [json.loads(line)["trait"] for line in (EXAMPLES / "support-chats.labels.jsonl").read_text().splitlines()]


@pytest.fixture
def small(tmp_path: Path) -> Scan:
    values = [float(i) for i in range(60)]
    return Scan.open(
        scored.write(tmp_path / "s.screen", {"evil": values, "kind": values}, {"evil": 39.5, "kind": 39.5})
    )


def say(scan: Scan, rows: list[int], word: str, trait: str | None = None) -> None:
    add(scan, [LabelGiven(row, None, word, None, trait) for row in rows])


@pytest.mark.parametrize("trait", ["evil", "hallucination", "sycophancy"])
def test_forty_labels_cover_the_truth_in_most_draws(trait: str, example: Path) -> None:
    known = json.loads((HERE / "example_scores.json").read_text())[trait]
    flagged = [value > known["threshold"] for value in known["scores"]]
    bad = [named == trait for named in TRUTH]
    true = sum(f and b for f, b in zip(flagged, bad, strict=True)) / sum(flagged)
    missed = sum(b and not f for f, b in zip(flagged, bad, strict=True)) / flagged.count(False)
    covered = covered_below = 0
    for seed in range(20):
        (example / LABELS).unlink(missing_ok=True)
        scan = Scan.open(example)
        rows = sample_rows(scan, trait, 40, seed)
        assert len(rows) == 40
        add(scan, [LabelGiven(row, None, "drop" if bad[row] else "keep") for row in rows])
        found = precision(scan, trait)
        covered += inside(true, found.flagged.share)
        covered_below += inside(missed, found.unflagged.share)
    assert covered >= 18
    assert covered_below >= 18


def sample_rows(scan: Scan, trait: str, count: int, seed: int) -> list[int]:
    return list(draw(scan, trait, count, seed).rows)


def inside(value: float, share: Interval) -> bool:
    return share.low - 1e-9 <= value <= share.high + 1e-9


def test_labels_of_rows_that_nobody_drew_are_in_no_share(small: Scan) -> None:
    rows = sample_rows(small, "evil", 20, 0)
    say(small, rows, "keep")
    before = precision(small, "evil")
    others = [row for row in range(40, 60) if row not in rows]
    say(small, others, "drop")
    after = precision(small, "evil")
    assert (after.flagged, after.unflagged) == (before.flagged, before.unflagged)
    assert (before.chosen, after.chosen) == (0, len(others))
    assert f"{len(others)} rows labelled that were not drawn for evil: in none of these shares" in sentences(after)


def test_rows_that_were_labelled_before_the_first_draw_count_as_they_are(small: Scan) -> None:
    say(small, list(range(40, 60)), "drop")
    say(small, sample_rows(small, "evil", 10, 0), "keep")
    found = precision(small, "evil")
    assert found.flagged.share == Interval(1.0, 1.0, 1.0)
    assert (found.flagged.known, found.flagged.drawn, found.unflagged.drawn) == (20, 0, 10)


def test_without_a_draw_labels_tell_nothing(small: Scan) -> None:
    assert all_sentences([precision(small, "evil")]) == []
    say(small, [59], "drop")
    found = precision(small, "evil")
    assert (found.flagged, found.chosen) == (None, 1)
    assert all_sentences([found]) == [
        "1 row labelled by hand: no random sample, so no precision; draw with `screen sample`"
    ]


def test_a_stratum_without_a_label_leaves_its_side_unknown(small: Scan) -> None:
    rows = sample_rows(small, "evil", 20, 0)
    say(small, [row for row in rows if row >= 50], "drop")
    found = precision(small, "evil")
    assert (found.flagged.share, found.unflagged.share) == (None, None)
    assert sentences(found)[1] == "of 40 rows below or at it: not known yet, 0 of 10 drawn rows labelled"
    say(small, rows, "drop")
    assert precision(small, "evil").flagged.share.value == 1.0


def test_who_is_unsure_widens_the_interval_on_both_sides(small: Scan) -> None:
    rows = sample_rows(small, "evil", 20, 0)
    say(small, rows, "keep")
    sure = precision(small, "evil").flagged.share
    say(small, [row for row in rows if row >= 50][:2], "unsure")
    found = precision(small, "evil").flagged
    assert (found.unsure, found.share.low) == (2, sure.low)
    assert found.share.value == pytest.approx(2 * 0.5 / 5 * 10 / 20)
    assert found.share.high > sure.high


def test_a_label_for_another_trait_says_nothing_of_this_one(small: Scan) -> None:
    rows = sample_rows(small, "evil", 60, 0)
    say(small, rows, "drop", "kind")
    assert precision(small, "evil").flagged.labelled == 0
    say(small, rows, "keep")
    say(small, rows, "drop", "evil")
    assert precision(small, "evil").flagged.share == Interval(1.0, 1.0, 1.0)


def test_a_threshold_that_moved_is_told(small: Scan) -> None:
    sample_rows(small, "evil", 20, 0)
    assert precision(small, "evil").current
    draw(small, "evil", 20, cut=20.0)
    found = precision(small, "evil")
    assert (found.current, found.cut, as_object(found)["cut"]) == (False, 20.0, 20.0)
    assert sentences(found)[-1] == "evil is flagged by another threshold; `screen sample` draws around that one"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_draw_covers_the_truth_as_it_says(data: st.DataObject) -> None:
    import math

    population = data.draw(st.integers(1, 60))
    size = data.draw(st.integers(0, population))
    having = data.draw(st.integers(0, population))
    covered = 0.0
    for k in range(max(0, size - (population - having)), min(size, having) + 1):
        low, high = hypergeometric_interval(k, size, population)
        assert k <= low <= high <= population - (size - k)
        chance = math.comb(having, k) * math.comb(population - having, size - k) / math.comb(population, size)
        covered += chance * (low <= having <= high)
    assert covered >= 0.95 - 1e-9


def test_intervals_of_known_draws() -> None:
    assert hypergeometric_interval(20, 20, 20) == (20, 20)
    assert hypergeometric_interval(0, 0, 5) == (0, 5)
    low, high = hypergeometric_interval(5, 10, 1_000_000)  # Clopper and Pearson's for 5 of 10: 0.1871 to 0.8129
    assert (round(low / 1e6, 3), round(high / 1e6, 3)) == (0.187, 0.813)
    with pytest.raises(ValueError, match="is no draw"):
        hypergeometric_interval(3, 2, 5)


def test_parts_add_up_in_squares() -> None:
    assert square_and_add([Interval(4, 1, 8), Interval(6, 2, 9)]) == Interval(10, 5, 15)
    assert square_and_add([Interval(4, 1, 8)]) == Interval(4, 1, 8)


def test_a_cut_above_every_row_is_told(small: Scan) -> None:
    say(small, list(draw(small, "evil", 10, cut=100.0).rows), "keep")
    assert sentences(precision(small, "evil"))[0] == "no row lies above +100 on evil"


def test_rows_drawn_around_an_earlier_cut_are_not_called_chosen(small: Scan) -> None:
    say(small, sample_rows(small, "evil", 20, 0), "keep")
    draw(small, "evil", 20, cut=10.5)
    assert precision(small, "evil").chosen == 0
    assert precision(small, "kind").chosen == 20
