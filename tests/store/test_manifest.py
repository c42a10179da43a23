from __future__ import annotations

from dataclasses import replace

import pytest

from screen import seal
from screen.errors import StoreError
from screen.store.folder import RunFolder
from screen.store.manifest import FileEntry, Manifest, ShardEntry
from tests.store import fake


@pytest.fixture
def manifest(tmp_path):
    fake.scan(tmp_path)
    return tmp_path / "manifest.jsonl"


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_torn_last_line_is_not_published_and_cut_off_by_the_next_writer(manifest, keep):
    whole = manifest.read_bytes()
    *lines, last = whole.splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines) + last[:keep])
    assert 4 not in RunFolder.read(manifest.parent).published
    assert not RunFolder.read(manifest.parent).finished
    RunFolder.open(manifest.parent, fake.identity()).close()
    assert manifest.read_bytes() == b"".join(lines)
    fake.scan(manifest.parent)
    assert manifest.read_bytes() == whole
    assert RunFolder.read(manifest.parent).finished


def test_zeros_for_a_last_line_are_a_torn_line(manifest):
    whole = manifest.read_bytes()
    lines = whole.splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]) + b"\x00" * 30 + b"\n")
    assert 4 not in RunFolder.read(manifest.parent).published


def test_every_flipped_byte_before_the_last_line_is_found(manifest):
    whole = manifest.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for at in range(0, len(whole) - len(last), 37):
        manifest.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StoreError, match=f"{manifest} is damaged at line "):
            RunFolder.read(manifest.parent)


def test_damage_names_the_line_and_the_next_step(manifest):
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([lines[0], lines[1].replace(b'"rows":5', b'"rows":6'), *lines[2:]]))
    with pytest.raises(StoreError) as caught:
        RunFolder.open(manifest.parent, fake.identity())
    assert str(caught.value) == (
        f"{manifest} is damaged at line 2: its checksum does not match\n"
        "  next: restore the file from a backup, or move the folder away and run the scan again"
    )


def test_a_repeated_line_is_damage(manifest):
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([*lines, lines[0], lines[1]]))
    with pytest.raises(StoreError, match="line 6: it repeats shard 0"):
        RunFolder.read(manifest.parent)


def test_a_line_cannot_name_a_file_elsewhere(manifest):
    entry = RunFolder.read(manifest.parent).published[0]
    file = entry.files["scores"]
    for name in ("../x.parquet", "/etc/passwd", "scores/../../000000.parquet", "turns/000000.parquet"):
        line = type(entry)(
            **{f: getattr(entry, f) for f in ("shard", "first_row", "end_row", "rows", "scored", "skipped", "run")},
            files={"scores": type(file)(name, 1, "0" * 64, 1)},
        ).line()
        manifest.write_bytes(line * 2)
        with pytest.raises(StoreError, match="line 1: it names a file outside the run's tables"):
            RunFolder.read(manifest.parent)


def test_damage_of_the_last_line_says_that_its_rows_can_be_scored_again(manifest):
    whole = manifest.read_bytes()
    broken = whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:]
    for data, why in (
        (broken, "line 5: its checksum does not match"),
        (whole[:-1] + b"?", "line 5: something else stands where it ends"),
    ):
        manifest.write_bytes(data)
        with pytest.raises(StoreError) as caught:
            RunFolder.read(manifest.parent)
        assert why in caught.value.message
        assert caught.value.next_step == (
            "restore the file from a backup, or delete that line, the last, and the run's command scores its rows again"
        )
    manifest.write_bytes(broken + b"{")  # a bad line with a torn one behind it is not the last
    with pytest.raises(StoreError) as caught:
        RunFolder.read(manifest.parent)
    assert caught.value.next_step.endswith("or move the folder away and run the scan again")


def test_shards_overlap_where_they_share_a_row(tmp_path):
    entry = ShardEntry(0, 0, 0, 0, 0, 0, "", {})
    spans = [(0, 3), (3, 4), (6, 9), (12, 20)]
    lines = [replace(entry, shard=n, first_row=a, end_row=b).line() for n, (a, b) in enumerate(spans)]
    (tmp_path / "manifest.jsonl").write_bytes(b"".join([lines[2], lines[0], lines[3], lines[1]]))
    found = Manifest(tmp_path / "manifest.jsonl")
    for first in range(22):
        for end in range(first + 1, 23):
            sharing = [n for n, (a, b) in enumerate(spans) if set(range(a, b)) & set(range(first, end))]
            assert (found.overlap(first, end) in sharing) if sharing else found.overlap(first, end) is None


def test_lines_whose_rows_overlap_are_damage(tmp_path):
    entry = ShardEntry(0, 0, 5, 5, 5, 0, "", {})
    lines = entry.line() + replace(entry, shard=1, first_row=4, end_row=9).line()
    (tmp_path / "manifest.jsonl").write_bytes(lines)
    with pytest.raises(StoreError, match="line 2: its rows overlap those of shard 0"):
        Manifest(tmp_path / "manifest.jsonl")


def test_a_line_reads_back_as_it_was_written():
    file = FileEntry("scores/000000.parquet", 7, "ab", 5)
    entry = ShardEntry(0, 0, 5, 5, 4, 1, "run", {"scores": file}, token_budget=512)
    assert ShardEntry.of(*seal.open_lines(entry.line()).values) == entry
