"""Reading ahead of a device: the same shards, whatever is raised where."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from screen.scan import run as scan
from screen.scan.ahead import ahead
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from tests.scan.test_devices import Stops, files


def test_one_item_ahead_in_order() -> None:
    begun: list[int] = []
    stepped = threading.Event()

    def work(n: int) -> int:
        begun.append(n)
        if n == 2:
            stepped.set()
        return n * n

    shards = ahead(iter(range(6)), work)
    assert next(shards) == (0, 0)
    assert next(shards) == (1, 1)
    assert stepped.wait(5)  # the third was begun without being asked for
    assert begun == [0, 1, 2]
    assert list(shards) == [(n, n * n) for n in range(2, 6)]
    assert list(ahead(iter([]), work)) == []


def test_an_error_is_raised_where_its_item_is_due() -> None:
    def work(n: int) -> int:
        if n == 1:
            raise ValueError("row 1")
        return n

    shards = ahead(iter(range(3)), work)
    assert next(shards) == (0, 0)
    with pytest.raises(ValueError, match="row 1"):
        next(shards)


def test_closing_waits_for_the_reader() -> None:
    shards = ahead(iter(range(3)), lambda n: n)
    next(shards)
    shards.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_a_run_that_reads_ahead_has_the_same_bytes(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle and gone on with, too."""
    spec = make_spec(baseline="generate", shard_rows=8)
    run_scan(spec, tmp_path / "plain")
    monkeypatch.setattr(scan, "reads_ahead", lambda _engine: True)
    run_scan(spec, tmp_path / "ahead")
    assert files(tmp_path / "ahead") == files(tmp_path / "plain")
    with pytest.raises(KeyboardInterrupt):
        run_scan(spec, tmp_path / "stopped", progress=Stops())
    run_scan(spec, tmp_path / "stopped")
    assert files(tmp_path / "stopped") == files(tmp_path / "plain")
