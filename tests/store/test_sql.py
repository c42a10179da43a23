"""Statements that try to do more than read: each refused, or harmless, and the shards unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import duckdb
import pytest

from screen.errors import UsageError
from screen.store.scan import Scan
from screen.store.sql import landlock
from screen.store.sql.child import StatementRefused, checked
from screen.store.sql.sandbox import Limits
from tests.store import fake


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "run"
    fake.scan(path)
    (path.parent / "private.csv").write_text("a,b\nsecret,1\n")
    return path


@pytest.fixture(autouse=True)
def unchanged(run):
    def contents():
        return {p: p.read_bytes() for p in run.parent.rglob("*") if p.is_file()}

    before = contents()
    yield
    assert contents() == before


def refusal(run, statement, **limits):
    shard = run / "scores/000000.parquet"
    statement = statement.format(shard=shard, folder=run.parent, private=run.parent / "private.csv")
    with pytest.raises(UsageError) as caught:
        Scan.open(run).sql(statement, limits=Limits(**limits))
    return caught.value


ONE = "give one SELECT (WITH, FROM, VALUES, DESCRIBE and SUMMARIZE count too): a run's data is never changed"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("", "there is no statement"),
        ("-- nothing", "there is no statement"),
        ("select 1; select 2", "there are 2 statements"),
        ("copy scores to '{shard}'", "this is a statement of type COPY"),
        ("with x as (copy scores to '{shard}') select 1", "this query holds a COPY"),
        ("with x as (insert into scores values (1)) select 1", "this query holds a INSERT"),
        ("with x as (delete from scores) select 1", "this query holds a DELETE"),
        ("explain analyze copy scores to '{shard}'", "this is a statement of type EXPLAIN"),
        ("attach '{folder}/new.duckdb' as a", "this is a statement of type ATTACH"),
        ("install httpfs", "this is a statement of type LOAD"),
        ("load httpfs", "this is a statement of type LOAD"),
        ("set enable_external_access = true", "this is a statement of type SET"),
        ("pragma database_list", "this is a statement of type PRAGMA"),
        ("call pragma_version()", "this is a statement of type CALL"),
        ("create table t as select 1", "this is a statement of type CREATE"),
        ("export database '{folder}/out'", "this is a statement of type EXPORT"),
        ("pivot scores on variant using count(*)", "this statement (PIVOT, perhaps) changes the catalogue"),
    ],
)
def test_only_one_select_passes_the_check(run, statement, message):
    with duckdb.connect() as connection, pytest.raises(StatementRefused) as caught:
        checked(connection, statement.format(shard=run / "scores/000000.parquet", folder=run.parent))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("statement", ["copy scores to '{shard}'", "with x as (copy scores to '{shard}') select 1"])
def test_a_copy_over_a_shard_is_not_run(run, statement):
    error = refusal(run, statement)
    assert error.message in ("not run: this is a statement of type COPY", "not run: this query holds a COPY")
    assert error.next_step == ONE


DENIED = "file system operations are disabled by configuration"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("select * from read_csv('/etc/passwd')", DENIED),
        ("select * from read_csv('{private}')", DENIED),
        ("select * from read_text('/etc/passwd')", DENIED),
        ("select * from read_blob('/proc/self/environ')", DENIED),
        ("select * from glob('/etc/*')", DENIED),
        ("select * from read_parquet('{folder}/*/*.parquet')", DENIED),
        ("select * from '{private}'", DENIED),
        ("select * from read_csv('https://example.org/x.csv')", DENIED),
        ("select getenv('HOME')", "there is no function 'getenv'"),
        ("select * from statement", "there is no view 'statement'"),
        ("select * from query('copy scores to ''{shard}''')", "Expected a single SELECT statement"),
        ("select * from query('with x as (copy scores to ''{shard}'') select 1')", "must be at the top level"),
        ("select * from sniff_csv('{private}')", DENIED),
    ],
)
def test_a_select_reaches_the_views_only(run, statement, message):
    assert message in refusal(run, statement).message


def test_without_landlock_the_other_guards_hold(run):
    copy = refusal(run, "with x as (copy scores to '{shard}') select 1", landlock=False)
    assert copy.message == "not run: this query holds a COPY"
    assert DENIED in refusal(run, "select * from read_text('{private}')", landlock=False).message


def test_the_reply_says_whether_landlock_was_there(run):
    assert Scan.open(run).query("select 1").landlock == landlock.version()


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_landlock_alone_stops_a_copy_over_a_shard(run):
    """The guard behind the guards: DuckDB told to write, in a process that may not."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            landlock.confine([run / "scores"])
            target = run / "scores/000000.parquet"
            code = 0 if target.read_bytes() and not allowed(lambda: target.open("r+b")) else 1
            code |= 2 * allowed(lambda: os.truncate(target, 0))
            code |= 4 * allowed(lambda: (run.parent / "private.csv").read_bytes())
            code |= 8 * allowed(lambda: (run / "scores/new").touch())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def allowed(action):
    try:
        action()
    except OSError:
        return False
    return True


def test_memory_is_bounded(run):
    bomb = "select sum(length(repeat('x', 1000000000 + a::int))) from range(4) t(a)"
    error = refusal(run, bomb, memory=512 << 20)
    assert error.message == "the query needs more than 0.5 GB of memory and was stopped"


def test_time_is_bounded(run):
    started = time.monotonic()
    endless = "with recursive r as (select 1 a union all select a + 1 from r) select max(a) from r"
    error = refusal(run, endless, seconds=2.0)
    assert str(error) == ("the query ran longer than 2 s and was stopped\n  next: ask for less, or allow it more time")
    assert time.monotonic() - started < 10


def test_the_child_sees_no_secret(run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    rows = Scan.open(run).sql("select * from duckdb_settings() where value like '%secret%' or value like '%/root%'")
    assert "hf_secret" not in str(rows)
    assert all("/root" not in str(row) for row in rows.to_pylist())


def test_a_mistake_is_told_in_a_sentence_with_what_may_be_meant(run):
    error = refusal(run, "select evl from scores")
    assert str(error) == ("there is no column 'evl'\n  next: did you mean evil? `describe scores` lists its columns")
    assert str(error.__cause__).startswith('Binder Error: Referenced column "evl" not found in FROM clause!')
    assert refusal(run, "select file_ from skipped").next_step.startswith("did you mean file? `describe skipped`")
    assert refusal(run, "from scor").next_step.startswith("did you mean scores? the views are scores, turns, ")
    assert refusal(run, "selec").next_step == ONE
    assert refusal(run, "from read_csv('/etc/passwd')").next_step.startswith("ask the run's own views")


def test_control_characters_of_the_data_do_not_reach_the_terminal(run):
    error = refusal(run, "select cast(chr(27) || '[2J' || chr(8238) as integer)")
    assert "\x1b" not in error.message
    assert "\\x1b[2J\\u202e" in error.message


@pytest.mark.parametrize(
    "statement",
    ["from scores", "values (1)", "describe scores", "summarize scores", "show tables", "with a as (select 1) from a"],
)
def test_all_forms_of_reading_pass_the_check(statement):
    with duckdb.connect() as connection:
        assert checked(connection, statement) == statement


def test_a_summary_of_a_view_is_run(run):
    assert "evil" in Scan.open(run).sql("summarize scores")["column_name"].to_pylist()


def test_the_child_is_gone_when_the_query_is_stopped(run, monkeypatch):
    children = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: children.append(start(*a, **k)) or children[-1])
    refusal(run, "select count(*) from range(100000000000) a, range(1000) b", seconds=1.5)
    assert [child.returncode for child in children] == [-signal.SIGKILL]
