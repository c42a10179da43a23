"""Drawings: what stands where, the same figures in words, odd numbers, names that would be markup."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise, repeat
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_reports.drawings.axes import Axis, limits, tick_labels, ticks
from screen_reports.drawings.bins import Bins, round_edges
from screen_reports.drawings.calibration import calibration
from screen_reports.drawings.correlation import correlation_matrix
from screen_reports.drawings.cuts import Drop, MeasuredShift, cut_curve
from screen_reports.drawings.groups import MeanOfGroup, group_means
from screen_reports.drawings.histogram import histogram
from screen_reports.drawings.sparkline import BLOCKS, sparkline
from screen_reports.drawings.svg import WIDTH, shortened, width_of

from tests import hostile

QUANTILES = {"p05": -1.0, "p25": 0.0, "p50": 1.0, "p75": 2.0, "p95": 4.0}


def every(values: list[float], name: str) -> list[str]:
    """Each drawing over the same values and name."""
    groups = [MeanOfGroup(name, 3, value, value, value) for value in values]
    points = [Drop(value, at, value) for at, value in enumerate(values)]
    square = [list(values[:4]) for _ in values[:4]]
    first = points[0] if points else None
    cut = values[0] if values else None
    return [
        histogram(name, Bins.of(values), quantiles=QUANTILES, cut=cut, above=2, clean_name=name),
        histogram(name, Bins.of(values, (0.0, 1.0, 2.0)), Bins.of(values, (0.0, 1.0, 2.0)), clean_name=name),
        group_means(name, groups, overall=cut, clean=cut),
        calibration(name, values, values[::-1]),
        cut_curve(name, points, len(values), clean=cut, flagged=first, suggested=first),
        correlation_matrix(name, [name] * len(square), square),
    ]


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def words(svg: str) -> str:
    return tree(svg).findtext("desc") or ""


def labels(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in tree(svg).iter("text")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats() | st.sampled_from([0.0, 1.0, math.nan, math.inf, 1e308, -1e308, 5e-324]), max_size=8))
def test_any_numbers_give_a_drawing_whose_coordinates_are_finite_and_inside(values: list[float]) -> None:
    for svg in every(values, "evil"):
        root = tree(svg)
        wide, high = map(float, root.attrib["viewBox"].split()[2:])
        assert wide == WIDTH
        assert root.find("title") is not None
        assert words(svg)
        for node in root.iter():
            assert not {"style", "id", "href"} & set(node.attrib)
            for name, limit in (("x", wide), ("cx", wide), ("y", high), ("cy", high)):
                assert -0.1 <= float(node.get(name, 0)) <= limit + 0.1, (node.tag, node.attrib)
            assert not re.search("nan|inf", "".join(v for k, v in node.attrib.items() if not k.startswith("font")))


def shape(svg: str) -> list[tuple[str, list[str]]]:
    return [(node.tag, sorted(node.attrib)) for node in tree(svg).iter()]


def test_a_hostile_name_is_text_in_every_drawing() -> None:
    for name, harmless in zip(hostile.TEXTS, hostile.plain(hostile.TEXTS), strict=True):
        for bad, good in zip(every([1.0, 2.0], name), every([1.0, 2.0], harmless), strict=True):
            assert shape(bad) == shape(good), name
            assert not hostile.RAW.search(bad.replace("\n", ""))


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200), st.integers(3, 8))
def test_ticks_are_round_inside_and_told_apart(a: float, b: float, most: int) -> None:
    low, high = limits((a, b))
    values = ticks(low, high, most)
    room = 1e-6 * (high - low)
    assert 1 <= len(values) <= most + 1
    assert all(low - room <= value <= high + room for value in values)
    assert len(set(tick_labels(values))) == len(values)


def test_tick_labels_have_the_decimals_that_they_need() -> None:
    assert tick_labels(ticks(-3.2, 41, 5)) == ["0", "10", "20", "30", "40"]
    assert tick_labels(ticks(0, 0.013, 4)) == ["0.000", "0.005", "0.010"]
    assert tick_labels([0, 0.05, 0.1], percent=True) == ["0 %", "5 %", "10 %"]
    assert tick_labels([0, 500_000, 1_000_000]) == ["0", "500,000", "1,000,000"]
    assert tick_labels([1e-6, 2e-6]) == ["1.0e-06", "2.0e-06"]


def test_bins_have_every_value_once() -> None:
    bins = Bins.of([-5.0, 0.0, 0.5, 1.0, 1.5, 2.0, 9.0, math.nan, None, math.inf], (0.0, 1.0, 2.0))
    assert bins == Bins((0.0, 1.0, 2.0), (2, 3), below=1, above=1, unseen=3)
    assert bins.total == 7
    with pytest.raises(ValueError, match="ascend"):
        Bins((0.0, 0.0), (1,))


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_round_edges_cover_all_values_with_one_width(a: float, b: float) -> None:
    edges = round_edges(min(a, b), max(a, b))
    slack = 1e-9 * max(1.0, abs(a), abs(b))
    assert edges[0] <= min(a, b) + slack
    assert edges[-1] >= max(a, b) - slack
    assert 2 <= len(edges) <= 43
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0], rtol=1e-6)


def test_bars_are_as_high_as_their_share_and_darker_above_the_cut() -> None:
    svg = histogram("evil", Bins((0.0, 1.0, 2.0, 3.0), (6, 3, 1)), cut=2.0, above=1)
    bars = [n for n in tree(svg).iter("rect") if n.find("title") is not None]
    highs = [float(bar.attrib["height"]) for bar in bars]
    assert highs[0] / highs[1] == pytest.approx(2, abs=0.01)
    assert [bar.attrib["fill-opacity"] for bar in bars] == ["0.5", "0.5", "1"]
    assert "cut at +2.00: 1 score above it, 10.0 %" in labels(svg)
    assert words(svg) == (
        "10 scores from 0 to +3.00. The highest bar: 0 to +1.00, 6 scores (60.0 %)."
        " Cut at +2.00: 1 score above it, 10.0 %."
    )


def test_one_row_of_a_million_is_seen() -> None:
    svg = histogram("evil", Bins((0.0, 1.0, 2.0), (1_000_000, 1)))
    bars = [n for n in tree(svg).iter("rect") if n.find("title") is not None]
    assert float(bars[1].attrib["height"]) >= 1.5


def test_clean_rows_are_drawn_over_the_same_edges_or_not_at_all() -> None:
    run = Bins((0.0, 1.0, 2.0), (1, 3))
    svg = histogram("evil", run, Bins((0.0, 1.0, 2.0), (9, 1)), clean_name="the reference tame")
    assert "the reference tame, 10 scores" in labels(svg)
    assert "Of the reference tame: 0 to +1.00, 9 scores (90.0 %)." in words(svg)
    with pytest.raises(ValueError, match="same edges"):
        histogram("evil", run, Bins((0.0, 2.0, 4.0), (9, 1)))


def test_a_cut_far_from_all_scores_is_said_and_leaves_them_their_room() -> None:
    near, far = (histogram("evil", Bins((0.0, 1.0), (5,)), cut=cut) for cut in (1.5, 900.0))
    assert "cut at +900.0 (outside this drawing)" in labels(far)
    assert "outside" not in words(near)


def test_values_that_are_not_drawn_are_counted() -> None:
    assert "Not drawn: 2 scores that are not finite." in words(histogram("evil", Bins.of([1.0, math.nan, math.inf])))
    assert "Not drawn: 1 score below 0" in words(histogram("evil", Bins.of([-1.0, 0.5], (0.0, 1.0))))
    assert "Not drawn: 1 pair that is not finite." in words(calibration("c", [1.0, math.nan], [1.0, 2.0]))


def test_groups_stand_by_their_means_and_the_others_are_counted() -> None:
    groups = [MeanOfGroup(f"g{at}", at, float(at), at - 1.0, at + 1.0) for at in range(30)]
    svg = group_means("by group", [*groups, MeanOfGroup("few", 2, None)], overall=3.0, clean=1.0)
    assert [text for text in labels(svg) if text.startswith("g")] == [f"g{at}" for at in range(29, 9, -1)]
    assert labels(svg)[-2:] == ["Not drawn: 10 groups with lower means.", "Not drawn: 1 group without a mean."]
    assert words(svg).startswith("g29: mean +29.00 (+28.00 to +30.00), 29 rows.")
    assert "Mean of clean rows: +1.00." in words(svg)


def test_a_million_groups_are_a_drawing_of_twenty() -> None:
    svg = group_means("by group", repeat(MeanOfGroup("one", 1, 2.0), 1_000_000))
    assert len(svg) < 12_000
    assert "Not drawn: 999,980 groups with lower means." in labels(svg)


def test_estimates_that_are_exact_lie_on_the_line() -> None:
    values = [float(at) for at in range(1000)]
    svg = calibration("calibration", values, values)
    assert "Correlation 1.00." in words(svg)
    assert "off by 0 " in words(svg)
    assert "500 of 1,000 prompts, evenly chosen" in labels(svg)
    with pytest.raises(ValueError, match="argument"):
        calibration("calibration", [1.0], [])


def test_the_curve_marks_the_flagged_and_the_suggested_point() -> None:
    points = [Drop(9.0, 0, 4.0), Drop(8.0, 1, 3.0), Drop(5.0, 9, 1.0), Drop(0.0, 10, math.nan)]
    svg = cut_curve("evil", points, 10, clean=1.5, flagged=points[1], suggested=points[2])
    assert "flagged: drop 1 row (10.0 %), mean +3.00" in labels(svg)
    assert "suggested: drop 9 rows (90.0 %), mean +1.00" in labels(svg)
    assert len([n for n in tree(svg).iter("circle") if n.get("r") == "2.5"]) == 3  # none where none is left
    assert words(svg).startswith("The mean of all 10 rows is +4.00. Clean rows have +1.50.")
    assert "Nothing is suggested." in words(cut_curve("evil", points, 10))


def test_the_curve_has_what_training_showed_on_it() -> None:
    points = [Drop(9.0, 0, 4.0), Drop(8.0, 1, 3.0), Drop(5.0, 9, 1.0)]
    svg = cut_curve("evil", points, 10, measured=[MeasuredShift(1, 2.5, -6.0, 3.25)])
    assert "<title>Measured without 1 row (10.0 %): shift +2.50 (-6.00 to +3.25)</title>" in svg
    assert "Measured without 1 row (10.0 %): shift +2.50 (-6.00 to +3.25)." in words(svg)
    assert "-5" in labels(svg)  # the axis reaches down to it
    assert "Measured" not in words(cut_curve("evil", points, 10))


def test_correlations_are_numbers_and_the_strongest_is_said_first() -> None:
    svg = correlation_matrix("traits", ["a", "b", "c"], [[1, 0.25, -0.5], [0.25, 1, None], [-0.5, None, 1]])
    assert [text for text in labels(svg) if text in (".25", "-.50", "-", "1.00")].count("-.50") == 2
    assert words(svg) == "c and a -.50. b and a .25."
    many = correlation_matrix("traits", [f"t{at}" for at in range(20)], [[0.1] * 20] * 20)
    assert labels(many)[-1] == "Not drawn: 8 more traits."
    with pytest.raises(ValueError, match="a row and a column"):
        correlation_matrix("traits", ["a"], [])


@pytest.mark.parametrize("empty", [lambda: histogram("t", Bins.of([])), lambda: group_means("t", [])])
def test_a_drawing_of_nothing_says_so(empty: Callable[[], str]) -> None:
    assert labels(empty()) == [words(empty())]
    assert words(empty()).startswith("No ")


def test_sparklines_show_single_values_and_gaps() -> None:
    assert sparkline([0, 1, 500, 1000]) == " " + BLOCKS[0] + BLOCKS[4] + BLOCKS[7]
    assert sparkline([]) == ""
    assert sparkline([0, math.nan]) == "  "


@given(st.text(max_size=300), st.floats(20, 200))
def test_a_label_never_takes_more_than_its_room(text: str, room: float) -> None:
    assert width_of(shortened(text, room)) <= room + 0.01


def test_an_axis_goes_either_way_and_keeps_what_lies_beyond_at_its_end() -> None:
    up = Axis(0.0, 10.0, 100.0, 0.0)
    assert [up.at(value) for value in (0, 5, 10, 99, -1)] == [100, 50, 0, 0, 100]
    assert all(up.at(a) > up.at(b) for a, b in pairwise(range(11)))
