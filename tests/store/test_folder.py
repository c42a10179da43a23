from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from screen import seal
from screen.disk import Disk
from screen.errors import ResumeRefused, StoreError
from screen.store.folder import RunFolder, read_published
from tests.store import fake


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_scan_publishes_every_row_once(path):
    fake.scan(path)
    run = RunFolder.read(path)
    assert run.finished
    assert run.facts == {"host": "any"}
    assert not run.orphans()
    assert not run.verify()
    fake.check_rows(run, fake.ROWS)
    assert not (path / "writer.lock").exists()


def test_two_runs_give_the_same_bytes(tmp_path):
    for name in "ab":
        fake.scan(tmp_path / name)
    a, b = (contents(tmp_path / name) for name in "ab")
    assert list(a.values()) == list(b.values())


def test_a_table_without_rows_has_no_file(path):
    fake.scan(path, rows=2)
    assert set(RunFolder.read(path).published[0].files) == {"scores", "turns"}


def test_another_identity_is_refused_field_by_field_and_nothing_changes(path):
    fake.scan(path)
    before = contents(path)
    with pytest.raises(ResumeRefused) as caught:
        RunFolder.open(path, fake.identity("def", dtype="bfloat16", template=None))
    assert str(caught.value) == (
        f"{path} holds a run of something else; nothing was changed:\n"
        "  dataset.files[0].sha256: abc -> def\n"
        "  dtype: float32 -> bfloat16\n"
        "  template: (absent) -> null\n"
        "  next: undo the change to resume that run, or give another --out"
    )
    assert contents(path) == before


def test_a_second_writer_is_told_who_the_first_is(path):
    with RunFolder.open(path, fake.identity()), pytest.raises(StoreError) as caught:
        RunFolder.open(path, fake.identity())
    me = os.getpid()
    assert str(caught.value) == (
        f"process {me} is writing {path}\n  next: wait for it to end, stop it (kill {me}), or give another --out"
    )


@pytest.mark.parametrize("alive", [True, False])
def test_a_writer_on_another_machine_counts_as_alive(path, alive):
    fake.scan(path)
    other = {"pid": 7, "started": 1, "host": "elsewhere", "boot": "x"}
    if not alive:  # this machine, before a reboot
        other["host"] = os.uname().nodename
    (path / "writer.lock").write_text(json.dumps(other))
    if alive:
        with pytest.raises(StoreError, match="process 7 on the machine elsewhere is writing"):
            RunFolder.open(path, fake.identity())
    else:
        RunFolder.open(path, fake.identity()).close()


def test_a_file_in_the_way(path):
    path.write_text("mine")
    with pytest.raises(StoreError) as caught:
        RunFolder.open(path, fake.identity())
    assert str(caught.value) == (f"{path} is a file, not a folder\n  next: give --out a folder that is new or empty")
    with pytest.raises(StoreError) as caught:
        RunFolder.open(path / "below", fake.identity())
    assert str(caught.value) == (
        f"{path / 'below'} cannot be a folder: a file is in the way\n  next: give --out a folder that can be written"
    )


def test_a_folder_of_other_things_is_not_touched(path):
    path.mkdir()
    (path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError) as caught:
        RunFolder.open(path, fake.identity())
    assert str(caught.value) == (
        f"{path} is not a run: it has no scan.json and holds other files (thesis.tex)\n"
        "  next: give --out a folder that is new or empty"
    )
    assert os.listdir(path) == ["thesis.tex"]


@pytest.fixture
def forbidden():
    """A folder that this process may not write in, root or not."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_folder_without_permission(forbidden):
    with pytest.raises(StoreError) as caught:
        RunFolder.open(forbidden / "run", fake.identity())
    assert str(caught.value) == (
        f"no permission to write in {forbidden / 'run'}\n  next: give --out a folder that can be written"
    )


def test_there_is_no_run(path):
    with pytest.raises(StoreError) as caught:
        RunFolder.read(path)
    assert str(caught.value) == (
        f"there is no run at {path}: it has no scan.json\n  next: give the folder that `screen run` wrote"
    )


@pytest.mark.parametrize(
    ("number", "content"), [(1, b'{\n "format": 1,\n "identity": {}\n}\n'), (3, seal.sealed_json({"format": 3}))]
)
def test_a_run_of_another_format(path, number, content):
    fake.scan(path)
    (path / "scan.json").write_bytes(content)
    for look in (RunFolder.read, lambda p: RunFolder.open(p, fake.identity())):
        with pytest.raises(StoreError) as caught:
            look(path)
        assert str(caught.value) == (
            f"{path / 'scan.json'} has format {number}; this version reads 2\n"
            "  next: use the version of screen that wrote it, or give another --out"
        )


def test_columns_of_another_format_are_not_read(path):
    RunFolder.open(path, fake.identity(format=2)).close()
    with pytest.raises(StoreError, match="has the columns of format 2; this version reads 4"):
        RunFolder.read(path)


@pytest.mark.parametrize("damage", [b"", b"[]", b"\x00" * 50, b'{"format": 2}', b'{"format": 1, "sha256": ""}'])
def test_a_damaged_scan_json_is_made_again_for_the_same_inputs_only(path, damage):
    fake.scan(path)
    scan = (path / "scan.json").read_bytes()
    (path / "scan.json").write_bytes(damage)
    with pytest.raises(StoreError, match="is missing or damaged"):
        RunFolder.open(path, fake.identity("def"))
    assert (path / "scan.json").read_bytes() == damage
    fake.scan(path)
    assert (path / "scan.json").read_bytes() == scan


def test_a_run_that_lost_its_scan_json_is_taken_up_again(path):
    fake.scan(path)
    (path / "scan.json").unlink()
    fake.scan(path)
    assert RunFolder.read(path).finished


def test_a_damaged_shard_is_published_again_with_the_same_bytes(path):
    fake.scan(path)
    whole = contents(path)
    target = path / "scores/000002.parquet"
    target.write_bytes(target.read_bytes()[:-1] + b"?")
    with RunFolder.open(path, fake.identity()) as run:
        assert run.damaged == {2: f"{target} does not have the bytes that were published"}
        assert 2 not in run.published
    fake.scan(path)
    set_aside = list(path.rglob("*.orphan.*"))
    assert len(set_aside) == 1
    set_aside[0].unlink()
    assert contents(path) == whole


def test_a_damaged_shard_is_not_replaced_by_other_bytes(path):
    fake.scan(path)
    (path / "scores/000001.parquet").unlink()
    other = {**fake.shard_tables(5, 10)}
    other["turns"] = other["turns"].slice(1)
    with RunFolder.open(path, fake.identity()) as run, pytest.raises(StoreError) as caught:
        run.publish(1, 5, 10, other)
    assert str(caught.value) == (
        f"shard 1 cannot be made again: {path / 'scores/000001.parquet'} is missing, and scoring it anew"
        " gives other bytes than the manifest records\n"
        "  next: restore the file from a backup, or give another --out"
    )


def test_orphans_are_listed_not_counted_and_not_deleted(path):
    fake.scan(path)
    (path / "scores/000009.parquet").write_bytes(b"stray")
    (path / "turns/000001.parquet.tmp.1f").write_bytes(b"torn")
    with RunFolder.open(path, fake.identity()) as run:
        assert [p.name for p in run.orphans()] == ["000009.parquet", "000001.parquet.tmp.1f"]
        assert len(run.tables("scores")) == 5


@pytest.mark.parametrize(
    ("first", "end", "message"),
    [
        (0, 6, r"missing \[5\]"),
        (0, 4, r"outside \[4\]"),
        (0, 0, "a shard needs rows"),
    ],
)
def test_rows_that_do_not_add_up_are_a_bug(path, first, end, message):
    with RunFolder.open(path, fake.identity()) as run, pytest.raises(ValueError, match=message):
        run.publish(0, first, end, fake.shard_tables(0, 5))
    assert not list((path / "scores").iterdir())


def test_a_shard_that_repeats_rows_is_a_bug(path):
    tables = fake.shard_tables(0, 5)
    with RunFolder.open(path, fake.identity()) as run:
        with pytest.raises(ValueError, match=r"twice \[3\]"):
            run.publish(0, 0, 5, {**tables, "skipped": fake.pa.concat_tables([tables["skipped"]] * 2)})
        run.publish(0, 0, 5, tables)
        with pytest.raises(ValueError, match="shard 0 is published already"):
            run.publish(0, 0, 5, tables)
        with pytest.raises(ValueError, match="shard 1 has rows of the published shard 0"):
            run.publish(1, 4, 9, fake.shard_tables(4, 9))


def test_a_column_of_another_type_is_a_bug(path):
    tables = fake.shard_tables(0, 5)
    wrong = tables["turns"].set_column(2, "turn", tables["turns"]["turn"].cast("int64"))
    with (
        RunFolder.open(path, fake.identity()) as run,
        pytest.raises(ValueError, match="column 'turn' is int64, not int32"),
    ):
        run.publish(0, 0, 5, {**tables, "turns": wrong})


def test_what_runs_beside_a_model_imports_nothing_heavy():
    heavy = ("torch", "transformers", "polars", "duckdb", "pandas")
    code = (
        f"import sys, screen.store.folder, screen.store.cache.answers;print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_budget_that_a_shard_needed_is_on_record_and_the_next_shards(path):
    identity = fake.identity(settings={"token_budget": 4096})
    with RunFolder.open(path, identity) as run:
        assert run.budget(0) == 4096
        for shard, budget in enumerate((4096, 1024, 2048)):
            run.publish(shard, 5 * shard, 5 * shard + 5, fake.shard_tables(5 * shard, 5 * shard + 5), budget)
        assert [entry.token_budget for entry in run.published.values()] == [None, 1024, 2048]
        assert [run.budget(shard) for shard in range(4)] == [4096, 1024, 2048, 1024]


def test_what_cannot_be_done_with_a_folder_is_a_bug(path):
    with pytest.raises(ValueError, match='an identity needs "traits"'):
        RunFolder.open(path, {})
    fake.scan(path)
    run = RunFolder.read(path)
    for action in (lambda: run.publish(9, 0, 5, {}), lambda: run.finish({})):
        with pytest.raises(ValueError, match="open for reading, or closed"):
            action()
    with RunFolder.open(path, fake.identity()) as writing, pytest.raises(ValueError, match="the store's own field"):
        writing.finish({"finished": True})


def test_a_run_is_finished_with_the_shards_that_its_summary_is_of(path):
    with RunFolder.open(path, fake.identity()) as run:
        assert (run.summary, run.finished) == ({}, False)
        run.publish(0, 0, 5, fake.shard_tables(0, 5))
        run.finish({"rows": 5})
        stamp = run.summary["finished"]
        assert (stamp["shards"], stamp["rows"], stamp["run"], run.finished) == (1, 5, run.run, True)
        run.publish(1, 5, 10, fake.shard_tables(5, 10))
        assert not run.finished
    assert not RunFolder.read(path).finished


def test_a_damaged_summary_is_named(path):
    fake.scan(path)
    (path / "summary.json").write_text("{}")
    with pytest.raises(StoreError) as caught:
        RunFolder.read(path).summary  # noqa: B018
    assert str(caught.value) == (
        f"{path / 'summary.json'} is damaged: it does not end in its sha256\n"
        "  next: type the run's command again: it is made anew from the shards"
    )


def test_a_finished_run_that_lost_a_shard_is_not_finished(path):
    fake.scan(path)
    (path / "scores/000001.parquet").unlink()
    with pytest.raises(StoreError, match=r"scores/000001\.parquet is missing"):
        RunFolder.read(path).check()
    with RunFolder.open(path, fake.identity()) as run:
        assert (run.finished, sorted(run.published)) == (False, [0, 2, 3, 4])


class Reading(Disk):
    """Counts the files that are hashed; what is read can be other than what is there."""

    def __init__(self):
        self.hashed = []
        self.instead = None

    def sha256(self, path):
        self.hashed.append(path.name)
        return super().sha256(path)

    def read(self, path):
        return super().read(path) if self.instead is None else self.instead


def test_a_file_is_hashed_once_while_it_stays_as_it_is(path):
    fake.scan(path)
    disk = Reading()
    run = RunFolder.read(path, disk=disk)
    for _ in range(3):
        run.tables("scores")
    assert len(disk.hashed) == 5
    os.utime(path / "scores/000000.parquet", ns=(1, 1))
    run.tables("scores")
    assert len(disk.hashed) == 6
    assert run.verify() == []
    assert len(disk.hashed) == 6 + len(list(path.glob("*/*.parquet")))


def test_bytes_that_change_while_they_are_read_are_not_handed_out(path):
    fake.scan(path)
    disk = Reading()
    run = RunFolder.read(path, disk=disk)
    disk.instead = b"other"
    with pytest.raises(StoreError, match="changed while it was read"):
        run.bytes_of(run.files("scores")[0])


def test_a_published_file_that_is_not_parquet_is_named(path):
    fake.scan(path)
    file = path / "scores/000000.parquet"
    assert read_published(file, columns=["row"]).num_columns == 1
    file.write_bytes(b"not parquet")
    with pytest.raises(StoreError, match=r"scores/000000\.parquet is damaged: Could not open Parquet"):
        read_published(file)


@pytest.mark.parametrize(
    ("names", "told"), [("abc", "a, b, c"), ("abcd", "a, b, c, ..."), (["summary.json"], "summary.json")]
)
def test_a_folder_of_other_things_names_the_first(path, names, told):
    path.mkdir()
    (path / "writer.lock.tmp.1").touch()
    for name in names:
        (path / name).touch()
    with pytest.raises(StoreError) as caught:
        RunFolder.open(path, fake.identity())
    assert caught.value.message == f"{path} is not a run: it has no scan.json and holds other files ({told})"


def test_a_folder_that_a_crash_left_half_made_is_taken_up(path):
    for name in ("scores", "turns", "controls", "skipped"):
        (path / name).mkdir(parents=True)
    (path / "scan.json.tmp.1").touch()
    fake.scan(path)
    assert RunFolder.read(path).finished
