"""Several processes on the CPU: the bytes of one process, whatever dies."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest

from screen.data.dataset import Window
from screen.endpoint.failures import EndpointError
from screen.errors import ModelError, UsageError
from screen.library.devices import devices
from screen.progress import Silent, Tally
from screen.scan.run import run_scan
from screen.scan.workers import pool
from screen.scan.workers.child import Child, public_name
from screen.spec import ScanSpec
from screen.store.folder import RunFolder
from tests.scan import dying_worker

TWO = ("cpu", "cpu")


class KillsOnce(Silent):
    """Kills a worker when the first tokens are scored."""

    def __init__(self) -> None:
        self.killed = 0

    def tick(self, tally: Tally) -> None:
        if not self.killed and tally.stage == "scoring":
            multiprocessing.active_children()[0].kill()
            self.killed += 1


class Stops(Silent):
    """Ctrl-C when 16 rows are through."""

    def tick(self, tally: Tally) -> None:
        if tally.rows >= 16:
            raise KeyboardInterrupt


def files(out: Path) -> dict[str, bytes]:
    """The manifest, which names every published file with its hash, and those files."""
    run = RunFolder.read(out)
    assert run.verify() == []
    tables = [f for name in ("scores", "turns", "controls", "skipped") for f in run.tables(name)]
    return {f.name: f.read_bytes() for f in [out / "manifest.jsonl", *tables]}


def test_two_processes_give_the_bytes_of_one(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    spec = make_spec(baseline="generate", shard_rows=8)
    alone = run_scan(spec, tmp_path / "one")
    both = run_scan(spec, tmp_path / "two", devices=TWO)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert both["traits"] == alone["traits"]
    assert RunFolder.read(tmp_path / "two").facts["sharing"]["devices"] == ["cpu", "cpu"]


def test_a_run_of_one_is_resumed_by_two(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    spec = make_spec(baseline="last-prompt", shard_rows=8)
    run_scan(spec, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_scan(spec, tmp_path / "out", progress=Stops())
    assert 0 < len(RunFolder.read(tmp_path / "out").published) < 5
    run_scan(spec, tmp_path / "out", devices=TWO)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_killed_worker_costs_nothing(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    spec = make_spec(baseline="last-prompt", shard_rows=8)
    run_scan(spec, tmp_path / "one")
    progress = KillsOnce()
    run_scan(spec, tmp_path / "two", devices=TWO, progress=progress)
    assert progress.killed == 1
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert multiprocessing.active_children() == []


def test_a_row_that_kills_is_found_and_left_out(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "work", dying_worker.kills_on_a_row)
    summary = run_scan(make_spec(baseline="last-prompt", shard_rows=2), tmp_path / "out", devices=TWO)
    run = RunFolder.read(tmp_path / "out")
    (skipped,) = [pq.read_table(f).to_pylist() for f in run.tables("skipped")]
    assert [(s["row"], s["code"]) for s in skipped] == [(dying_worker.KILLER, "worker_failed")]
    assert summary["scored"] == 39


def test_deaths_that_are_no_rows_fault_end_the_run(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "work", dying_worker.kills_on_many_rows)
    with pytest.raises(ModelError, match=r"died twice on rows \d+ to \d+, and no half of them kills it alone"):
        run_scan(make_spec(baseline="last-prompt", shard_rows=4), tmp_path / "out", devices=("cpu",))
    assert multiprocessing.active_children() == []


def test_errors_and_half_messages_of_a_worker() -> None:
    """An error of a kind that the parent may not know by name; a death in the middle of a message."""
    assert public_name(EndpointError("no answer", "wait", kind="status")) == "ModelError"
    assert public_name(UsageError("a", "b")) == "UsageError"

    child = object.__new__(Child)
    child.connection, child._stderr = Mock(), None
    child.connection.recv.side_effect = OSError("got end of file during message")
    assert child.receive() is None


def test_devices_are_named() -> None:
    assert devices("cpu:3") == ("cpu", "cpu", "cpu")
    for text, message in {
        "cpu": "--devices 'cpu' is not understood\n  next: give 0,1 or all for GPUs, or cpu:2 for processes",
        "7,8": "--devices 7,8: torch finds 0 CUDA devices here\n  next: leave it out, or give cpu:2",
    }.items():
        with pytest.raises(UsageError, match=re.escape(message)):
            devices(text)


def test_workers_that_read_ahead_give_the_bytes_of_one(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a death in the middle, too."""
    spec = make_spec(baseline="last-prompt", shard_rows=4)
    run_scan(spec, tmp_path / "one")
    monkeypatch.setattr(pool, "reads_ahead", lambda _order: True)
    given: list[tuple[int, bool, bool]] = []
    real = pool._Worker.give

    def give(worker: pool._Worker, window: Window, budget: int, hint: Window | None) -> None:
        given.append((window.number, window is worker.hint, hint is not None))
        real(worker, window, budget, hint)

    monkeypatch.setattr(pool._Worker, "give", give)
    run_scan(spec, tmp_path / "two", devices=TWO)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert sorted(number for number, _, _ in given) == list(range(10))
    assert sum(ahead for _, ahead, _ in given) >= 4
    progress = KillsOnce()
    run_scan(spec, tmp_path / "killed", devices=TWO, progress=progress)
    assert progress.killed == 1
    assert files(tmp_path / "killed") == files(tmp_path / "one")


def test_a_row_that_kills_while_it_is_read_ahead_is_found(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "reads_ahead", lambda _order: True)
    monkeypatch.setattr(pool, "work", dying_worker.kills_on_a_row)
    summary = run_scan(make_spec(baseline="last-prompt", shard_rows=4), tmp_path / "out", devices=("cpu",))
    (skipped,) = [pq.read_table(f).to_pylist() for f in RunFolder.read(tmp_path / "out").tables("skipped")]
    assert [(s["row"], s["code"]) for s in skipped] == [(dying_worker.KILLER, "worker_failed")]
    assert summary["scored"] == 39


def test_a_death_beside_a_window_that_was_read_ahead_is_not_blamed_on_the_window_that_was_scored() -> None:
    """A process that may have died of what it was reading ahead proves nothing against what it scored."""
    one, two, three = (Window(n, n, n + 1, []) for n in range(3))
    worker = object.__new__(pool._Worker)
    worker.child, worker.hint = Mock(), None
    worker.give(one, 1, two)
    assert not worker.alone
    worker.give(three, 1, None)  # `two` is still being read
    assert not worker.alone
    worker.hint = two
    worker.give(two, 1, None)
    assert worker.alone


def test_two_processes_leave_out_a_row_that_hangs_the_model(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "work", dying_worker.hangs_on_a_row)
    summary = run_scan(make_spec(baseline="last-prompt", shard_rows=8), tmp_path / "out", devices=("cpu",))
    (skipped,) = [pq.read_table(f).to_pylist() for f in RunFolder.read(tmp_path / "out").tables("skipped")]
    assert [(s["row"], s["code"]) for s in skipped] == [(dying_worker.KILLER, "worker_failed")]
    assert "did not come back" in skipped[0]["message"]
    assert summary["scored"] == 39
