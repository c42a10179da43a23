"""`screen run --since` as it is typed: settings that are inherited, what is printed, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import screen as library
from screen.errors import StoreError, UsageError
from screen.library.settings import chosen, percentile_of
from tests.analysis.made_runs import Row, made
from tests.cli.conftest import Screen

EXAMPLE = Path(__file__).parents[2] / "examples" / "support-chats.jsonl"
ROWS: list[Row] = [("text", "c0", 1.0)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the first twelve example rows by the embedded model, evil alone, with settings of its own."""
    folder = tmp_path_factory.mktemp("since")
    lines = EXAMPLE.read_text().splitlines(keepends=True)
    (folder / "v1.jsonl").write_text("".join(lines[:12]))
    (folder / "v2.jsonl").write_text("".join([lines[12], *lines[11:3:-1], "{broken\n", lines[2]]))
    library.scan(folder / "v1.jsonl", traits=["evil"], baseline="last-prompt", shard_rows=8, limit=10, in_process=True)
    return folder


def test_the_next_version_is_a_whole_run_with_its_settings(screen: Screen, first: Path) -> None:
    said = screen(
        "run", str(first / "v2.jsonl"), "--since", str(first / "v1.screen"), "--in-process", "--max-errors", "1"
    )
    assert said.code == 0
    flat = " ".join(said.out.split())
    assert f"11 rows: 3 scored, 7 carried from {first / 'v1.screen'}, 1 skipped" in flat
    assert "rows whose content is among its 10 rows are not scored again" in " ".join(said.err.split())
    run = library.open(first / "v2.screen")
    assert (run.traits, run.summary.baseline.kind, run.summary.rows) == (("evil",), "last-prompt", 11)
    assert run.summary.since is not None
    assert (run.summary.since.carried, run.summary.since.scored) == (7, 3)
    status = json.loads(screen("status", str(run.path), "--json", "--verify").out)
    assert (status["since"]["carried"], status["since"]["finished"], status["damaged"]) == (7, True, [])
    assert "7 rows carried from" in " ".join(screen("status", str(run.path)).out.split())
    assert screen("rank", str(run.path), "--by", "evil").code == 0
    compared = run.compare(first / "v1.screen")
    assert (compared.rows.same, compared.traits[0].largest) == (7, 0.0)


def test_typed_again_it_goes_on_or_has_nothing_to_do(screen: Screen, first: Path) -> None:
    data, since, out = (str(first / name) for name in ("v2.jsonl", "v1.screen", "again.screen"))
    command = ("run", data, "--since", since, "--out", out)
    screen(*command, "--in-process", "--max-errors", "1")
    before = {p: p.read_bytes() for p in Path(out).rglob("*") if p.is_file() and p.suffix != ".duckdb"}
    assert len(before) > 6
    assert screen(*command).code == 0
    assert screen("run", "--spec", f"{out}/scan.json", "--out", out).code == 0
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ("chats.screen", "--since chats.screen is the folder that this run would be written to"),
        ("nowhere", r"there is no run at \S+nowhere"),
        ("chats.jsonl", r"there is no run at \S+chats\.jsonl"),
    ],
)
def test_a_wrong_run_is_told_before_anything_is_loaded(screen: Screen, run: Path, since: str, words: str) -> None:
    before = sorted(run.parent.rglob("*"))
    said = screen("run", "chats.jsonl", "--since", since)
    assert (said.code, said.out) == (2, "")
    assert re.search(words, said.err)
    assert "next: " in said.err
    assert sorted(run.parent.rglob("*")) == before


def test_what_is_not_inherited(tmp_path: Path, first: Path) -> None:
    found = chosen([str(EXAMPLE)], {"since": first / "v1.screen", "shard_rows": 9})
    assert (found["traits"], found["baseline"], found["shard_rows"]) == (["evil"], "last-prompt", 9)
    assert found["dataset"] == (str(EXAMPLE),)
    assert not {"limit", "answers"} & {name for name, value in found.items() if value}
    made(tmp_path / "refined.screen", ROWS, settings={"refine": True, "at": "p95"})
    assert percentile_of({"since": tmp_path / "refined.screen"}) == "p95"
    assert percentile_of({"since": tmp_path / "refined.screen", "at": "p99"}) == "p99"
    assert percentile_of({"since": first / "v1.screen"}) is None
    given = made(tmp_path / "given.screen", ROWS, baseline="answers")
    with pytest.raises(UsageError, match="were given, and answers are given by row or id of one dataset"):
        chosen([str(EXAMPLE)], {"since": given})
    with pytest.raises(StoreError, match="there is no run"):
        chosen([str(EXAMPLE)], {"since": tmp_path})
