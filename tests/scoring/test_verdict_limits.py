"""Each limit of the verdict from both sides, on comparisons made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from screen.scoring.findings.comparison import Comparison
from screen.scoring.findings.verdict import _RUN_ONLY, judge

FOUND = Comparison(
    scale="reference",
    at="p99",
    rows=300,
    above=9,
    expected=3.0,
    chance=0.5,
    random=2.5,
    random_highest=8,
    random_chance=0.9,
    tail=2.0,
    tail_rows=5,
    tail_random=0.5,
    tail_random_spread=0.1,
    tail_random_highest=1.0,
    tail_clean=1.5,
    tail_without_length=0.0,
    shift=0.0,
    moved=0.0,
    moved_noise=0.0,
    directions=32,
    effective=30.0,
    layer0=1.0,
    tail_run=2.0,
    length_correlation=0.0,
    length_auroc=0.5,
    above_shift=0.0,
    above_moved=0.0,
    above_noise=0.0,
)


def judged(**changes: Any) -> tuple[str, str]:
    got = judge(replace(FOUND, **changes), 5, scored=300, threshold=True)
    return got.kind, got.reason


REVIEW, CLEAN = ("review", "rows"), ("nothing", "clean")
UNLIKE, CONTROLS, LENGTH = (("cannot-tell", reason) for reason in ("unlike", "controls", "length"))
LOW = {"tail": 1.5}  # its highest rows reach no further than the reference's highest
WITHIN = {"scale": "run", "expected": None, "chance": None, "tail_clean": 0.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REVIEW),
        (LOW, CLEAN),
        (LOW | {"chance": 0.01}, CLEAN),
        (LOW | {"chance": 0.0099}, REVIEW),
        (LOW | {"chance": 0.0099, "above": 8}, CONTROLS),
        ({"above": 8}, REVIEW),  # as many rows as along a control, and higher ones
        (LOW | {"random_chance": 0.001}, CLEAN),
        (LOW | {"random_chance": 0.0009}, UNLIKE),
        (LOW | {"random_chance": None}, CLEAN),
        ({"moved": 0.3}, REVIEW),
        ({"moved": 0.31}, UNLIKE),
        ({"moved": 0.31, "moved_noise": 0.01}, REVIEW),
        ({"moved": 0.32, "moved_noise": 0.01}, UNLIKE),
        ({"moved": 0.31, "moved_noise": None}, UNLIKE),
        ({"moved": 0.5, "shift": 5.0}, REVIEW),  # it moved ten times as far along the trait
        ({"moved": 0.5, "shift": -5.0}, REVIEW),
        ({"moved": 0.5, "shift": 4.9}, UNLIKE),
        ({"moved": None, "shift": 0.0}, REVIEW),
        ({"above_moved": 0.5}, REVIEW),
        ({"above_moved": 0.51}, UNLIKE),
        ({"above_moved": 0.51, "above_noise": 0.02}, REVIEW),
        ({"above_moved": 0.75, "above_shift": 7.5}, REVIEW),
        ({"above_moved": 0.75, "above_shift": None}, REVIEW),
        ({"length_auroc": 0.9, "length_correlation": 0.5}, LENGTH),
        ({"length_auroc": 0.1, "length_correlation": -0.5}, LENGTH),
        ({"length_auroc": 0.89, "length_correlation": 0.6}, REVIEW),
        ({"length_auroc": 0.95, "length_correlation": 0.49}, REVIEW),
        ({"length_auroc": None, "length_correlation": -0.9}, LENGTH),
        ({"length_auroc": None, "length_correlation": 0.89}, REVIEW),
        ({"length_auroc": 0.95, "length_correlation": 0.9, "tail_without_length": 1.6}, REVIEW),
        (WITHIN, REVIEW),
        (WITHIN | {"tail": 1.0}, ("cannot-tell", "no-reference")),
        (WITHIN | {"length_auroc": 0.9, "length_correlation": 0.5}, LENGTH),
        ({"tail_random_spread": 0.6}, CLEAN),  # three deviations above the controls' mean, 2.3, are not reached
        ({"tail_random_spread": 0.49}, REVIEW),
    ],
)
def test_each_limit_from_both_sides(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert judged(**changes) == expected


def test_words_alone_are_named_where_they_reach_as_far() -> None:
    for layer0, named in ((2.0, True), (1.99, False), (None, False)):
        assert bool(judge(replace(FOUND, layer0=layer0), 5, scored=300, threshold=True).doubt) is named
        assert bool(judge(replace(FOUND, layer0=layer0, **WITHIN), 5, scored=300, threshold=True).doubt) is named


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "9 rows stand above p99 of clean rows (3 expected; random directions: 2.5, 8 at most)"),
        (LOW | {"above": 1, "expected": 10.4, "random": 9.94, "random_highest": 1200},
         "nothing stands out: 1 row stands above p99 of clean rows"
         " (10 expected; random directions: 9.9, 1,200 at most)"),
        (WITHIN, f"9 rows stand out within this run, robust z > 3 (random directions: 2.5, 8 at most); {_RUN_ONLY}"),
    ],
)  # fmt: skip
def test_the_figures_of_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert judge(replace(FOUND, **changes), 5, scored=300, threshold=True).sentence == sentence
