"""Lines to rows: places, line endings, limits, windows, and everything hostile in one line."""

from __future__ import annotations

import json
import random
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.data.dataset import open_dataset
from screen.data.files import InputFile, find_files
from screen.data.readers import rows
from screen.data.readers.kinds import READERS
from screen.data.sample import RawRow, Skip
from screen.errors import InputError
from tests.data.making import chat, codes, raw_rows, write
from tests.data.test_documents import mutated

Factory = pytest.TempPathFactory
GOOD = json.dumps(chat()).encode()


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(("line", "code"), [
    (b"{", "bad_json"),
    (b"[1, 2", "bad_json"),
    (b'{"a": 1} {"a": 2}', "bad_json"),
    (b'{"a": NaN}', "bad_json"),
    (b'{"a": 1e999}', "bad_json"),
    (b'{"a": "\\ud800"}', "bad_json"),
    (b'{"a": "\x00"}', "bad_json"),
    (b"\x00\x00\x00", "bad_json"),
    (b"\xef\xbb\xbf" + GOOD, "bad_json"),  # a mark that is not at the start of the file
    (b'{"a": "\xff"}', "bad_utf8"),
    (b'{"a": "\xed\xa0\x80"}', "bad_utf8"),
    (GOOD[:-1] + b', "messages": []}', "duplicate_key"),
    (b'{"messages": [{"role": "user", "content": "a \\": b", "content" : "c"}]}', "duplicate_key"),
    (deep(1000), "too_deep"),
    (deep(100_000), "too_deep"),
    (b"[" * 1_000_000, "too_deep"),
    (b"null", "not_an_object"),
    (b"[]", "not_an_object"),
    (b'"text"', "not_an_object"),
    (b"123456789012345678901234567890", "not_an_object"),
    (b"{}", "wrong_shape"),
    (GOOD[:-1] + b', "n": ' + b"9" * 10_000 + b"}", "bad_json"),
    (GOOD[:-1] + b', "n": ' + b"9" * 40 + b"}", "ok"),
    (GOOD[:-1] + b', "\\u0000": "\\u0000 \\": x"}', "ok"),
    (GOOD[:-1] + b', "x": ' + deep(100) + b"}", "ok"),
    (GOOD + b"\r", "ok"),
    (b"\r" + GOOD + b" \r", "ok"),
    (GOOD.replace(b", ", b",\r", 1), "bad_json"),  # two lines for whoever reads text
    (GOOD + b"\r" + GOOD, "bad_json"),
    (b" \t" + GOOD + b" ", "ok"),
])  # fmt: skip
def test_one_line_among_good_ones(tmp_path: Path, line: bytes, code: str) -> None:
    dataset = open_dataset([write(tmp_path, chat(), line, chat())])
    assert codes(dataset) == ["ok", code, "ok"]


def test_whole_numbers_of_any_length_stay_whole(tmp_path: Path) -> None:
    wide = chat(id=2**70, more=[[-(2**63) - 1, 1e30, {"n": 2**63}], 0.5])
    (entry,) = next(open_dataset([write(tmp_path, wide)]).windows(1)).entries
    assert isinstance(entry, RawRow)
    assert repr(entry.value) == repr(wide)


def test_a_skip_names_place_and_reason(tmp_path: Path) -> None:
    path = write(tmp_path, chat(), b'{"a": nope}')
    entry = next(open_dataset([path]).windows(10)).entries[1]
    assert isinstance(entry, Skip)
    assert (entry.stage, entry.head) == ("read", b'{"a": nope}')
    assert entry.message.startswith("not valid JSON at character 6 of the row: ")
    assert (entry.place.row, entry.place.line, entry.place.offset) == (1, 2, len(GOOD) + 1)


def test_blank_lines_are_lines_but_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n  \r\n" + GOOD + b"\r\n\t\n\n" + GOOD)
    entries = next(open_dataset([str(path)]).windows(10)).entries
    assert [(e.place.row, e.place.line, e.place.offset) for e in entries] == [(0, 3, 5), (1, 6, 5 + len(GOOD) + 5)]
    assert {(e.place.length, e.place.sha256) for e in entries} == {(len(GOOD), sha256(GOOD).hexdigest()[:16])}


def test_a_byte_order_mark_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD)
    dataset = open_dataset([str(path)])
    assert codes(dataset) == ["ok", "ok"]
    place = next(dataset.windows(10)).entries[0].place
    assert (place.offset, place.length) == (0, len(GOOD) + 3)


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(chat("a\u2028b\x85c\x0bd"), ensure_ascii=False), encoding="utf-8")
    assert open_dataset([str(path)]).count() == 1


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_a_line_over_the_cap_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1000)
    long = b'{"a": "' + b"x" * 5000 + b'"}'
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\n" + long + ending)
    dataset = open_dataset([str(path)])
    entry = next(dataset.windows(10)).entries[1]
    assert isinstance(entry, Skip)
    assert (entry.code, entry.place.length, entry.head) == ("line_too_long", len(long), long[:200])
    assert entry.place.sha256 == sha256(long).hexdigest()[:16]
    assert dataset.count() == 2
    assert list(raw_rows(dataset, [0, 1])) == [(0, GOOD + b"\n")]


def test_windows_stand_on_absolute_rows(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, *[chat()] * 23)], limit=(3, 18))
    assert [w[:3] for w in dataset.windows(5)] == [(0, 3, 5), (1, 5, 10), (2, 10, 15), (3, 15, 18)]
    assert [w[:3] for w in dataset.windows(5, skip={0, 2})] == [(1, 5, 10), (3, 15, 18)]
    assert [e.place.row for w in dataset.windows(5) for e in w.entries] == list(range(3, 18))
    assert dataset.count() == 15


@pytest.mark.parametrize(("limit", "count"), [((0, None), 23), ((20, 99), 3), ((30, None), 0), ((5, 5), 0)])
def test_count_is_within_the_limit(tmp_path: Path, limit: tuple[int, int | None], count: int) -> None:
    dataset = open_dataset([write(tmp_path, *[chat()] * 23)], limit=limit)
    assert dataset.count() == count == sum(len(w.entries) for w in dataset.windows(4))


def test_rows_are_numbered_through_all_files(tmp_path: Path) -> None:
    paths = [write(tmp_path, chat(), chat(), name="a.jsonl"), write(tmp_path, chat(), name="b.jsonl")]
    entries = next(open_dataset(paths).windows(10)).entries
    assert [(e.place.row, e.place.file, e.place.line) for e in entries] == [
        (0, paths[0], 1),
        (1, paths[0], 2),
        (2, paths[1], 1),
    ]


def test_raw_rows_have_their_line_endings(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\r\n\n" + b"bad\n" + GOOD)
    dataset = open_dataset([str(path)])
    assert list(raw_rows(dataset, [0, 1, 2])) == [(0, GOOD + b"\r\n"), (1, b"bad\n"), (2, GOOD)]
    assert list(raw_rows(dataset, [1])) == [(1, b"bad\n")]


def test_nothing_readable_is_one_message(tmp_path: Path) -> None:
    path = write(tmp_path, b"hello", b"world")
    with pytest.raises(InputError) as error:
        open_dataset([path])
    assert str(error.value).startswith(f"none of the first 2 rows can be read; {path}:1: not valid JSON at character 0")
    assert str(error.value).endswith("\n  next: check that the file is what its name says")


@pytest.mark.parametrize("part", range(4))
def test_mutated_lines_are_read_as_the_standard_library_reads_them(tmp_path: Path, part: int) -> None:
    dice, read = random.Random(part), 0
    path = tmp_path / "a.jsonl"
    for _ in range(2000):
        data = GOOD + b"\n" + mutated(dice).replace(b"\n", b" ") + b"\n" + GOOD
        path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is written over
        path.write_bytes(data.replace(b"[", b"\r") if dice.random() < 0.2 else data)
        file = InputFile(str(path), path, 1, "jsonl", "")
        found = list(READERS["jsonl"].entries(file, 0, lambda row: True))
        if not any(isinstance(row, Skip) for row in found):
            with open(path, encoding="utf-8-sig") as lines:
                expected = [json.loads(line) for line in lines if line.strip()]
            assert repr([row.value for row in found if isinstance(row, RawRow)]) == repr(expected)
            read += 1
    assert read > 50


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([GOOD, b"", b" ", b"\r", b"null", b"{}", b'{"a":1,"a":2}', b"\xef\xbb\xbf"]),
    ).map(lambda line: line.replace(b"\n", b"")),
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(lines=LINES, newline=st.booleans())
def test_every_byte_is_a_row_or_blank(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], newline: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    data = GOOD + b"\n" + b"\n".join(lines) + b"\n" * newline
    path.write_bytes(data)
    (file,) = find_files([str(path)])
    entries = list(READERS["jsonl"].entries(file, 0, lambda row: True))
    at = 0
    for row, entry in enumerate(entries):
        assert isinstance(entry, RawRow | Skip)
        place = entry.place
        raw = data[place.offset : place.offset + place.length]
        assert not data[at : place.offset].strip() or data[at : place.offset].strip() == b"\xef\xbb\xbf"
        assert (place.row, place.sha256) == (row, sha256(raw).hexdigest()[:16])
        assert place.line == data[: place.offset].count(b"\n") + 1
        at = place.offset + place.length
    assert not data[at:].strip()
    assert sum(1 for _ in READERS["jsonl"].entries(file, 0, lambda row: False)) == len(entries)


def test_a_line_of_the_cap_exactly_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", len(GOOD))
    path = tmp_path / "a.jsonl"
    for ending in (b"\n", b"\r\n", b""):
        path.write_bytes(GOOD + b"\n" + GOOD + ending)
        assert codes(open_dataset([str(path)])) == ["ok", "ok"]
    path.write_bytes(GOOD + b"\n" + GOOD + b"  \n" + GOOD)
    dataset = open_dataset([str(path)])
    assert codes(dataset) == ["ok", "line_too_long", "ok"]
    found = next(dataset.windows(9)).entries[2].place
    assert (found.line, found.offset) == (3, 2 * len(GOOD) + 4)


def test_a_mark_alone_in_the_first_line_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf \n" + GOOD)
    (entry,) = next(open_dataset([str(path)]).windows(9)).entries
    assert (entry.place.line, entry.place.offset, entry.head) == (2, 5, GOOD[:200])
    path.write_bytes(b"\xef\xbb\xbf{bad\n" + GOOD)
    first, _ = next(open_dataset([str(path)]).windows(9)).entries
    assert isinstance(first, Skip)
    assert (first.code, first.place.length, first.head) == ("bad_json", 7, b"{bad")


def test_a_line_that_text_readers_would_cut_says_so(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, chat(), GOOD.replace(b", ", b",\r", 1))])
    skip = next(dataset.windows(9)).entries[1]
    assert isinstance(skip, Skip)
    assert (skip.stage, skip.head) == ("read", GOOD.replace(b", ", b",\r", 1)[:200])
    assert skip.message.startswith("a carriage return stands inside the line")


@pytest.mark.parametrize(("line", "message"), [
    (deep(129), "the row is nested 129 deep, more than the 128 allowed"),
    (deep(2000), "the row is nested deeper than the 128 levels allowed"),
    (b'{"a": "\xff"}', "byte 7 of the row is not UTF-8; convert the file"),
    (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice in one object, and readers differ "),
    (b'{"a":1,}', "not valid JSON at character 6 of the row: "),
])  # fmt: skip
def test_what_is_wrong_with_a_line(line: bytes, message: str) -> None:
    entry = rows.entry(line, 3, "f", 4, 5)
    assert isinstance(entry, Skip)
    assert entry.message.startswith(message)
    assert (entry.place.row, entry.place.line, entry.place.offset, entry.place.length) == (3, 4, 5, len(line))


@pytest.mark.parametrize(("value", "survey"), [
    (1, (0, 1, False)), ({}, (0, 1, False)), ({"a": {"b": 1, "c": []}}, (3, 3, False)), ("x", (0, 1, False)),
    ([[], [{"a": 1}]], (1, 3, False)), (2.0**63, (0, 1, True)), ([-(2.0**63)], (0, 1, True)),
    ([2.0**62], (0, 1, False)), ({"a": {"b": 1e30}}, (2, 2, True)),
])  # fmt: skip
def test_a_survey_of_a_value(value: object, survey: tuple[int, int, bool]) -> None:
    assert rows.survey(value) == survey


def test_a_window_of_rows_in_the_middle_is_numbered_as_the_rows_are(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, *[chat()] * 9)], limit=(4, None))
    assert [w[:3] for w in dataset.windows(3)] == [(1, 4, 6), (2, 6, 9)]
    assert list(dataset.windows(3, skip={1, 2})) == []
    assert list(raw_rows(dataset, [])) == []
    assert list(raw_rows(dataset, [8, 20])) == [(8, GOOD + b"\n")]
