"""The journal and the log: what is acknowledged is there once, whatever the disk does."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.disk import Disk
from screen.errors import StoreError
from screen.monitor.serve import journal as journals
from screen.monitor.serve.exchange import Exchange, Taken
from screen.monitor.serve.journal import Bounds, Journal, JournalReader
from screen.monitor.serve.scorer.log import Mark, ScoreLog


class Failing(Disk):
    """Fails while it is told to; `slow`: seconds a write takes."""

    def __init__(self, **broken: bool) -> None:
        self.broken, self.slow = broken, 0.0

    def append(self, path: Path, data: bytes) -> None:
        time.sleep(self.slow)
        super().append(path, data[: 40 if self.broken.get("append") else None])
        self._maybe("append")

    def fsync_file(self, path: Path) -> None:
        self._maybe("fsync")
        super().fsync_file(path)

    def _maybe(self, operation: str) -> None:
        if self.broken.get(operation):
            raise OSError(errno.ENOSPC, "full")


def taken(text: str) -> Taken:
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    response = json.dumps({"id": text, "choices": [{"index": 0, "message": {"content": "Yes."}}]}).encode()
    return Taken("chat", request, response, "", False, "whole", "", 1.0)


def begun(folder: Path, disk: Disk | None = None, scored: int = 0, **bounds: int) -> Journal:
    made = Journal(folder, Bounds(**bounds), disk=disk or Disk())
    made.start(scored)
    return made


def offered(journal: Journal, *texts: str) -> list[bool]:
    return [journal.offer(taken(text), lambda: None) for text in texts]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def read(folder: Path, upto: int, after: int = 0) -> list[Any]:
    reader = JournalReader(folder, after)
    records = [record for _ in range(upto) for record in reader.records(upto, 3)]
    reader.close()
    return [Exchange.from_json(r["exchange"]).id if "exchange" in r else r["dropped"] for r in records]


def test_what_is_acknowledged_is_read_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 2000)
    journal = begun(tmp_path)
    names = [str(i) for i in range(20)]
    for i, name in enumerate(names, 1):
        offered(journal, name)
        until(lambda i=i: journal.written == i)
    journal.close()
    assert (journal.acknowledged, journal.synced) == (20, 20)
    assert len(list(tmp_path.iterdir())) > 1
    assert read(tmp_path, 20) == names
    again = begun(tmp_path, scored=20)
    offered(again, "more")
    again.close()
    assert read(tmp_path, 21, after=20) == ["more"]


def test_a_torn_end_is_cut_off_and_its_position_used_again(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    offered(journal, "a", "b")
    journal.close()
    [file] = tmp_path.iterdir()
    data = file.read_bytes()
    for end in (len(data) - 1, len(data) - 30, data.index(b"\n") + 2):
        file.write_bytes(data[:end])
        again = begun(tmp_path)
        offered(again, "c")
        again.close()
        assert read(tmp_path, 2) == ["a", "c"]


def test_what_is_scored_is_deleted_and_numbers_go_on(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    offered(journal, "a", "b")
    until(lambda: journal.synced == 2)
    journal.scored(2)
    until(lambda: [path.stat().st_size for path in tmp_path.iterdir()] == [0])
    offered(journal, "c")
    journal.close()
    assert read(tmp_path, 3, after=2) == ["c"]
    for path in tmp_path.iterdir():
        path.unlink()
    lost = begun(tmp_path, scored=3)  # the log has three
    offered(lost, "d")
    lost.close()
    assert read(tmp_path, 4, after=3) == ["d"]


def test_more_than_may_wait_is_dropped_counted_and_told(tmp_path: Path) -> None:
    journal = begun(tmp_path, messages=3)
    assert offered(journal, "a", "b", "c", "d", "e") == [True] * 3 + [False] * 2
    assert journal.dropped == {"scoring_behind": 2}
    until(lambda: journal.synced == 4)
    journal.scored(4)
    assert offered(journal, "f") == [True]
    journal.close()
    assert sorted(map(str, read(tmp_path, 5))) == sorted(["a", "b", "c", "f", "{'scoring_behind': 2}"])


def test_a_slow_disk_drops_and_delays_nothing(tmp_path: Path) -> None:
    disk = Failing()
    disk.slow = 0.3
    journal = begun(tmp_path, disk, queued=5)
    began = time.monotonic()
    kept = offered(journal, *map(str, range(200)))
    assert time.monotonic() - began < 0.3
    assert 5 <= sum(kept) < 20
    assert journal.dropped["disk_behind"] == kept.count(False)
    disk.slow = 0.0
    journal.close()
    assert journal.acknowledged == sum(kept)


@pytest.mark.parametrize("operation", ["append", "fsync"])
def test_a_disk_that_refuses_costs_what_it_refused(
    tmp_path: Path, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_PAUSE", 0.01)
    disk = Failing()
    journal = begun(tmp_path, disk)
    offered(journal, "a")
    until(lambda: journal.acknowledged == 1)
    disk.broken[operation] = True
    told = threading.Event()
    journal.offer(taken("lost"), told.set)
    assert told.wait(60)  # a request is let go all the same
    until(lambda: journal.dropped["disk"] == 1)
    disk.broken[operation] = False
    offered(journal, "b")
    until(lambda: journal.acknowledged == 2)
    journal.close()
    found = read(tmp_path, journal.synced)
    assert [name for name in found if isinstance(name, str)] == ["a", "b"]
    assert sum(d.get("disk", 0) for d in found if isinstance(d, dict)) == 1


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    offered(journal, "a", "b")
    journal.close()
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"Yes", b"Yet", 1))
    with pytest.raises(StoreError, match="damaged"):
        Journal(tmp_path)
    with pytest.raises(StoreError, match="the journal is damaged behind position 0"):
        list(JournalReader(tmp_path, 0).records(2, 2))


def test_a_log_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path)
    log.append([{"kind": "message", "exchange": 1, "choice": i} for i in range(2)])
    log.keep({"known": 1}, Mark(1, 1))
    log.append([{"kind": "message", "exchange": 2, "choice": 0}])
    with open(log.path, "ab") as file:
        file.write(b'{"kind": "message", "exchange": 2, "cho')
    again = ScoreLog(tmp_path)
    assert (again.kept, again.last) == ({"known": 1}, Mark(2, 0))
    assert [line["exchange"] for line in again.since()] == [2]
    log.path.unlink()  # moved away: the numbers go on
    assert ScoreLog(tmp_path).last == Mark(1, 1)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(StoreError, match=r"state.json is damaged"):
        ScoreLog(tmp_path)
