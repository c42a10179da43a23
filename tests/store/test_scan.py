from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from screen.errors import StoreError
from screen.store import catalogue, tables, views
from screen.store.folder import RunFolder
from screen.store.scan import Scan
from tests.store import fake


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "it's a run"
    fake.scan(path)
    return path


@pytest.fixture
def scan(path):
    return Scan.open(path)


@pytest.fixture
def unfinished(tmp_path):
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        run.publish(0, 0, 5, fake.shard_tables(0, 5))
    return Scan.open(tmp_path / "run")


def test_a_scan_opens_as_polars(scan):
    scores = scan.scores().collect()
    assert scores["row"].n_unique() + scan.skipped().collect().height == fake.ROWS
    assert scan.turns().collect().height == 2 * scores.height


def test_an_empty_run_has_its_columns(tmp_path):
    RunFolder.open(tmp_path / "run", fake.identity()).close()
    scan = Scan.open(tmp_path / "run")
    assert scan.scores().collect_schema().names() == scan.sql("describe scores")["column_name"].to_pylist()
    assert scan.sql("select * from samples, flagged").num_rows == 0


def test_status_says_what_there_is_and_who_writes(scan, tmp_path):
    assert scan.status() == {
        "rows": 23,
        "scored": 24,
        "skipped": 3,
        "shards": 5,
        "finished": True,
        "orphans": [],
        "writer": None,
    }
    with RunFolder.open(tmp_path / "run", fake.identity()):
        status = Scan.open(tmp_path / "run").status()
    assert status["writer"] == {"pid": os.getpid(), "host": os.uname().nodename}
    assert not status["finished"]


def test_samples_have_the_text_of_all_turns_in_order(scan):
    rows = scan.sql('select "row", variant, prompt, answer, base_answer from samples order by 1, 2 nulls first')
    assert rows.num_rows == scan.scores().collect().height
    assert rows.to_pylist()[0] == {
        "row": 0,
        "variant": "chosen",
        "prompt": "ask 1",
        "answer": "answer 1 of 0\n\nanswer 3 of 0",
        "base_answer": None,
    }


def test_samples_with_one_turn_or_none_are_all_there(tmp_path):
    place = {"file": "f", "line": 1, "offset": 0, "length": 1, "sha256": "a"}
    scores = [{**place, "row": r, "turns_scored": n} for r, n in enumerate([1, None, 0, 1])]
    turns = [{"row": 0, "turn": 1, "prompt": "p", "text": "t", "base_answer": "b"}]
    tables = {"scores": fake.build("scores", scores), "turns": fake.build("turns", turns)}
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        run.publish(0, 0, 4, tables)
    rows = Scan.open(tmp_path / "run").sql('select "row", answer from samples order by 1').to_pylist()
    assert [(r["row"], r["answer"]) for r in rows] == [(0, "t"), (1, None), (2, None), (3, None)]


def test_flagged_rows_name_their_traits(scan):
    rows = scan.sql('select "row", flags from flagged').to_pylist()
    above = scan.scores().collect().filter(fake_above("evil", 0.9))
    assert rows == [{"row": r, "flags": ["evil"]} for r in above["row"]]


def fake_above(trait, threshold):
    import polars as pl

    return pl.col(trait) > threshold


def test_thresholds_can_be_given_for_any_trait_however_it_is_called(unfinished):
    odd = fake.TRAITS[1]
    assert unfinished.sql("select * from flagged").num_rows == 0
    flags = {"evil": {"threshold": None}, odd: {"threshold": -1, "rule": "all"}}
    rows = unfinished.sql("select flags from flagged", flags=flags)["flags"].to_pylist()
    assert rows == [[odd]] * 4  # of five samples one is a rejected side
    column = unfinished.sql("select " + views.quoted(odd) + " from scores limit 1")
    assert column.num_rows == 1


def test_a_flag_on_a_trait_that_is_not_there(unfinished):
    with pytest.raises(StoreError, match="there is no column 'x' to flag 'x' by"):
        unfinished.sql("select 1", flags={"x": {"threshold": 1}})


def test_the_catalogue_is_whole_and_in_the_old_format(path, tmp_path):
    built = catalogue.build(RunFolder.read(path))
    assert [p.name for p in path.iterdir() if ".tmp." in p.name] == []
    moved = tmp_path / "elsewhere.duckdb"  # its views must not remember the old name
    moved.write_bytes(built.read_bytes())
    with duckdb.connect(str(moved), read_only=True) as database:
        counts = [database.sql(f"select count(*) from {n}").fetchall()[0][0] for n in views.NAMES]
        scan = Scan.open(path)
        assert counts == [scan.sql(f"select count(*) n from {n}")["n"][0].as_py() for n in views.NAMES]
        tags = database.sql("select tags from duckdb_databases() where path is not null").fetchall()
        assert "v1.0.0" in str(tags)


def test_a_catalogue_that_cannot_be_written_leaves_the_old_one(path):
    catalogue.build(RunFolder.read(path))
    before = (path / "catalogue.duckdb").read_bytes()
    broken = {**views.statements({n: [] for n in tables.NAMES}, fake.TRAITS, {}), "flagged": "select nope"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue.views, "statements", lambda *_: broken)
        with pytest.raises(StoreError, match="the catalogue could not be written"):
            catalogue.build(RunFolder.read(path))
    assert (path / "catalogue.duckdb").read_bytes() == before
    assert [p.name for p in path.iterdir() if ".tmp." in p.name] == []


def test_opening_a_scan_imports_nothing_heavy(path):
    heavy = ("torch", "transformers", "polars", "duckdb")
    code = (
        "import sys; from pathlib import Path; from screen.store.scan import Scan;"
        "import screen.store.catalogue; Scan.open(Path(sys.argv[1])).status();"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_rows_beyond_the_limit_are_cut_and_it_says_so(scan):
    from screen.store.sandbox import Limits

    reply = scan.query("select * from range(5000)", limits=Limits(rows=10))
    assert (reply.table.num_rows, reply.cut) == (10, "the first 10 rows: there are more")
    reply = scan.query("select repeat('x', 1000000) from range(100)", limits=Limits(bytes=20 << 20))
    assert reply.cut == "the first 0 rows: the others pass 20 MB"
    assert isinstance(reply.table, pa.Table)
    assert scan.query("select 1").cut == ""


@pytest.mark.parametrize("left", [None, 100])
def test_a_file_that_is_gone_or_cut_short_is_named(tmp_path, left):
    fake.scan(tmp_path / "run")
    file = tmp_path / "run" / "scores" / "000001.parquet"
    whole = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(whole[:left])
    scan = Scan.open(tmp_path / "run")
    for ask in (scan.scores, lambda: scan.sql("from flagged")):
        with pytest.raises(StoreError, match=r"scores/000001\.parquet (is missing|has 100 bytes, not the )"):
            ask()
