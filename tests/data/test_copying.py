"""Copies keep their rows byte for byte, in every kind of file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.data import copying
from screen.data.copying import Copied, copy_rows
from screen.data.dataset import open_dataset
from screen.data.files import find_files
from screen.data.readers import rows
from screen.errors import InputError, UsageError
from tests.data.making import chat, raw_rows, read_all, write
from tests.data.test_kinds import MAKERS, ROWS

GOOD = json.dumps(chat()).encode()
Factory = pytest.TempPathFactory


@pytest.mark.parametrize("name", MAKERS)
def test_kept_rows_are_the_same(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / name)
    dataset = open_dataset([str(tmp_path / name)], limit=(5, 9))
    out = tmp_path / f"out{Path(name).suffix}"
    assert copy_rows(dataset, lambda row: row % 3 == 0, out) == Copied(10, 20)
    kept = open_dataset([str(out)])
    assert [s[0].id for s in read_all(kept) if isinstance(s, list)] == [str(row) for row in range(0, 30, 3)]
    whole = open_dataset([str(tmp_path / name)])
    hashes = [e.place.sha256 for w in whole.windows(99) for e in w.entries if e.place.row % 3 == 0]
    assert [e.place.sha256 for w in kept.windows(99) for e in w.entries] == hashes


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("a.parquet", "b.arrow")])
def test_keeping_all_keeps_the_file(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / name)
    out = tmp_path / f"out{Path(name).suffix}"
    copy_rows(open_dataset([str(tmp_path / name)]), lambda row: True, out)
    if name != "a.arrow":
        assert out.read_bytes() == (tmp_path / name).read_bytes()


def test_keeping_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"v": 1, "data": ROWS}, indent=1))
    out = tmp_path / "out.json"
    copy_rows(open_dataset([str(tmp_path / "a.json")]), lambda row: False, out)
    assert json.loads(out.read_text()) == {"v": 1, "data": []}


def test_parquet_keeps_schema_and_metadata(tmp_path: Path) -> None:
    schema = pa.Table.from_pylist(ROWS).schema.with_metadata({"huggingface": "{}"})
    pq.write_table(pa.Table.from_pylist(ROWS, schema=schema), tmp_path / "a.parquet", compression="zstd")
    out = tmp_path / "out.parquet"
    copy_rows(open_dataset([str(tmp_path / "a.parquet")]), lambda row: row < 5, out)
    found = pq.read_table(out)
    assert found.schema.metadata == {b"huggingface": b"{}"}
    assert found.to_pylist() == ROWS[:5]
    assert pq.read_metadata(out).row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("name", ["o.jsonl.gz", "o.jsonl.zst"])
def test_a_compressed_copy(tmp_path: Path, name: str) -> None:
    dataset = open_dataset([write(tmp_path, *ROWS)])
    copy_rows(dataset, lambda row: True, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    with find_files([str(tmp_path / name)])[0].open() as stream:
        assert stream.read() == (tmp_path / "rows.jsonl").read_bytes()
    copy_rows(dataset, lambda row: True, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first  # no time stamp


def test_lines_of_several_files_do_not_run_together(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD + b"\r\n" + GOOD)
    (tmp_path / "b.jsonl").write_bytes(GOOD)
    dataset = open_dataset([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")])
    copy_rows(dataset, lambda row: True, tmp_path / "o.jsonl")
    assert (tmp_path / "o.jsonl").read_bytes() == GOOD + b"\r\n" + GOOD + b"\n" + GOOD


def test_rows_over_the_cap_are_copied_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 300)
    long = chat("x" * 300_000)  # more than is read at once
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in (chat(), long, chat()))
    for name, data in (("a.jsonl", lines), ("b.json", json.dumps([chat(), long, chat()], indent=1).encode())):
        (tmp_path / name).write_bytes(data)
        out = tmp_path / f"out-{name}"
        copy_rows(open_dataset([str(tmp_path / name)]), lambda row: True, out)
        assert out.read_bytes() == data


LINES = st.lists(st.one_of(st.binary(max_size=30), st.just(GOOD)).map(lambda b: b.replace(b"\n", b"")), max_size=10)


@settings(max_examples=50, deadline=None)
@given(lines=LINES, keep=st.sets(st.integers(0, 10)))
def test_any_lines_are_copied_exactly(tmp_path_factory: Factory, lines: list[bytes], keep: set[int]) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "in.jsonl").write_bytes(b"\n".join([GOOD, *lines]) + b"\n")
    dataset = open_dataset([str(folder / "in.jsonl")])
    all_rows = dict(raw_rows(dataset, range(99)))
    wanted = [raw for row, raw in all_rows.items() if row in keep]
    assert copy_rows(dataset, keep.__contains__, folder / "out.jsonl") == (len(wanted), len(all_rows) - len(wanted))
    assert (folder / "out.jsonl").read_bytes() == b"".join(wanted)


def test_the_input_is_never_written_to(tmp_path: Path) -> None:
    path = Path(write(tmp_path, *ROWS))
    before = path.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(path)
    (tmp_path / "hard.jsonl").hardlink_to(path)
    for out in (path, tmp_path / "link.jsonl", tmp_path / "hard.jsonl", tmp_path / "." / "rows.jsonl"):
        with pytest.raises(UsageError, match="this is the input, which is never written to"):
            copy_rows(open_dataset([str(path)]), lambda row: True, out)
    assert path.read_bytes() == before


def test_copies_that_cannot_be_made(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, *ROWS)])
    for name, message in (
        ("a.csv", "rows are copied as jsonl\n  next: choose a name that ends in .jsonl"),
        ("nope/a.jsonl", "cannot be written: No such file or directory"),
    ):
        with pytest.raises(UsageError, match=message.split("\n")[0]):
            copy_rows(dataset, lambda row: True, tmp_path / name)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(ROWS))
    two = open_dataset([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    with pytest.raises(InputError, match="2 json files cannot become one"):
        copy_rows(two, lambda row: True, tmp_path / "o.json")
    mixed = open_dataset([str(tmp_path / "a.json"), str(tmp_path / "rows.jsonl")])
    with pytest.raises(InputError, match="files of kinds json and jsonl"):
        copy_rows(mixed, lambda row: True, tmp_path / "o.json")
    assert not list(tmp_path.glob("*.tmp.*"))


def test_a_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    def fail(row: int) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_rows(open_dataset([write(tmp_path, *ROWS)]), fail, tmp_path / "o.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_what_a_copy_may_be_called(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(GOOD + b"\n" + GOOD)
    dataset = open_dataset([str(tmp_path / "a.json")])  # lines under another name
    for name in ("o.json", "o.jsonl", "o.ndjson", "o.jsonl.zst"):
        assert copy_rows(dataset, lambda row: True, tmp_path / name) == Copied(2, 0)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"parquet files are compressed inside") as error:
        copy_rows(open_dataset([str(tmp_path / "a.parquet")]), lambda row: True, tmp_path / "o.parquet.gz")
    assert error.value.next_step == "choose a name that ends in .parquet"
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Once.")
    texts = open_dataset([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    with pytest.raises(InputError, match="2 txt files cannot become one"):
        copy_rows(texts, lambda row: True, tmp_path / "o.txt")


def test_tables_of_other_columns_do_not_become_one(tmp_path: Path) -> None:
    for name, text in (("a.csv", "text,n\na,1"), ("b.csv", "text,n\r\nb,2\r\n"), ("c.csv", "n,text\n1,a\n")):
        (tmp_path / name).write_text(text, newline="")
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")]
    copy_rows(open_dataset(paths[:2]), lambda row: True, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_bytes() == b"text,n\na,1\nb,2\r\n"
    with pytest.raises(InputError, match=r"c\.csv has other columns than .*a\.csv"):
        copy_rows(open_dataset(paths), lambda row: True, tmp_path / "o.csv")
    for name, table in (("a.parquet", {"text": ["a"]}), ("b.parquet", {"text": ["b"], "n": [1]})):
        pq.write_table(pa.table(table), tmp_path / name)
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    with pytest.raises(InputError, match=r"b\.parquet has other columns than .*a\.parquet"):
        copy_rows(open_dataset(paths), lambda row: True, tmp_path / "o.parquet")


def test_a_header_without_rows_ends_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,1")
    copy_rows(open_dataset([str(tmp_path / "a.csv")]), lambda row: False, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_bytes() == b"text,n\n"


def test_row_groups_are_written_as_they_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_GROUP_BYTES", 1)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet", row_group_size=10)
    copy_rows(open_dataset([str(tmp_path / "a.parquet")]), lambda row: row != 3, tmp_path / "o.parquet")
    assert pq.read_table(tmp_path / "o.parquet").to_pylist() == [row for row in ROWS if row["id"] != 3]
    assert pq.read_metadata(tmp_path / "o.parquet").num_row_groups >= 3


def test_a_text_file_over_the_cap_is_copied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 100)
    (tmp_path / "a.txt").write_bytes(b"0123456789" * 300_000)
    (tmp_path / "b.txt").write_bytes(b"Short.")
    both = open_dataset([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    copy_rows(replace(both, files=both.files[:1]), lambda row: True, tmp_path / "o.txt")
    assert (tmp_path / "o.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
