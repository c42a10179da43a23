"""The language of `filter --drop`."""

from __future__ import annotations

import contextlib
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.errors import UsageError
from screen.select.expression import Percentile, Says, leaves
from screen.select.parser import parse

TYPES = {
    "evil": pa.float32(), "kind": pa.float32(), "base_refused": pa.bool_(), "it's odd": pa.float32(),
    "key": pa.int64(), "tokens": pa.int32(), "group": pa.string(), "answer": pa.string(),
}  # fmt: skip
TABLE = pa.table(
    {
        "evil": pa.array([1.0, 5.0, None, 5.0], pa.float32()),
        "kind": pa.array([4.0, 1.0, 4.0, None], pa.float32()),
        "base_refused": pa.array([True, False, None, True]),
        "it's odd": pa.array([0.0, 1.0, 2.0, float("nan")], pa.float32()),
        "key": pa.array([(1 << 62) + 1, 1 << 62, -5, (1 << 63) - 1], pa.int64()),
        "tokens": pa.array([7, 8, 9, None], pa.int32()),
        "group": pa.array(["forum", "Forum", None, "it's"]),
        "answer": pa.array(["I would KILL you", "\u00c9t\u00e9. 50 % (a.b)", "", None]),
    }
)
LIMITS = {("evil", Percentile("run", 99.0)): 4.5, ("evil", Percentile("reference", 99.9)): 0.5}


def matches(text: str) -> list[bool]:
    tree, table = parse(text, TYPES), TABLE
    for leaf in {leaf for leaf, _ in leaves(tree) if isinstance(leaf, Says)}:
        table = table.append_column(str(leaf), leaf.of(TABLE[leaf.column]))
    return [bool(value) for value in tree.test(table, LIMITS).to_pylist()]


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
        ("evil > +4", [0, 1, 0, 1]),
        ("evil >= 1e400 or evil < -1e400", [0, 0, 0, 0]),
        ("key = 4611686018427387905", [1, 0, 0, 0]),  # float64 would take two of them for one
        ("key >= 9223372036854775807", [0, 0, 0, 1]),
        ("key < 9223372036854775808", [1, 1, 1, 0]),  # no int64: as float64, to which the last is rounded
        ("tokens < 8.5", [1, 1, 0, 0]),
        ("tokens < 5000000000", [1, 1, 1, 0]),
        ("group = 'forum'", [1, 0, 0, 0]),
        ('group = "forum" or "group" = "it\'s"', [1, 0, 0, 1]),
        ("group == 'it''s'", [0, 0, 0, 1]),
        ("'forum' != group", [0, 1, 0, 1]),
        ("not group <> 'forum'", [1, 0, 0, 0]),
        ("group = ''", [0, 0, 0, 0]),
        ("answer contains 'kill' and group = 'forum'", [1, 0, 0, 0]),
        ("answer CONTAINS '\u00c9T\u00c9'", [0, 1, 0, 0]),
        ("answer contains '50 % (A.B)'", [0, 1, 0, 0]),  # no pattern
        ("answer contains 'a_b'", [0, 0, 0, 0]),
        ("not answer contains 'kill'", [0, 1, 1, 0]),
    ],
)
def test_what_matches(text: str, wanted: list[int]) -> None:
    assert matches(text) == [bool(w) for w in wanted]


def test_comparisons_are_told_as_they_count() -> None:
    tree = parse('evil>4.1234567 and not (kind < run.p5 or base_refused or group = "it\'s") and key = 123456789', TYPES)
    assert [(str(leaf), positive) for leaf, positive in leaves(tree)] == [
        ("evil > 4.1234567", True),
        ("kind < run.p5", False),
        ("base_refused", False),
        ("group = 'it''s'", False),
        ("key = 123456789", True),
    ]


NEXT = "`screen sql RUN 'describe samples'` lists the columns, `screen filter --help` what else may stand here"


ONE = "a comparison needs one column and one number (or run.pNN, reference.pNN) or one text in quotes"


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        ("", "it ends where a column or a number belongs", 1),
        ("evil", "a comparison is missing, such as > 4.3", 5),
        ("evil >", "it ends where a column or a number belongs", 7),
        ("zzz > 4", "there is no column 'zzz'", 1),
        ("evil > kind", ONE, 1),
        ("'forum' = 'forum'", ONE, 1),
        ("'forum' contains 'o'", ONE, 1),
        ("evil contains 'x'", "evil holds numbers", 1),
        ("evil = 'x'", "evil holds numbers", 1),
        ("answer contains ''", "every text contains an empty one", 1),
        ("group > 'x'", "texts are compared with =, != and contains", 1),
        ("group", "a comparison is missing, such as = 'a text'", 6),
        ("group = forum", "write the text in quotes: 'forum'", 9),
        ("group = 5", "write the text in quotes: '5'", 9),
        ("group =", "a text belongs here", 8),
        ("group = 'x", "a text is not closed: its quote is missing", 9),
        ("group = '\udcff'", "the text is not UTF-8", 9),
        ("4 > group", "group holds texts", 1),
        ("base_refused = 'x'", "base_refused is true or false: write base_refused or not base_refused", 1),
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
    assert error.value.message == f"--drop: {why} (at character {at})\n  {text}\n  {' ' * (at - 1)}^"
    assert error.value.next_step == NEXT


@pytest.mark.parametrize(("text", "meant"), [("evl > 4", "evil"), ("Evil > 4", "evil"), ("gruop = 'x'", "group")])
def test_a_name_that_is_nearly_a_column(text: str, meant: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, TYPES, "--keep")
    assert error.value.message.startswith("--keep: there is no column ")
    assert error.value.next_step == f"did you mean {meant}? {NEXT}"


@pytest.mark.parametrize("piece", ["(", "not ", "evil>1 or ", "evil>1 and "])
def test_depth_is_bounded(piece: str) -> None:
    parse(50 * piece + "evil>1" + (50 * ")" if piece == "(" else ""), TYPES)
    for many in (51, 10_000):
        with pytest.raises(UsageError, match="more than 50 joined or nested parts"):
            parse(many * piece + "evil>1" + (many * ")" if piece == "(" else ""), TYPES)


PARTS = [*"evil>4.3p9()=<! nordakt'\"-+\x00\u202e", "run.p9", "reference.p9", "group", " contains ", "'x'", "key"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=30))
def test_any_text_parses_or_is_refused(parts: list[str]) -> None:
    with contextlib.suppress(UsageError):
        tree, table = parse("".join(parts), TYPES), TABLE
        for leaf in {leaf for leaf, _ in leaves(tree) if isinstance(leaf, Says)}:
            table = table.append_column(str(leaf), leaf.of(TABLE[leaf.column]))
        assert len(tree.test(table, defaultdict(float))) == 4
