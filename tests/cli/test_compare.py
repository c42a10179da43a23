"""`screen compare`: what it prints, in a terminal of 80 columns and as JSON of the documented schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

import screen as library
from tests.analysis.made_runs import Row, made
from tests.cli.conftest import Screen
from tests.cli.fake_run import HOSTILE

SCHEMA = Path(__file__).parents[2] / "docs" / "json" / "compare.schema.json"
ROWS: list[Row] = [(f"text {i}", f"c{i}", float(i % 7)) for i in range(20)]


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Row 2 crosses the cut and has hostile text, row 3 is gone, row 19 changed, one is new and flagged."""
    rows = [(text, name, 9.0 if i == 2 else score) for i, (text, name, score) in enumerate(ROWS) if i != 3]
    second = [*rows[:-1], ("rewritten", "c19", 5.0), ("new", HOSTILE, 8.0)]
    return made(tmp_path / "v1.screen", ROWS), made(tmp_path / "v2.screen", second, answers={2: HOSTILE})


def test_the_page_tells_rows_cuts_and_movers(screen: Screen, versions: tuple[Path, Path]) -> None:
    said = screen("compare", "v1.screen", "v2.screen")
    assert said.code == 0
    flat = " ".join(said.out.split())
    assert "rows 18 the same (15 at another place), 1 changed, 1 gone, 1 new" in flat
    assert "evil, over the cut in B: the 1 that moved most" in flat
    assert "evil: 1 of 1 new sample flagged" in flat
    assert re.search(r"^2 c2 +\+2\.00 +\+9\.00  \[red\]", said.out, re.MULTILINE)
    assert "no difference" not in flat
    assert "have the same scores" not in flat
    assert "the units of" not in flat
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b]", said.out.replace("\n", ""))


def test_rows_that_are_there_twice_and_score_the_same_are_told(screen: Screen, tmp_path: Path) -> None:
    made(tmp_path / "a.screen", ROWS)
    made(tmp_path / "b.screen", [*ROWS, ("new", None, 1.0)])
    flat = " ".join(screen("compare", "a.screen", "b.screen", "-n", "0").out.split())
    assert "evil: the 20 samples that both have, unchanged, have the same scores" in flat
    assert "moved most" not in flat


def test_a_run_beside_itself_shows_no_difference(screen: Screen, versions: tuple[Path, Path]) -> None:
    said = screen("compare", "v1.screen", "v1.screen")
    assert said.code == 0
    assert said.out.endswith("\nno difference: the same 20 rows\n")
    assert library.open(versions[0]).compare(versions[0]).equal


def test_json_is_of_the_documented_schema(screen: Screen, versions: tuple[Path, Path], tmp_path: Path) -> None:
    made(tmp_path / "going.screen", ROWS[:5], finish=False, of=20, baseline="last-prompt")
    schema = json.loads(SCHEMA.read_text())
    for pair in (("v1.screen", "v2.screen"), ("v1.screen", "v1.screen"), ("going.screen", "v2.screen")):
        said = screen("compare", *pair, "--json")
        found = json.loads(said.out)
        jsonschema.validate(found, schema)
        assert said.err == ""
    assert found["a"]["unfinished"].endswith("is not finished: it holds 5 of 20 rows")


def test_an_unfinished_run_is_named_in_the_first_line(screen: Screen, tmp_path: Path) -> None:
    made(tmp_path / "going.screen", ROWS[:5], finish=False, of=20)
    said = screen("compare", "going.screen", "going.screen")
    first = " ".join(said.out.split())
    assert first.startswith("note: going.screen is not finished: it holds 5 of 20 rows; what it holds is compared")


def test_other_units_are_said_and_no_score_is_shown_as_moved(screen: Screen, tmp_path: Path) -> None:
    made(tmp_path / "a.screen", ROWS, vectors={"evil": {"layer": 1, "sha256": "x"}})
    other = [(text, name, 90.0 if i == 2 else score) for i, (text, name, score) in enumerate(ROWS)]
    made(tmp_path / "b.screen", other, vectors={"evil": {"layer": 2, "sha256": "y"}})
    flat = " ".join(screen("compare", "a.screen", "b.screen", "--by", "evil").out.split())
    assert "the units of scores are not the same" in flat
    assert "vectors evil: layer 1 -> 2" in flat
    assert "ranks of the 20 samples that both have agree by" in flat
    assert re.search(r"2 c2 +p\d\S+ +p95\.0", flat)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("v1.screen", "nowhere"), "there is no run at"),
        (("v1.screen", "v2.screen", "--by", "evli"), "there is no trait 'evli'"),
        (("v1.screen",), "Missing argument 'B'"),
    ],
)
def test_wrong_names_are_told(screen: Screen, versions: object, args: tuple[str, ...], words: str) -> None:
    said = screen("compare", *args)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert "next: " in said.err
