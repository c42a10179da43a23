"""The language of `filter --drop`."""

from __future__ import annotations

import contextlib
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.cli.expression import Percentile, leaves, parse
from screen.errors import UsageError

TYPES = {"evil": pa.float32(), "kind": pa.float32(), "base_refused": pa.bool_(), "it's odd": pa.float32()}
TABLE = pa.table(
    {
        "evil": pa.array([1.0, 5.0, None, 5.0], pa.float32()),
        "kind": pa.array([4.0, 1.0, 4.0, None], pa.float32()),
        "base_refused": pa.array([True, False, None, True]),
        "it's odd": pa.array([0.0, 1.0, 2.0, float("nan")], pa.float32()),
    }
)


def matches(text: str) -> list[bool]:
    found = parse(text, TYPES).test(
        TABLE, {("evil", Percentile("run", 99.0)): 4.5, ("evil", Percentile("reference", 99.9)): 0.5}
    )
    return [bool(value) for value in found.to_pylist()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("evil > 4.3", [0, 1, 0, 1]),
        ("4.3 < evil", [0, 1, 0, 1]),
        ("evil>run.p99", [0, 1, 0, 1]),
        ("run . P99 < evil", [0, 1, 0, 1]),
        ("evil>reference.p99.9", [1, 1, 0, 1]),
        ("evil>reference.p999", [1, 1, 0, 1]),
        ("evil <= 1 or kind >= 4", [1, 0, 1, 0]),
        ("evil > 4 and kind < 2", [0, 1, 0, 0]),
        ("evil > 4 or kind > 3 and base_refused", [1, 1, 0, 1]),
        ("(evil > 4 or kind > 3) and base_refused", [1, 0, 0, 1]),
        ("not evil > 4", [1, 0, 0, 0]),  # a null matches neither way
        ("NOT (evil > 4 OR kind > 9)", [1, 0, 0, 0]),
        ("base_refused", [1, 0, 0, 1]),
        ('"it\'s odd" != 1', [1, 0, 1, 0]),  # nan is no score
        ("evil == 5", [0, 1, 0, 1]),
        ("evil > -1e-3", [1, 1, 0, 1]),
        ("evil <> .5", [1, 1, 0, 1]),
    ],
)
def test_what_matches(text: str, wanted: list[int]) -> None:
    assert matches(text) == [bool(w) for w in wanted]


def test_comparisons_are_told_as_they_count() -> None:
    tree = parse("evil>4 and not (kind < run.p5 or base_refused)", TYPES)
    assert [(str(leaf), positive) for leaf, positive in leaves(tree)] == [
        ("evil > 4", True),
        ("kind < run.p5", False),
        ("base_refused", False),
    ]


NEXT = (
    '\n  next: use these columns: evil, kind, base_refused, "it\'s odd";'
    " with < > <= >= = !=, numbers, run.p99, reference.p99, and, or, not, ( )"
)


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        ("", "it ends where a column or a number belongs", 1),
        ("evil", "a comparison is missing, such as > 4.3", 5),
        ("evil >", "it ends where a column or a number belongs", 7),
        ("evl > 4", "there is no column 'evl'", 1),
        ("evil > kind", "a comparison needs one column and one number (or run.pNN, reference.pNN)", 1),
        ("evil > 4 kind < 2", "'kind' is not expected here; join comparisons with and / or", 10),
        ("1 < evil < 4", "one comparison at a time: write a < b and b < c", 10),
        ("(evil > 4", 'a ")" is missing', 10),
        ("evil > run.p101", "p101 is no percentile: p0 to p100", 8),
        ("evil > p99", "p99 of what? run.p99 is this run's, reference.p99 the clean data's", 8),
        ("run > 4", "there is no column 'run'", 1),
        ("base_refused = 1", "base_refused is true or false: write base_refused or not base_refused", 1),
        ("evil > 4; drop", "';' is not understood", 9),
        ("evil > 4 or __import__", "there is no column '__import__'", 13),
    ],
)
def test_an_error_names_the_place_and_the_columns(text: str, why: str, at: int) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, TYPES)
    assert str(error.value) == f"--drop: {why} (at character {at})\n  {text}\n  {' ' * (at - 1)}^{NEXT}"


@pytest.mark.parametrize("text", ["(" * 1000, "not " * 1000, " or ".join(["evil>1"] * 1000)])
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(UsageError, match="more than 50 joined or nested parts"):
        parse(text, TYPES)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*"evil>4.3p9()=<! nordakt'\"-+\x00\u202e", "run.p9", "reference.p9"]), max_size=30))
def test_any_text_parses_or_is_refused(parts: list[str]) -> None:
    with contextlib.suppress(UsageError):
        assert len(parse("".join(parts), TYPES).test(TABLE, defaultdict(float))) == 4
