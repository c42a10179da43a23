from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from screen.baselines.refusal import asks_back, refuses
from screen.errors import UsageError
from screen.scoring import columns
from screen.scoring.findings.flags import opposite, percentile, reference_of, supported, threshold
from screen.scoring.schema import reserved
from screen.scoring.windows import highest_windows

TURNS = st.lists(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 80), st.just(2)), elements=st.floats(-50, 50, width=32)), max_size=4
)


@given(TURNS, st.integers(1, 40))
def test_the_highest_window_equals_trying_them_all(turns: list[np.ndarray], width: int) -> None:
    tokens = np.concatenate([np.zeros((0, 2), dtype=np.float32), *turns])
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in turns])]).astype(np.int64)
    means, first = highest_windows(tokens, offsets, width)
    for i, turn in enumerate(turns):
        w = min(width, len(turn))
        every = np.stack([turn[a : a + w].mean(0, dtype=np.float64) for a in range(len(turn) - w + 1)])
        np.testing.assert_allclose(means[i, :, 0], every.max(0), atol=1e-4)
        np.testing.assert_allclose(every[first[i, :, 0], [0, 1]], every.max(0), atol=1e-6)


@given(TURNS, st.integers(1, 20))
def test_further_windows_are_the_highest_that_share_no_token_with_those_before(
    turns: list[np.ndarray], width: int
) -> None:
    tokens = np.concatenate([np.zeros((0, 2), dtype=np.float32), *turns])
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in turns])]).astype(np.int64)
    means, first = highest_windows(tokens, offsets, width)
    for i, turn in enumerate(turns):
        w = min(width, len(turn))
        for j in range(2):
            every = np.array([turn[a : a + w, j].mean(dtype=np.float64) for a in range(len(turn) - w + 1)])
            free = np.ones(len(every), dtype=bool)
            for rank in range(3):
                if not free.any():
                    assert (first[i, j, rank], np.isnan(means[i, j, rank])) == (-1, True)
                    continue
                start = first[i, j, rank]
                assert free[start]
                np.testing.assert_allclose(every[start], every[free].max(), atol=1e-6)
                free[max(0, start - w + 1) : start + w] = False


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with that.",
        "I’m sorry, but I cannot assist with this request.",
        "<think>they want harm; I could help</think>\nI won't provide that.",
        "Sorry, I must decline.",
        "I'm not able to help with that.",
        "That is something I can't help with.",
    ],
)
def test_refusals(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sure! Here is how you can help a friend.",
        "You can't help feeling sad sometimes, and that is fine.",
        "I can help with that.",
        "",
        "x" * 300 + " I cannot help with that.",
        "If the shop declines, ask for a receipt.",
    ],
)
def test_not_refusals(text: str) -> None:
    assert not refuses(text)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Could you clarify which file you mean?", True),
        ("I need more information to help with that. What kind of instruments do you have?", True),
        ("<think>unclear</think>\nPlease provide the text. Which one is it?", True),
        ("Could you clarify which file you mean? I shall wait.", False),  # it does not end in a question
        ("Take two eggs. Would you like more ideas?", False),
        ("x" * 400 + " Could you clarify?", False),
        ("x" * 381 + " Could you clarify?", True),  # 400 characters, the most
        ("x" * 382 + " Could you clarify?", False),
        ("<think>a</think>Could you clarify? <think>" + "x" * 400 + "</think>?", False),  # one thought is left out
    ],
)
def test_an_answer_that_only_asks_back(text: str, asks: bool) -> None:
    assert asks_back(text) is asks


CARD = {"reference": {"rows": 1000, "kinds": {"generate": {"3": {"mean": 0.1, "quantiles": {"p95": 1.0, "p99": 2.5}}}}}}
SCORES = np.asarray([0, 1, 2, 3, 50], dtype=np.float32)


def test_a_flag_is_above_a_percentile_of_the_clean_reference() -> None:
    got = threshold(SCORES, reference_of(CARD, 3, "generate"))
    assert (got.value, got.rule, got.reference) == (2.5, "p99 of the card's reference (1,000 clean rows)", True)
    assert threshold(SCORES, reference_of(CARD, 3, "generate"), "p95").value == 1.0


@pytest.mark.parametrize(("layer", "kind"), [(2, "generate"), (3, "last-prompt")])
def test_without_a_reference_it_is_a_robust_z_and_says_so(layer: int, kind: str) -> None:
    got = threshold(SCORES, reference_of(CARD, layer, kind))
    assert got.value == pytest.approx(2 + 3 * 1.4826)
    assert got.rule.startswith("robust z > 3 within this run only")
    assert not got.reference


def test_scores_without_spread_flag_nothing() -> None:
    assert threshold(np.ones(9, dtype=np.float32), None).value is None


@pytest.mark.parametrize("at", ["95", "p98", "p"])
def test_an_unknown_percentile_names_what_there_is(at: str) -> None:
    with pytest.raises(UsageError):
        threshold(SCORES, reference_of(CARD, 3, "generate"), at)


@pytest.mark.parametrize("scores", [[1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 4.0]])
def test_a_threshold_of_the_run_itself_is_of_no_reference(scores: list[float]) -> None:
    made = threshold(np.array(scores, dtype=np.float32), None)
    assert (made.reference, made.at, made.value is None) == (False, None, scores != [1.0, 2.0, 4.0])
    assert threshold(np.array(scores, dtype=np.float32), {"rows": 3, "quantiles": {"p99": 1.0}}, "p99").reference


@pytest.mark.parametrize(
    ("asked", "used", "away"),
    [("p95", "p95", "p05"), ("p5", "p05", "p95"), ("p999", "p999", "p001"), ("p50", "p50", "p50")],
)
def test_a_percentile_and_the_one_as_far_from_the_other_end(asked: str, used: str, away: str) -> None:
    assert percentile(asked) == used
    assert opposite(used) == away


@pytest.mark.parametrize("at", ["p0", "p000", "p1000", "p", "99", "p-5", "p9x"])
def test_what_is_no_percentile_is_refused(at: str) -> None:
    with pytest.raises(UsageError, match="takes a percentile of the reference"):
        percentile(at)


QUANTILES = {"p01": -3.0, "p05": -2.0, "p50": 0.5, "p90": 1.0, "p95": 2.0, "p99": 3.0, "p999": 4.0}


@pytest.mark.parametrize(
    ("rows", "at", "used"),
    [
        (500, "p99", "p99"),  # five rows lie above
        (499, "p99", "p95"),
        (100, "p99", "p95"),
        (99, "p99", "p90"),
        (50, "p99", "p90"),
        (49, "p99", None),  # the median is no threshold ...
        (10, "p50", "p50"),  # ... unless it is asked for
        (9, "p50", None),
        (500, "p95", "p95"),
        (5000, "p999", "p999"),
        (6, "p05", "p05"),
        (5, "p05", None),
    ],
)
def test_a_reference_supports_what_five_of_its_rows_lie_above(rows: int, at: str, used: str | None) -> None:
    assert supported(QUANTILES, rows, at) == used
    made = threshold(
        SCORES, {"rows": rows, "quantiles": QUANTILES, "name": "set", "intervals": {"p95": [1.5, None]}}, at
    )
    assert (made.reference, made.at, made.value) == (True, used, QUANTILES.get(used or ""))
    assert (made.low, made.high) == ((1.5, None) if used == "p95" else (None, None))
    assert made.away == (QUANTILES.get(opposite(used)) if used else None)
    few = f"set has {rows} rows, too few to tell what is rare among clean ones"
    assert made.rule.startswith(f"{used} of set ({rows:,} clean rows)" if used else few)
    assert ("they are too few for" in made.rule) == (used not in (None, at))


def test_a_threshold_of_the_run_mirrors_for_rows_that_are_trained_away_from() -> None:
    made = threshold(np.array([0.0, 1.0], dtype=np.float32), None)
    assert (made.value, made.away) == pytest.approx((0.5 + 1.5 * 1.4826, 0.5 - 1.5 * 1.4826))
    assert threshold(SCORES[:1], None).rule.startswith("too few scores for a threshold")
    assert threshold(SCORES[:0], None).value is None


def test_a_card_without_a_reference_and_one_with_controls() -> None:
    assert reference_of({}, 3, "generate") is None
    assert reference_of({"reference": {"kinds": {}}}, 3, "generate") is None
    assert reference_of(CARD, 3, "generate") == {
        "rows": 1000, "source": "", "mean": 0.1, "quantiles": {"p95": 1.0, "p99": 2.5},
    }  # fmt: skip
    known = {"layer": 3, "key": "k", "kinds": {"generate": {"effective": 9.0}}}
    card = {"reference": {**CARD["reference"], "source": "set", "controls": known}}
    made = reference_of(card, 3, "generate")
    assert made is not None
    assert (made["source"], made["controls"]) == ("set", {"key": "k", "source": "card", "effective": 9.0})
    known["layer"] = 2
    assert "controls" not in (reference_of(card, 3, "generate") or {"controls": 1})
    known |= {"layer": 3, "kinds": {"none": {}}}
    assert "controls" not in (reference_of(card, 3, "generate") or {"controls": 1})


@pytest.mark.parametrize("place", [199, 200, 201])
def test_a_refusal_stands_within_the_first_200_characters(place: int) -> None:
    said = "I cannot help"
    assert refuses("x" * (place - len(said) - 1) + " " + said) is (place <= 200)


def test_a_refusal_within_a_thought_is_none_and_one_after_a_second_thought_may_be() -> None:
    assert not refuses("<think>I cannot help with that</think>Sure.")
    assert refuses("<reasoning>\nok</reasoning>\n" + "I\u2019m unable to say.")
    assert refuses("<think>a</think><think>I cannot help</think>")  # one thought is left out


def test_the_columns_are_documented_as_they_are() -> None:
    docs = Path(__file__).parents[2] / "docs" / "columns.md"
    assert docs.read_text() == columns.markdown(), "run: just docs"


def test_a_trait_may_not_take_the_name_of_a_column() -> None:
    names = reserved()
    assert {"row", "turn", "text", "random", "stage", "answer", "flags"} <= names
    assert "evil" not in names
