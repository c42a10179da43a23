"""JSON documents, delimited, Parquet and Arrow: the same rows out of every kind of file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from screen.data.dataset import Dataset, open_dataset
from screen.data.files import InputFile, find_files
from screen.data.readers import columnar, delimited, jsonscan, rows
from screen.data.readers.kinds import READERS
from screen.data.readers.quotes import QuoteState
from screen.data.sample import RawRow, Skip
from screen.errors import InputError
from tests.data.making import chat, codes, read_all, write

ROWS = [chat(f'"wh\u00fd"\n[{{{i}', f"a\\{i},", id=i) for i in range(30)]


def as_csv(path: Path, delimiter: str = ",") -> None:
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow(["id", "messages", "note"])
        writer.writerows([row["id"], json.dumps(row["messages"]), 'two\nlines, "quoted"'] for row in ROWS)


def as_arrow(path: Path, opened: Any) -> None:
    table = pa.Table.from_pylist(ROWS)
    with opened(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=11)


MAKERS: dict[str, Any] = {
    "a.jsonl": lambda p: p.write_text("\n".join(map(json.dumps, ROWS))),
    "a.json": lambda p: p.write_text(json.dumps(ROWS)),
    "b.json": lambda p: p.write_text(json.dumps(ROWS, indent=2)),
    "c.json": lambda p: p.write_text(json.dumps({"v": [1, 2], "o": {"a": "]"}, "data": ROWS, "x": [1]}, indent=1)),
    "d.json": lambda p: p.write_text(json.dumps({"data": ROWS})),
    "e.json": lambda p: p.write_text(json.dumps({f'"{i}': row for i, row in enumerate(ROWS)})),
    "f.json": lambda p: p.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(ROWS, ensure_ascii=False).encode() + b"\n"),
    "a.csv": as_csv,
    "b.csv": lambda p: as_csv(p, ";"),
    "a.tsv": lambda p: as_csv(p, "\t"),
    "a.parquet": lambda p: pq.write_table(pa.Table.from_pylist(ROWS), p, row_group_size=7),
    "a.arrow": lambda p: as_arrow(p, pa.ipc.new_file),
    "b.arrow": lambda p: as_arrow(p, pa.ipc.new_stream),
}


PACKED = [("a.json", ".gz"), ("b.json", ".zst"), ("a.csv", ".gz"), ("a.tsv", ".zst"), ("a.parquet", ".gz")]


@pytest.mark.parametrize(("name", "packed"), [*((name, "") for name in MAKERS), *PACKED])
def test_every_kind_gives_the_same_rows(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / name
    MAKERS[name](path)
    if packed:
        pack = gzip.compress if packed == ".gz" else zstandard.compress
        path = tmp_path / f"{name}{packed}"
        path.write_bytes(pack((tmp_path / name).read_bytes()))
    dataset = open_dataset([str(path)], spool=tmp_path / "spool")
    found = read_all(dataset)
    assert dataset.count() == 30
    assert [w[:3] for w in dataset.windows(8, skip={1, 2})] == [(0, 0, 8), (3, 24, 30)]
    for i, row in enumerate(found):
        assert isinstance(row, list)
        assert (row[0].id, row[0].row, row[0].turns[1].content) == (str(i), i, f"a\\{i},")
    places = [row[0].place for row in found if isinstance(row, list)]
    with dataset.files[0].open() as stream:
        data = stream.read()
    for place in places:
        assert place.offset < 0 or rows.digest(data[place.offset : place.offset + place.length]) == place.sha256


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_dataset([str(path)]).count()
    return str(error.value)


@pytest.mark.parametrize(("text", "message"), [
    ('[{"text": "a"}, {"text": "b"', "the file ends in the middle of a row, so it was cut short (byte 28)"),
    ('[{"text": "a"}}', "the file closes with } what it did not open so (byte 15)"),
    ('[{"text": "a"}] [{"text": "b"}]', "the file goes on after the JSON value has ended (byte 16)"),
    ('{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "the file has a second list of rows under 'test'"),
    ("[]", "no rows"),
    (" \n ", "no rows"),
])  # fmt: skip
def test_json_documents_with_a_wrong_end(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert message in refused(tmp_path / "a.json")


def test_bad_elements_cost_their_row_only(tmp_path: Path) -> None:
    text = '[{"text": "a"}, {bad}, null, {"text": "a "b" c"}, [1, [2]], "x,]", {"text": NaN}, {"text": "d"}]'
    (tmp_path / "a.json").write_text(text)
    dataset = open_dataset([str(tmp_path / "a.json")])
    bad = ["bad_json", "not_an_object", "bad_json", "not_an_object", "not_an_object", "bad_json"]
    assert codes(dataset) == ["ok", *bad, "ok"]


def test_an_element_over_the_cap_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 100)
    monkeypatch.setattr(jsonscan, "_CHUNK", 64)
    (tmp_path / "a.json").write_text(json.dumps([{"text": "a"}, {"text": 'x\\"' * 500}, {"text": "b"}]))
    dataset = open_dataset([str(tmp_path / "a.json")])
    assert codes(dataset) == ["ok", "line_too_long", "ok"]


def test_one_pretty_printed_object_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS[0], indent=2))
    assert codes(open_dataset([str(tmp_path / "a.json")])) == ["ok"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab\\"[]{},\u00e9\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\,]', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=6), indent=st.sampled_from([None, 0, 2]), chunk=st.integers(1, 9))
def test_any_array_falls_into_its_elements(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], indent: int | None, chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(values, indent=indent), encoding="utf-8")
    (file,) = find_files([str(path)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonscan, "_CHUNK", chunk)
        if file.kind == "json":
            found = [json.loads(raw) for _, _, raw in READERS["json"].spans(file) if raw is not None]
            assert found == values


@pytest.mark.parametrize(("data", "expected"), [
    (b"text\nplain\n\n\"two\nlines\"\n", ["ok", "ok"]),
    (b"text,n\na,1\nb\nc,2,3\nd,4\n", ["ok", "ragged_row", "ragged_row", "ok"]),
    (b"text,n\r\na,1\r\n\"b\"c,2\r\nd,3\r\n", ["ok", "bad_csv", "ok"]),
    (b"text,n\na,1\n\xff,2\nb,3\n", ["ok", "bad_utf8", "ok"]),
    (b'text,n\na,1\n"never closed,2\nb,3\n', ["ok", "bad_csv"]),
    (b"\xef\xbb\xbftext,n\na,1\n", ["ok"]),
    (b"text,n\n" + b"x" * 200_000 + b",1\n", ["ok"]),
    (b"text,n\nlast,1", ["ok"]),
    (b"text,n\na,1\nb\0c,2\nd,3\n", ["ok", "bad_csv", "ok"]),
    (b"text\na\n \t\nb\n", ["ok", "bad_csv", "ok"]),
    (b"text,n\na,1\nb,2\rc,3\nd,4\r\r\n", ["ok", "bad_csv", "ok"]),
])  # fmt: skip
def test_csv_records(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    dataset = open_dataset([str(tmp_path / "a.csv")])
    assert codes(dataset) == expected
    for entry in next(dataset.windows(99)).entries:
        place = entry.place
        raw = data[place.offset : place.offset + place.length]
        assert (rows.digest(raw), place.line) == (place.sha256, data[: place.offset].count(b"\n") + 1)


@settings(max_examples=300, deadline=None)
@given(text=st.text('ab",; \t\n\r\0\u2028', max_size=30), delimiter=st.sampled_from(",\t"))
def test_any_table_is_read_as_the_standard_library_reads_it(
    tmp_path_factory: pytest.TempPathFactory, text: str, delimiter: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(f"text{delimiter}n\n{text}", encoding="utf-8", newline="")
    found = list(
        delimited.entries(InputFile("any", path, 1, "tsv" if delimiter == "\t" else "csv", ""), 0, lambda row: True)
    )
    with open(path, newline="", encoding="utf-8") as lines:
        expected = [row for row in csv.reader(lines, delimiter=delimiter) if row][1:]
    if not any(isinstance(row, Skip) for row in found):
        assert [list(row.value.values()) for row in found if isinstance(row, RawRow)] == expected


@pytest.mark.parametrize(
    "long", [b"x" * 300, b'"' + b"y\n" * 100 + b'"', b'1,"' + b'y""\n' * 99 + b'",""', b'a"' + b"x" * 99]
)
def test_a_csv_record_over_the_cap_is_passed_over(long: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 50)
    (tmp_path / "a.csv").write_bytes(b"text\na\n" + long + b'\n"b\nb"\nc\n')
    assert codes(open_dataset([str(tmp_path / "a.csv")])) == ["ok", "line_too_long", "ok", "ok"]


CSV_PIECES = ["x", "yy", '"', '""', ",", ";", "\n", '"\n', "\r\n", "\r", ',"', '",', "\u20ac"]


@example(pieces=["\r", "\r", "\r", "x"], cap=2)
@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(st.sampled_from(CSV_PIECES), max_size=40), cap=st.integers(2, 12))
def test_the_cap_moves_no_record_of_a_table(pieces: list[str], cap: int) -> None:
    def places() -> list[tuple[int, int, int]]:
        found = delimited.records(io.BytesIO(source), ",")
        return [(r.line, r.offset, r.size) for r in found if source[r.offset : r.offset + r.size].strip(b"\r\n")]

    source = "".join(pieces).encode()  # `raw` holds the beginning alone of a record over the cap
    whole = places()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MAX_ROW_BYTES", cap)
        assert places() == whole


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(st.sampled_from([p for p in CSV_PIECES if "\n" not in p]), max_size=20), data=st.data())
def test_a_line_in_parts_ends_the_record_where_the_csv_module_does(pieces: list[str], data: st.DataObject) -> None:
    line = "".join(pieces).encode() + b"\n"
    state, at = QuoteState(","), data.draw(st.integers(0, len(line)))
    state.take(line[:at])
    state.take(line[at:])
    goes_on = False
    try:
        list(csv.reader([line.decode()], strict=True))
    except csv.Error as error:
        goes_on = str(error) == "unexpected end of data"
    assert state.quoted == goes_on


@pytest.mark.parametrize(("data", "message"), [
    (b"a,a\n1,2\n", "the header names 'a' twice"),
    (b"a,\n1,2\n", "the header has a column without a name"),
    (b"text\n", "no rows"),
    (b"\xff,b\n1,2\n", "the header cannot be read: the record is not UTF-8"),
])  # fmt: skip
def test_csv_headers(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert message in refused(tmp_path / "a.csv")


def test_columns_of_other_types_become_json_like(tmp_path: Path) -> None:
    import datetime
    import decimal

    table = pa.table({
        "text": ["a"], "when": [datetime.datetime(2020, 1, 2)], "raw": [b"\xff"], "d": [decimal.Decimal("1.5")],
        "nan": [float("nan")], "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    entry = next(open_dataset([str(tmp_path / "a.parquet")]).windows(1)).entries[0]
    assert isinstance(entry, RawRow)
    value = entry.value
    assert (value["when"], value["d"], value["nan"], value["m"]) == ("2020-01-02T00:00:00", "1.5", None, [["k", 1]])
    assert value["raw"].startswith("sha256:")


def test_text_that_is_not_utf8_costs_its_row_only(tmp_path: Path) -> None:
    bad = pa.array([b"a", b"\xff", b"b"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    assert codes(open_dataset([str(tmp_path / "a.parquet")])) == ["ok", "bad_utf8", "ok"]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_damaged_columns_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    MAKERS[name](path)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    message = refused(path)
    assert message.startswith(f"{path}: the {name[2:]} file is damaged or hostile: ")
    assert message.endswith("or convert it to .jsonl")


def test_a_flipped_bit_in_a_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, write_page_checksum=True, compression="none")
    data = bytearray(path.read_bytes())
    data[data.index(b"a\\7,")] ^= 4
    path.write_bytes(data)
    assert "could not verify page integrity" in refused(path)


def test_a_decoder_that_dies_takes_nothing_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(columnar.columnar_check, "__file__", str(script))
    MAKERS["a.parquet"](tmp_path / "a.parquet")
    assert "the decoder died of it (exit -6)" in refused(tmp_path / "a.parquet")
    script.write_text("while True: pass")
    monkeypatch.setattr(columnar, "_CHILD_SECONDS", 0.5)
    assert "decoding it does not come to an end" in refused(tmp_path / "a.parquet")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"]), tmp_path / "a.parquet")
    assert "two columns are named 'text'" in refused(tmp_path / "a.parquet")


def test_the_room_starts_without_heavy_packages() -> None:
    code = (
        "import sys; import screen.data.dataset, screen.data.copying; "
        "print([m for m in ('torch', 'transformers', 'polars', 'duckdb', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_dataset_can_be_sent_to_another_process(tmp_path: Path) -> None:
    import pickle

    dataset: Dataset = pickle.loads(pickle.dumps(open_dataset([write(tmp_path, *ROWS, None)])))
    assert isinstance(read_all(dataset)[30], Skip)


def delimited_entries(path: Path, data: bytes, kind: str = "csv") -> list[RawRow | Skip]:
    path.write_bytes(data)
    found = delimited.entries(InputFile("f", path, 1, kind, ""), 5, lambda row: True)  # type: ignore[arg-type]
    return [entry for entry in found if entry is not None]


def test_a_record_over_the_cap_keeps_its_place_and_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 50)
    long = b"y" * 300 + b"\n"
    one, two, three = delimited_entries(tmp_path / "a", b"text\na\n" + long + b"x" * 49 + b"\n")
    assert isinstance(two, Skip)
    assert (two.code, two.place.line, two.place.offset, two.place.length) == ("line_too_long", 3, 7, len(long))
    assert (two.place.sha256, long.startswith(two.head), len(two.head)) == (rows.digest(long), True, 51)
    assert isinstance(one, RawRow)
    assert isinstance(three, RawRow)
    assert (three.place.row, three.place.line, three.place.offset, three.place.length) == (7, 4, 7 + len(long), 49)


@pytest.mark.parametrize(("data", "message"), [
    (b"a,b\n1\n", "the record has 1 fields, but the header names 2"),
    (b"a,b\n1,\0\n", "the record holds a NUL, where some readers end the field; take it out"),
    (b"a\n \n", "the line holds only blanks: a row for some readers and nothing for others; take it out"),
    (b"a,b\n\xff,1\n", "the record is not UTF-8; convert the file"),
    (b'a,b\n"1"2,3\n', "the record cannot be split into fields (',' expected after '\"'); check its quotes"),
])  # fmt: skip
def test_what_is_wrong_with_a_record(tmp_path: Path, data: bytes, message: str) -> None:
    (skip,) = delimited_entries(tmp_path / "a", data)
    assert isinstance(skip, Skip)
    assert skip.message == message
    assert (skip.stage, skip.place.row, skip.place.line) == ("read", 5, 2)


@pytest.mark.parametrize(("head", "kind", "delimiter"), [
    (b"a,b;c\n", "csv", ","), (b"a;b|c\n", "csv", ";"), (b"a\tb|c\n", "csv", "\t"), (b"a|b\n", "csv", "|"),
    (b"a\n1;2\n", "csv", ","), (b"a,b\n", "tsv", "\t"),
])  # fmt: skip
def test_the_delimiter_is_the_headers(tmp_path: Path, head: bytes, kind: str, delimiter: str) -> None:
    (tmp_path / "a").write_bytes(head)
    assert delimited.delimiter_of(InputFile("f", tmp_path / "a", 1, kind, "")) == delimiter  # type: ignore[arg-type]


def test_the_header_as_it_stands(tmp_path: Path) -> None:
    file = InputFile("f", tmp_path / "a", 1, "csv", "")
    for data, header in ((b'"a\nb",c\r\n1,2\n', b'"a\nb",c\r\n'), (b"", b""), (b"\n\na,b", b"a,b")):
        (tmp_path / "a").write_bytes(data)
        assert delimited.header(file).strip() == header.strip()


def test_a_text_file_is_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOnce.\n")
    file = InputFile("f", tmp_path / "a.txt", 1, "txt", "")
    (entry,) = READERS["txt"].entries(file, 3, lambda row: True)
    assert isinstance(entry, RawRow)
    assert (entry.value, entry.place.row, entry.place.offset, entry.place.length) == ({"text": "Once.\n"}, 3, 0, 9)
    assert list(READERS["txt"].entries(file, 3, lambda row: False)) == [None]
    assert list(READERS["txt"].spans(file)) == [(0, 9, b"\xef\xbb\xbfOnce.\n")]
    for cap in (9, 8):
        monkeypatch.setattr(rows, "MAX_ROW_BYTES", cap)
        (entry,) = READERS["txt"].entries(file, 3, lambda row: True)
        assert (isinstance(entry, Skip), next(READERS["txt"].spans(file))[2] is None) == (cap == 8, cap == 8)
    assert isinstance(entry, Skip)
    assert (entry.code, entry.place.length) == ("line_too_long", 9)
    assert entry.place.sha256 == rows.digest(b"\xef\xbb\xbfOnce.\n")


def test_rows_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.arrow", "a.json", "a.csv"):
        MAKERS[name](tmp_path / name)
        (file,) = find_files([str(tmp_path / name)])
        found = list(READERS[file.kind].entries(file, 100, lambda row: row in (103, 129)))
        assert [at for at, entry in enumerate(found) if entry is not None] == [3, 29]
        assert len(found) == 30


def test_row_groups_without_a_wanted_row_are_passed_over(tmp_path: Path) -> None:
    MAKERS["a.parquet"](tmp_path / "a.parquet")
    (file,) = find_files([str(tmp_path / "a.parquet")])
    found = list(columnar.batches(file, 10, lambda row: row in (17, 39)))
    assert [item if isinstance(item, int) else -item.num_rows for item in found] == [7, -7, 7, 7, -2]


def test_values_that_json_has_no_type_for_become_text() -> None:
    import datetime

    at = datetime.datetime(2020, 1, 2, 3, 4, 5)
    value = {"t": at, "d": at.date(), "c": at.time(), "b": b"x", "o": {1}, "a": 1}
    assert columnar.canonical(value) == (
        b'{"a":1,"b":"x","c":"03:04:05","d":"2020-01-02","o":"{1}","t":"2020-01-02T03:04:05"}'
    )
    for bad, code in ((b"\xff", "bad_utf8"), ("\ud800", "bad_value")):
        with pytest.raises(rows.BadRow) as caught:
            columnar.canonical({"a": bad})
        assert caught.value.code == code


def test_a_row_over_the_cap_of_a_table_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": ["a", "x" * 100]}), tmp_path / "a.parquet")
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", len(b'{"text":""}') + 99)
    dataset = open_dataset([str(tmp_path / "a.parquet")])
    assert codes(dataset) == ["ok", "line_too_long"]
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", len(b'{"text":""}') + 100)
    assert codes(dataset) == ["ok", "ok"]


def test_a_check_without_memory_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "dies.py"
    script.write_text("raise MemoryError")
    monkeypatch.setattr(columnar.columnar_check, "__file__", str(script))
    MAKERS["a.parquet"](tmp_path / "a.parquet")
    with pytest.raises(MemoryError, match="no memory for the process that checks"):
        open_dataset([str(tmp_path / "a.parquet")])
    script.write_text('print(\'{"error": "said"}\')')
    assert "the parquet file is damaged or hostile: said" in refused(tmp_path / "a.parquet")
