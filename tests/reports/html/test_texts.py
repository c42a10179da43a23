"""Texts cut to a length with their windows marked, which rows are chosen, and data that no parser takes for markup."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen_reports.html.chosen import choose
from screen_reports.html.embedded import dumped, embedded
from screen_reports.html.texts import Piece, beginning, marked


def plain(piece: Piece) -> str:
    return piece if isinstance(piece, str) else "" if isinstance(piece, int) else piece[0]


def length_of(pieces: list[Piece]) -> int:
    return sum(piece if isinstance(piece, int) else len(plain(piece)) for piece in pieces)


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[list[tuple[int, int]]]]:
    text = draw(st.text(min_size=1, max_size=900))
    place = st.integers(0, len(text))
    spans = st.lists(st.tuples(place, place).map(lambda ends: (min(ends), max(ends))), max_size=3)
    return text, draw(st.lists(spans, min_size=1, max_size=3))


@given(texts(), st.integers(80, 1000))
def test_pieces_and_what_is_left_out_are_the_text(case: tuple[str, list[list[tuple[int, int]]]], most: int) -> None:
    text, windows = case
    pieces = marked({0: text}, len(text), windows, most)
    assert length_of(pieces) == len(text)
    at = 0
    for piece in pieces:
        shown = plain(piece)
        assert text[at : at + len(shown)] == shown
        for trait, rank in piece[1] if isinstance(piece, list) else ():
            start, end = windows[trait][rank]
            assert start <= at < at + len(shown) <= end
        at += piece if isinstance(piece, int) else len(shown)
    if len(text) <= most:
        assert "".join(map(plain, pieces)) == text


def test_of_a_long_text_the_beginning_and_the_highest_window_are_shown() -> None:
    text = "a" * 5000 + "WINDOW" + "b" * 5000
    known = {0: text[:800], 4700: text[4700:5300]}
    pieces = marked(known, len(text), [[(5000, 5006)]], 400)
    assert pieces[0] == "a" * 100
    assert ["WINDOW", [[0, 0]]] in pieces
    assert length_of(pieces) == len(text)
    assert sum(len(plain(piece)) for piece in pieces) < 500


def test_a_beginning_says_how_much_is_left_out() -> None:
    assert beginning("abcdef", 6, 10) == ["abcdef"]
    assert beginning("abcdef", 1000, 4) == ["abcd", 996]
    assert beginning(None, None, 4) is None


SCORES = st.lists(st.floats(-9, 9, width=32) | st.just(float("nan")), max_size=60)


@given(SCORES, st.integers(0, 20), st.integers(0, 20))
def test_the_highest_are_chosen_and_a_sample_of_the_others(scores: list[float], top: int, sample: int) -> None:
    values = np.array(scores, dtype=np.float32)
    known = values[~np.isnan(values)]
    chosen = choose(np.arange(len(values)), np.ones(len(values), np.int8), {"evil": values}, top, sample)
    assert (len(chosen.top), len(chosen.sample)) == (min(top, len(known)), min(sample, max(len(known) - top, 0)))
    assert not set(chosen.top) & set(chosen.sample)
    assert sorted(values[list(chosen.top)]) == sorted(np.sort(known)[::-1][:top])
    assert chosen == choose(np.arange(len(values)), np.ones(len(values), np.int8), {"evil": values}, top, sample)


def test_the_sample_goes_from_low_to_high() -> None:
    values = np.arange(1000, dtype=np.float32)
    chosen = choose(np.arange(1000), np.ones(1000, np.int8), {"evil": values}, 100, 50)
    assert np.histogram(chosen.sample, np.linspace(0, 900, 51))[0].tolist() == [1] * 50


def test_rows_that_are_trained_away_from_are_chosen_for_being_low() -> None:
    signs = np.array([1, 1, 1, -1], np.int8)
    chosen = choose(np.arange(4), signs, {"evil": np.array([1, 2, 3, -9], np.float32)}, 2, 0)
    assert chosen.top == (2, 3)


@pytest.mark.parametrize(
    "text", ["</script><!--", "a\u2028b\u2029c", "&lt;", "\x00\x1b[2J", "\ud800", "\u202e", "<SCRIPT>"]
)
def test_data_holds_no_markup_and_nothing_hidden(text: str) -> None:
    shown = dumped({text: [text, 1, None, True]})
    assert not set(shown) & set("<>&\u2028\u2029\x00\x1b\ud800\u202e")
    key, value = next(iter(json.loads(shown).items()))
    assert (key, value[1:]) == (value[0], [1, None, True])


def test_data_is_squeezed_where_it_pays() -> None:
    small, large = embedded({"a": dumped([1])}), embedded({"a": dumped(["again "] * 999), "b": "2"})
    assert small == ('{"a":[1]}', False)
    assert json.loads(gzip.decompress(base64.b64decode(large.text))) == {"a": ["again "] * 999, "b": 2}
    assert large.squeezed
