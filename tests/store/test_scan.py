from __future__ import annotations

import math
import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from screen.errors import StoreError
from screen.store import liftfile, tables
from screen.store import scan as scan_module
from screen.store.folder import RunFolder
from screen.store.scan import Scan
from screen.store.sql import catalogue, views
from screen.store.unfinished import unfinished as unfinished_told
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
        "import screen.store.sql.catalogue; Scan.open(Path(sys.argv[1])).status();"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_rows_beyond_the_limit_are_cut_and_it_says_so(scan):
    from screen.store.sql.sandbox import Limits

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


def test_scores_are_corrected_by_what_length_explains(tmp_path):
    place = {"file": "f", "line": 1, "offset": 0, "length": 1, "sha256": "a", "turns_scored": 1}
    scores = [{**place, "row": n, "evil": 2.0, "answer_tokens": n} for n in (0, 1, 20)]
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        place |= {"stage": "read", "code": "c", "message": "m", "head": ""}
        skipped = [{**place, "row": n} for n in range(2, 20)]
        run.publish(0, 0, 21, {"scores": fake.build("scores", scores), "skipped": fake.build("skipped", skipped)})
    scan = Scan.open(tmp_path / "run")
    text = 'select evil_corrected from samples order by "row"'
    found = scan.sql(text, flags={"evil": {"length_slope": 0.5, "length_mean": 1.0}})["evil_corrected"].to_pylist()
    assert found == pytest.approx([2.5, 2.5, 2.0 - 0.5 * (math.log(20) - 1)])
    for known in ({}, {"length_slope": 0.5}, {"length_mean": 1.0}):
        assert scan.sql(text, flags={"evil": known})["evil_corrected"].to_pylist() == [None] * 3


def test_rows_trained_away_from_are_flagged_below_their_own_threshold(unfinished):
    flags = {"evil": {"threshold": 2.0, "threshold_away": 1.5}}
    rows = unfinished.sql('select "row", sign, flags from flagged', flags=flags).to_pylist()
    assert rows == [{"row": 0, "sign": -1, "flags": ["evil"]}]
    assert unfinished.sql("from flagged", flags={"evil": {"threshold_away": -2.0}}).num_rows == 0


def test_a_flag_names_the_column_that_it_is_of(unfinished):
    flags = {"evil": {"threshold": -1.0, "column": fake.TRAITS[1]}}
    assert unfinished.sql("from flagged", flags=flags).num_rows == 4
    for trait, column in (("evil", "nope"), ("nope", "evil")):
        with pytest.raises(StoreError, match=f"there is no column '{column}' to flag '{trait}' by"):
            unfinished.sql("from flagged", flags={trait: {"threshold": 1.0, "column": column}})


def test_a_query_of_rows_reads_their_shards(scan):
    rows = scan.sql('select distinct "row" from scores order by 1', rows=[6])["row"].to_pylist()
    assert rows == [5, 6, 7, 8, 9]


def test_a_catalogue_is_renewed_where_it_is_missing_or_older_than_the_summary(path):
    run, target = RunFolder.read(path), path / "catalogue.duckdb"
    target.unlink(missing_ok=True)
    catalogue.renew(run)
    at = (path / "summary.json").stat().st_mtime_ns
    target.write_bytes(b"kept")
    for now in (at, at + 1):
        os.utime(target, ns=(now, now))
        catalogue.renew(run)
        assert target.read_bytes() == b"kept"
    os.utime(target, ns=(at - 1, at - 1))
    catalogue.renew(run)
    assert target.read_bytes() != b"kept"


def test_a_catalogue_holds_the_thresholds_that_it_is_given(path):
    for flags, count in ((None, 0), ({"evil": {"threshold": -1.0}}, 1), ({}, 0)):
        built = catalogue.build(RunFolder.read(path), flags)
        with duckdb.connect(str(built), read_only=True) as database:
            (flagged,) = database.sql("select count(*) from flagged").fetchall()[0]
        above = Scan.open(path).sql("from flagged").num_rows
        assert flagged == (above if flags is None else 20 * count)


@pytest.mark.parametrize(
    ("facts", "of", "how"),
    [
        ({}, "", "type the command that began it again"),
        ({"dataset": {"rows": 2300}}, " of 2,300", "type the command that began it again"),
        ({"spec": {"x": 1}}, "", "screen run --spec 'a run/scan.json' --out 'a run'"),
    ],
)
def test_what_is_said_of_an_unfinished_run(tmp_path, monkeypatch, facts, of, how):
    with RunFolder.open(tmp_path / "a run", fake.identity(), facts) as run:
        run.publish(0, 0, 5, fake.shard_tables(0, 5))
        assert unfinished_told(run)[0] == f"{tmp_path / 'a run'} is not finished: it holds 5{of} rows"
        monkeypatch.chdir(tmp_path)
        expected = how.replace("'a run/scan.json'", "'a run'/scan.json")
        assert unfinished_told(run) == (f"a run is not finished: it holds 5{of} rows", f"finish it: {expected}")


@pytest.mark.parametrize(
    ("statement", "reached"),
    [
        ("select 1", set()),
        ("FROM Turns", {"turns"}),
        ("from flagged", {"flagged", "scores"}),
        ("from samples", {"samples", "scores", "turns"}),
        ("from lift", {"lift"}),
        ("from query('from sc' || 'ores')", {*views.NAMES, "lift", "labels"}),
    ],
)
def test_the_tables_that_a_statement_reaches_are_hashed(statement, reached):
    assert scan_module._reached(statement) == reached


@pytest.mark.parametrize(
    ("name", "written"), [("evil", "evil"), ("a b", '"a b"'), ('a"b', '"a""b"'), ("é", '"\\xe9"'), ("1", '"1"')]
)
def test_a_column_as_it_is_written_in_sql(name, written):
    assert scan_module.ascii_name(name) == written


def test_a_lift_beside_a_run_can_be_asked_for(tmp_path):
    fake.scan(tmp_path / "run")
    liftfile.keep(RunFolder.read(tmp_path / "run"), pa.table({"row": [3, 4], "evil_lift": [0.5, 1.5]}))
    scan = Scan.open(tmp_path / "run")
    assert scan.sql("select max(evil_lift) m from lift")["m"].to_pylist() == [1.5]


def test_a_run_in_a_folder_whose_name_has_the_signs_of_a_pattern(tmp_path):
    path = tmp_path / "run [1] a=2*"
    fake.scan(path)
    scores = Scan.open(path).scores()
    assert (scores.collect().height, "a" in scores.collect_schema()) == (24, False)
