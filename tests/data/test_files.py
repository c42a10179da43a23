"""Which files a path names, what kind each is, and how it is unpacked."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from screen.data import files, sniff, streams
from screen.data.dataset import open_dataset
from screen.data.files import find_files
from screen.errors import InputError
from tests.data.making import chat, codes, write

GOOD = json.dumps(chat()).encode() + b"\n"


def refused(*paths: str) -> str:
    with pytest.raises(InputError) as error:
        open_dataset(list(paths))
    return str(error.value)


def test_a_folder_is_read_in_order_and_only_data(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl.gz", "a/.hidden.jsonl", "a.screen/scores.jsonl", "dataset_info.json",
                 "README.txt", "notes.md"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(GOOD) if name.endswith("gz") else GOOD)
    found = [os.path.relpath(f.path, tmp_path) for f in find_files([str(tmp_path)])]
    assert found == ["a/z.jsonl.gz", "b.jsonl"]


def test_texts_of_a_folder_are_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    (tmp_path / "c.txt").write_text("")
    dataset = open_dataset([str(tmp_path)])
    assert (dataset.shape.name, codes(dataset)) == ("document", ["ok", "bad_utf8", "empty_answer"])


def test_a_pattern_and_a_file_named_twice(tmp_path: Path) -> None:
    write(tmp_path, chat(), name="a.jsonl")
    write(tmp_path, chat(), name="b.jsonl")
    paths = [str(tmp_path / "b.jsonl"), str(tmp_path / "*.jsonl")]
    assert [f.path for f in find_files(paths)] == [str(tmp_path / "b.jsonl"), str(tmp_path / "a.jsonl")]


def test_a_name_with_pattern_signs_is_a_name_first(tmp_path: Path) -> None:
    assert find_files([write(tmp_path, chat(), name="a[1].jsonl")])[0].kind == "jsonl"


@pytest.mark.parametrize(
    "packed", [gzip.compress(GOOD, mtime=0), zstandard.compress(GOOD), GOOD], ids=["gz", "zst", "plain"]
)
@pytest.mark.parametrize("spool", [True, False])
def test_standard_input_is_kept_for_a_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes, spool: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    dataset = open_dataset(["-"], spool=tmp_path / "spool" if spool else None)
    assert codes(dataset) == codes(dataset) == ["ok"]
    assert dataset.files[0].path == "-"
    dataset.files[0].local.unlink()


def test_a_pipe_is_kept_for_a_second_look(tmp_path: Path) -> None:
    read, to = os.pipe()
    os.write(to, GOOD)
    os.close(to)
    dataset = open_dataset([f"/dev/fd/{read}"], spool=tmp_path)
    os.close(read)
    assert codes(dataset) == ["ok"]


def test_a_run_inside_a_folder_is_no_part_of_its_dataset(tmp_path: Path) -> None:
    write(tmp_path, chat())
    run = tmp_path / "scores-of-mine"
    (run / "turns").mkdir(parents=True)
    for name in ("scan.json", "manifest.jsonl", "summary.json", "turns/000000.jsonl"):
        (run / name).write_text('{"text": "not a row"}\n')
    assert [f.path for f in open_dataset([str(tmp_path)]).files] == [f"{tmp_path}/rows.jsonl"]
    assert refused(str(run)).startswith(f"{run} is a run, not a dataset")


def test_messages_name_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, chat())
    assert refused(str(tmp_path / "nope.jsonl")) == (
        f"{tmp_path}/nope.jsonl: no such file or folder\n  next: data files there: rows.jsonl"
    )
    assert refused("s3://bucket/a.jsonl") == (
        "s3://bucket/a.jsonl: remote datasets are not read\n  next: download the file and give its local path instead"
    )
    assert refused(str(tmp_path / "*.csv")).startswith(f"{tmp_path}/*.csv: no file matches the pattern")
    (tmp_path / "empty.jsonl").touch()
    assert refused(str(tmp_path / "empty.jsonl")).startswith(f"{tmp_path}/empty.jsonl: the file is empty")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    assert refused(str(tmp_path / "blank.jsonl")).startswith(f"{tmp_path}/blank.jsonl: no rows")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.pdf").touch()
    assert refused(str(tmp_path / "folder")).startswith(
        f"{tmp_path}/folder: no data files in this folder (found: .pdf)\n  next: read are .jsonl .ndjson"
    )
    (tmp_path / "odd.bin").write_bytes(b"\x01\x02 something")
    assert "cannot tell what kind of file this is\n  next: read are" in refused(str(tmp_path / "odd.bin"))
    for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        (tmp_path / "wide.jsonl").write_bytes(GOOD.decode().encode(coding))
        assert "the file is UTF-" in refused(str(tmp_path / "wide.jsonl"))
    assert refused() == "no dataset given\n  next: name a file, a folder, a pattern, or - for standard input"
    assert path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = write(tmp_path, chat())
    os.chmod(path, 0)
    assert refused(path).startswith(f"{path}: cannot be read: Permission denied")


@pytest.mark.parametrize(("name", "data", "kind"), [
    ("a.json", b'{"messages": []}\n{"messages": []}\n', "jsonl"),  # lines under another name
    ("a.json", b'{bad\n{"messages": []}\n', "jsonl"),
    ("a.json", b'[{"a": 1}]', "json"),
    ("a.json", b'[{"a": 1},\n{"b": 2}\n]', "json"),  # the second line is a value by itself
    ("a.json", b'{"a":\n{"b": 1}\n}', "json"),
    ("a.json", b'[{bad},\n{"b": 2}\n]', "json"),
    ("a.json", b'{"a": "' + b"x" * 2_000_000 + b'", "data": [{"b": 1}]}', "json"),
    ("a.json", b'{"a": [\n"' + b"\\u0041" * 300_000 + b'"], "b": 1}', "json"),
    ("a.jsonl", b'[\n{"a": 1},\n{"a": 2}\n]', "json"),
    ("a.jsonl", b'[{"a": 1}, {"a": 2}]', "json"),
    ("a.jsonl", b'[1, 2\n{"a": 1}\n', "jsonl"),
    ("a.jsonl", b'{\n "a": 1\n}\n', "json"),
    ("a.data", b"\xef\xbb\xbf {}", "jsonl"),
    ("a.data", b"prompt,completion\nx,y\n", "csv"),
    ("a.data", b"prompt\tcompletion\nx\ty\n", "tsv"),
    ("a.NDJSON", b"{}", "jsonl"),
])  # fmt: skip
def test_kinds(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert find_files([str(tmp_path / name)])[0].kind == kind


def test_compression_goes_by_content_and_members_follow_each_other(tmp_path: Path) -> None:
    frame = zstandard.compress(GOOD)
    for data in (
        gzip.compress(GOOD) * 3 + b"\0" * 512,
        frame * 3,
        frame * 2 + b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + frame,
    ):
        (tmp_path / "a.jsonl").write_bytes(data)
        assert open_dataset([str(tmp_path / "a.jsonl")]).count() == 3
    (tmp_path / "a.jsonl.gz").write_bytes(GOOD)
    assert open_dataset([str(tmp_path / "a.jsonl.gz")]).count() == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_file_cut_short_is_refused_by_the_count(tmp_path: Path, pack: object) -> None:
    rows = b"".join(json.dumps(chat(os.urandom(4000).hex())).encode() + b"\n" for _ in range(400))
    data = pack(rows)  # type: ignore[operator]
    path = tmp_path / "a.jsonl.x"
    path.write_bytes(data[: len(data) - 20])
    with pytest.raises(InputError) as error:
        open_dataset([str(path)]).count()
    assert str(error.value).startswith(f"{path}: the compressed file is cut short at byte {len(data) - 20:,}\n  next:")


def test_damage_is_refused_and_named(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(GOOD * 1000))
    data[-6] ^= 1
    (tmp_path / "a.gz").write_bytes(data)
    assert "the compressed file is damaged (Error -3 while decompressing" in refused(str(tmp_path / "a.gz"))
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(GOOD) + b"garbage")
    assert "is damaged" in refused(str(tmp_path / "b.jsonl"))


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_bomb_is_refused_with_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(streams, "BOMB_FLOOR", 1 << 20)
    path = tmp_path / f"a.jsonl.{kind}"
    if kind == "gz":
        packer = zlib.compressobj(9, wbits=31)
        path.write_bytes(packer.compress(b"\n" * (32 << 20)) + packer.flush())
    else:
        path.write_bytes(zstandard.compress(b"\n" * (32 << 20)))
    assert "as a decompression bomb does" in refused(str(path))


def test_fingerprints_follow_the_content(tmp_path: Path) -> None:
    path = write(tmp_path, chat())
    before = open_dataset([path]).fingerprint()
    assert before == open_dataset([path]).fingerprint()
    assert json.loads(json.dumps(before)) == before
    write(tmp_path, chat("How?"))
    assert before["files"][0]["bytes"] == open_dataset([path]).fingerprint()["files"][0]["bytes"]
    assert before != open_dataset([path]).fingerprint()


def test_what_is_near_a_name_that_is_not_there(tmp_path: Path) -> None:
    for n in range(8):
        write(tmp_path, chat(), name=f"{n}.jsonl")
    there = ", ".join(f"{n}.jsonl" for n in range(6))
    assert refused(str(tmp_path / "x.jsonl")).endswith(f"next: data files there: {there}")
    (tmp_path / "other").mkdir()
    assert refused(str(tmp_path / "other/x.jsonl")).endswith("next: check the path")
    assert refused(str(tmp_path / "none/x.jsonl")).endswith(
        f"next: the folder {tmp_path}/none is not there either; check the path"
    )


def test_what_is_in_a_folder_without_data_is_told(tmp_path: Path) -> None:
    assert "(found: nothing)" in refused(str(tmp_path))
    for n in range(9):
        (tmp_path / f"a.x{n}").touch()
    (tmp_path / "Makefile").touch()
    assert "(found: .x0, .x1, .x2, .x3, .x4, .x5, .x6, .x7)" in refused(str(tmp_path))


def test_a_pattern_matches_files_alone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = write(tmp_path, chat(), name="sub.jsonl")
    assert [file.path for file in find_files([str(tmp_path / "sub*")])] == [path]


def test_an_empty_file_of_a_folder_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    write(tmp_path, chat(), name="b.jsonl")
    assert open_dataset([str(tmp_path)]).count() == 1


def test_a_spooled_file_is_removed_at_the_end_unless_a_folder_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Path] = []
    monkeypatch.setattr(files.atexit, "register", lambda _, path: later.append(path))
    for spool in (None, tmp_path / "a/b"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
        (file,) = find_files(["-"], spool)
        assert later == ([file.local] if spool is None else later)
        assert spool is None or file.local.parent == spool
    files._remove(later[0])
    files._remove(later[0])
    assert not later[0].exists()


def test_empty_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input is empty"):
        find_files(["-"], tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x01\x02")))
    with pytest.raises(InputError, match="standard input: cannot tell what kind of file this is"):
        find_files(["-"], tmp_path)


@pytest.mark.parametrize(("name", "data", "kind"), [
    ("a.json", b'{"a": 1}\n', "json"), ("a.jsonl", b'{"a": 1}\n', "jsonl"), ("a.jsonl", b'{"data": [1]}\n', "json"),
    ("a.jsonl", b'{"more": [1]}\n', "jsonl"), ("a.json", b'{"a": 1}\n\n{"a": 1}', "jsonl"),
    ("a.jsonl", b'{\n "data": [\n1]}', "json"), ("a.json", b'[1, 2', "json"), ("a.jsonl", b'{"a": 1', "jsonl"),
    ("a.json", b'{"a": "b\n', "json"), ("a.json", b'{"a": 1\n"b": 2}', "jsonl"), ("a.json", b'"a"\n"b"', "jsonl"),
    ("a.data", b'[{"a": 1}]', "json"), ("a.data", b'a,"b c",d\r\n', "csv"), ("a.csv", b"{}", "csv"),
    ("a.txt", b"[1]", "txt"), ("a.jsonl.gz", b"{}", "jsonl"), ("a.tsv", b"a", "tsv"), ("A.JSONL", b"{}", "jsonl"),
    ("a.jsonl", b"PAR1", "parquet"), ("a.pq", b"PAR1", "parquet"), ("a", b"ARROW1", "arrow"),
    ("a.feather", b"\xff\xff\xff\xff", "arrow"),
])  # fmt: skip
def test_kinds_by_name_and_content(name: str, data: bytes, kind: str) -> None:
    assert sniff.kind_of(name, data) == kind


@pytest.mark.parametrize(("name", "data", "message"), [
    ("a.parquet", b"x", "a.parquet: the file is not parquet, whatever its name says"),
    ("a.arrow", b"PAR", "a.arrow: the file is not arrow"),
    ("a.csv", b"\xff\xfea\0", "a.csv: the file is UTF-16 from byte 0 on"),
    ("a.csv", b"\xfe\xff\0a", "a.csv: the file is UTF-16 from byte 0 on"),
    ("a.jsonl", "{}".encode("utf-32-le"), "the file is UTF-32-LE from byte 0 on"),
    ("a", "[1]".encode("utf-16-be") + b"\0", "the file is UTF-16-BE from byte 0 on"),
    ("a", b"a,b", "cannot tell what kind"), ("a", b"", "cannot tell what kind"),
    ("a", b"a b\n", "cannot tell what kind"), (".gz", b"a b\n", "cannot tell what kind"),
])  # fmt: skip
def test_what_is_not_as_its_name_says_is_refused(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        sniff.kind_of(name, data)


@pytest.mark.parametrize(("head", "packed"), [
    (b"\x1f\x8b\x08", "gz"), (b"\x28\xb5\x2f\xfd", "zst"), (b"\x50\x2a\x4d\x18", "zst"), (b"\x5f\x2a\x4d\x18", "zst"),
    (b"\x4f\x2a\x4d\x18", ""), (b"\x60\x2a\x4d\x18", ""), (b"\x50\x2a\x4d\x19", ""), (b"", ""), (b"{", ""),
])  # fmt: skip
def test_how_a_file_is_packed(head: bytes, packed: str) -> None:
    assert streams.compression_of(head) == packed


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_unfolds_is_a_bomb_beyond_both_limits_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a.jsonl.x").write_bytes(pack(b"\n" * (3 << 20)))
    path, kind = tmp_path / "a.jsonl.x", "gz" if pack is gzip.compress else "zst"
    for floor, ratio, fine in ((1 << 20, 200, False), (3 << 20, 200, True), (1 << 20, 100_000, True)):
        monkeypatch.setattr(streams, "BOMB_FLOOR", floor)
        monkeypatch.setattr(streams, "BOMB_RATIO", ratio)
        with streams.open_plain(path, "a", kind) as stream:  # type: ignore[arg-type]
            if fine:
                assert len(stream.read()) == 3 << 20
            else:
                with pytest.raises(InputError, match="unfolds to more than 200 times its size"):
                    stream.read()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    for kind in ("", "gz"):
        with pytest.raises(InputError, match="a: cannot be opened: No such file or directory"):
            streams.open_plain(tmp_path / "a", "a", kind)  # type: ignore[arg-type]
