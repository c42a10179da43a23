from __future__ import annotations

import contextlib
import hashlib

import pytest

from screen.errors import StoreError
from screen.store.cache.answers import AnswerCache, KeptResponse
from screen.store.cache.keyindex import KeyIndex
from tests.store.faults import Died, FaultyDisk


def key(n):
    return hashlib.sha256(str(n).encode()).hexdigest()


def answers(*numbers):
    return {key(n): KeptResponse(tuple(range(n)), n % 2 == 0) for n in numbers}


def test_answers_are_kept_for_later_runs(tmp_path):
    batch = answers(0, 1, 2, 700)
    AnswerCache([], tmp_path).put(batch)
    later = AnswerCache([tmp_path])
    assert later.get([*batch, key(5)]) == batch
    assert len(later) == 4


def test_a_value_begins_with_1_where_the_model_itself_ended_the_answer(tmp_path):
    AnswerCache([], tmp_path).put(
        {key(0): KeptResponse((7,), truncated=False), key(1): KeptResponse((7,), truncated=True)}
    )
    (segment,) = tmp_path.iterdir()
    ended, truncated = bytes.fromhex(key(0)), bytes.fromhex(key(1))
    data = segment.read_bytes()
    assert b"\1\7\0\0\0" in data[data.index(ended) : data.index(truncated)]
    assert b"\0\7\0\0\0" in data[data.index(truncated) :]


def test_two_writers_at_once_do_not_disturb_each_other(tmp_path):
    one, two = AnswerCache([tmp_path], tmp_path), AnswerCache([tmp_path], tmp_path)
    for n in range(0, 10, 2):
        one.put(answers(n))
        two.put(answers(n + 1))
    assert AnswerCache([tmp_path]).get(answers(*range(10))) == answers(*range(10))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_reads_a_shared_folder_and_writes_its_own(tmp_path):
    AnswerCache([], tmp_path / "shared").put(answers(1))
    cache = AnswerCache([tmp_path / "shared"], tmp_path / "run")
    cache.put(answers(1, 2))
    assert cache.get(answers(1, 2)) == answers(1, 2)
    assert len(AnswerCache([tmp_path / "run"])) == 1


def test_a_torn_tail_is_ignored_and_never_written_behind(tmp_path):
    AnswerCache([], tmp_path).put(answers(1))
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    for keep in range(len(whole)):
        segment.write_bytes(whole[:keep])
        cache = AnswerCache([tmp_path], tmp_path)
        assert cache.get(answers(1)) == {}
        assert cache.damaged == ([segment] if keep != len(b"screen cache 1\n") else [])
    cache.put(answers(1))
    assert AnswerCache([tmp_path]).get(answers(1)) == answers(1)


def test_every_flipped_byte_costs_answers_and_never_changes_one(tmp_path):
    cache = AnswerCache([], tmp_path)
    cache.put(answers(1, 2))
    cache.put(answers(3))
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    for at in range(len(whole)):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        found = AnswerCache([tmp_path]).get(answers(1, 2, 3))
        assert found.items() <= answers(1, 2, 3).items()


@pytest.mark.parametrize("kind", FaultyDisk.KINDS)
def test_a_batch_is_kept_whole_or_not_at_all(kind, tmp_path):
    for at in range(1, 12):
        folder, disk, kept = tmp_path / str(at), FaultyDisk(kind, at), []
        with contextlib.suppress(Died):
            for batch in (answers(1, 2), answers(3, 4), answers(5, 6)):
                with contextlib.suppress(StoreError):
                    AnswerCache([folder], folder, disk=disk).put(batch)
                    kept.append(batch)
        cache = AnswerCache([folder])
        assert all(cache.get(batch) == batch for batch in kept)
        for batch in (answers(1, 2), answers(3, 4), answers(5, 6)):
            assert cache.get(batch) in ({}, batch)


def test_a_writer_goes_on_after_a_full_disk(tmp_path):
    disk = FaultyDisk("ENOSPC once", 10)
    cache = AnswerCache([], tmp_path, disk=disk)
    failed = 0
    for n in range(6):
        try:
            cache.put(answers(n))
        except StoreError:
            failed += 1
            cache.put(answers(n))
    assert failed == 1
    assert AnswerCache([tmp_path]).get(answers(*range(6))) == answers(*range(6))


def test_a_segment_deleted_meanwhile_counts_as_not_cached(tmp_path):
    AnswerCache([], tmp_path).put(answers(1))
    cache = AnswerCache([tmp_path])
    for segment in tmp_path.iterdir():
        segment.unlink()
    assert cache.get(answers(1)) == {}


def test_the_index_finds_every_key_through_its_merges():
    index = KeyIndex()
    for n in range(40_000):
        index.add([(bytes.fromhex(key(n)), n % 5, n * 3)])
    assert len(index) == 40_000
    assert all(index.get(bytes.fromhex(key(n))) == (n % 5, n * 3) for n in range(0, 40_000, 7))
    assert index.get(bytes.fromhex(key(-1))) is None


def test_a_cache_that_cannot_be_written_names_its_own_flag(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as refused:
        AnswerCache([], write_to=tmp_path / "file").put({"ab" * 32: ((1, 2), True)})
    assert refused.value.next_step == "give --cache a folder that can be written"


def test_keys_that_begin_alike_are_told_apart(tmp_path):
    AnswerCache([], tmp_path).put({"ab" * 32: ((1,), True)})
    cache = AnswerCache([tmp_path])
    assert cache.get(["ab" * 8 + "cd" * 24, "ab" * 16]) == {}
    assert cache.get(["ab" * 32]) == {"ab" * 32: KeptResponse((1,), True)}


def test_a_segment_cut_short_meanwhile_gives_no_answer_that_it_lacks(tmp_path):
    AnswerCache([], tmp_path).put(answers(3, 2))
    (segment,) = tmp_path.iterdir()
    whole, cache = segment.read_bytes(), AnswerCache([tmp_path])
    for keep in range(len(whole)):
        segment.write_bytes(whole[:keep])
        assert cache.get(answers(3, 2)).items() <= answers(3, 2).items()
        assert key(2) not in cache.get([key(2)])
    assert len(cache) == 2


def test_only_a_cache_that_writes_keeps_what_is_new(tmp_path):
    AnswerCache([], tmp_path).put(answers(1))
    cache = AnswerCache([tmp_path])
    cache.put(answers(1))
    with pytest.raises(ValueError, match="open for reading"):
        cache.put(answers(1, 2))


def test_damaged_segments_are_told_and_the_others_read(tmp_path):
    AnswerCache([], tmp_path).put(answers(1))
    (tmp_path / "0.cache").write_bytes(b"screen cache 2\n")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    cache = AnswerCache([tmp_path, tmp_path, tmp_path / "none"])
    assert (cache.damaged, cache.get(answers(1))) == ([tmp_path / "0.cache"], answers(1))


def test_a_known_key_keeps_its_place_before_and_after_a_merge():
    index, one = KeyIndex(), bytes.fromhex(key(0))
    for _ in range(2):
        index.add([(one, 1, 2), (one, 3, 4)])
        assert (len(index), index.get(one)) == (1, (1, 2))
        index._merge()
    far = (2**20 - 1, 2**44 - 1)
    index.add([(one[::-1], *far)])
    index._merge()
    assert (index.get(one[::-1]), index.get(one)) == (far, (1, 2))


def test_keys_wait_in_a_dict_only_until_they_are_many():
    index = KeyIndex()
    for n in range(1 << 14):
        index.add([(n.to_bytes(8, "big"), 0, n)])
    assert (len(index._pending), len(index)) == (0, 1 << 14)


def test_a_short_key_is_a_bug():
    with pytest.raises(ValueError, match="at least 16 hex digits"):
        KeyIndex().get(b"1234567")
    assert KeyIndex().get(b"12345678") is None
