"""The cache of judgements: what a kill, a full disk or a stranger does to its files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from screen.errors import StoreError
from screen.judges.cache import key_of
from screen.store.cache.answers import AnswerCache
from screen.store.cache.judgements import JudgementCache
from tests.store.faults import FaultyDisk

KEYS = [key_of({"i": i}) for i in range(200)]


def filled(folder: Path, n: int = 3) -> Path:
    with JudgementCache(folder) as cache:
        for i in range(n):
            cache.put(KEYS[i], {"score": i, "text": "\ud800\n\u2028"})
    (segment,) = folder.iterdir()
    return segment


def frames(segment: Path) -> list[int]:
    """Where each frame ends, the magic first."""
    data, ends = segment.read_bytes(), [len(b"screen cache 1\n")]
    while ends[-1] < len(data):
        ends.append(ends[-1] + 20 + int.from_bytes(data[ends[-1] : ends[-1] + 4], "little"))
    return ends


def test_what_is_put_is_got_back(tmp_path: Path) -> None:
    filled(tmp_path / "deep" / "c")
    cache = JudgementCache(tmp_path / "deep" / "c")
    assert cache.get(KEYS[2]) == {"score": 2, "text": "\ud800\n\u2028"}
    assert cache.get(KEYS[3]) is None
    assert (len(cache), cache.damaged) == (3, [])


def test_a_torn_tail_at_every_byte(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    whole = segment.read_bytes()
    for size in range(frames(segment)[2] + 1, len(whole)):
        for path in tmp_path.iterdir():
            path.unlink()
        segment.write_bytes(whole[:size])
        with JudgementCache(tmp_path) as cache:
            assert len(cache) == 2
            cache.put(KEYS[9], {"score": 9})
        again = JudgementCache(tmp_path)
        assert (len(again), again.get(KEYS[9])) == (3, {"score": 9})


def test_damage_in_the_middle_costs_one_judgement(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b'"score":1', b'"score":7'))
    (tmp_path / "0.cache").write_bytes(b"\xff garbage\n")
    cache = JudgementCache(tmp_path)
    assert (len(cache), cache.damaged) == (2, [tmp_path / "0.cache", segment])
    assert (cache.get(KEYS[1]), cache.get(KEYS[2])) == (None, {"score": 2, "text": "\ud800\n\u2028"})


def test_two_writers_share_a_folder(tmp_path: Path) -> None:
    one, two = JudgementCache(tmp_path), JudgementCache(tmp_path)
    for i in range(100):
        (one, two)[i % 2].put(KEYS[i], {"i": i})
    one.close()
    two.close()
    assert len(JudgementCache(tmp_path)) == 100


@pytest.mark.parametrize("at", [6, 7, 8])
def test_a_full_disk(tmp_path: Path, at: int) -> None:
    disk = FaultyDisk("ENOSPC once", at)  # appends of the first, second and third
    with JudgementCache(tmp_path, disk=disk) as cache:
        for i in range(at - 6):
            cache.put(KEYS[i], {"i": i})
        with pytest.raises(StoreError, match=f"the disk that holds {tmp_path} is full"):
            cache.put(KEYS[10], {})
        cache.put(KEYS[11], {"x": 1})
    again = JudgementCache(tmp_path)
    assert (len(again), len(again.damaged), again.get(KEYS[11])) == (at - 5, 1, {"x": 1})


def test_judgements_are_synced_after_every_64th_and_at_the_close(tmp_path: Path) -> None:
    synced: list[int] = []

    class Watched(FaultyDisk):
        def really(self, name: str, arguments: tuple[object, ...]) -> object:
            if name == "fsync_file":
                synced.append(put)
            return super().really(name, arguments)

    put = 0
    with JudgementCache(tmp_path, disk=Watched("EIO", 10**9)) as cache:
        for put in range(1, 71):
            cache.put(KEYS[put], {})
    assert synced == [1, 64, 70]


WRITER = """
import sys
from pathlib import Path
from screen.store.cache.answers import AnswerCache
cache = AnswerCache([], Path(sys.argv[1]))
for n in range(10**6):
    cache.put({f"{sys.argv[2]}{n:014x}": ((n, n), True)})
    print(n, flush=True)
"""


def test_two_processes_that_are_killed_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", WRITER, str(tmp_path), name] for name in ("aa", "bb")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    for writer in writers:
        writer.kill()
    said = [len(writer.communicate()[0].split(b"\n")) - 1 for writer in writers]
    cache = AnswerCache([tmp_path])
    for name, count in zip(("aa", "bb"), said, strict=True):
        assert count > 0
        assert len(cache.get(f"{name}{n:014x}" for n in range(count))) == count
