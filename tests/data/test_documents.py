"""A JSON document gives the rows that `json.loads` would find in it, or is refused with the byte."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.data.files import InputFile, find_files
from screen.data.readers import jsonarray, jsonscan
from screen.data.readers.kinds import READERS, count_rows
from screen.data.sample import Skip
from screen.data.sniff import ROW_KEYS
from screen.errors import InputError

BYTE = re.compile(r"byte [\d,]+")
LIST = '{"text": "a, ]}"}, {"text": "b\\"", "n": [1, {"c": null}]}'
SEEDS = (
    "[%s]", '{"data": [%s]}', '{"v": [1, "]"], "o": {"a": {}}, "train": [%s], "x": 1.5e3, "y": null}',
    '{"data": [%s], "more": {"data": [{"text": "z"}]}}', '{"one": {"text": "a"}, "two": {"text": "b"}}',
    '{"rows": [%s], "test": []}', '{"text": "a", "list": [1]}', "[%s, [], 1, null]", '\ufeff {"items": [%s] } \n',
    '{"meta": {"data": [%s]}, "data": [%s]}', "[[%s], {}]",
)  # fmt: skip
PIECES = (
    ",", ":", "[", "]", "{", "}", '"', "\\", " ", "\n", "\t", "\x0b", "\x00", "\xa0", "\u2028", "//", "/* */", "#",
    "null", "NaN", "-Infinity", "1e999", "01", "-", "1", "9" * 30, "9" * 5000, "'a'", "x", '"data"', '"d\\u0061ta"',
    '"\\ud800"', '"\\x"', '"data": [{"text": "hidden"}]', '"d\\u0061ta": [{"text": "hidden"}],', '"data": 5,',
    '{"text": "hidden"}', '[{"text": "hidden"}]', '{"text": 1, "text": 2}', "[" * 300, "]" * 300, "[" * 2000,
    "{}", "[]", ", ,", '""', '"a": {}', '"a": {"b": 1},', "\ufeff",
)  # fmt: skip


@pytest.fixture(params=[1 << 16, 1, 2, 3, 5, 8])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that are read at once: every border falls into every place."""
    monkeypatch.setattr(jsonscan, "_CHUNK", request.param)
    return int(request.param)


def by_the_standard_library(data: bytes) -> list[Any] | None:
    """What a trainer reads: `json.loads`, then the rule for keys. None where it reads nothing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        return [found]
    lists = [value for key, value in found.items() if key in ROW_KEYS and isinstance(value, list)]
    if lists:
        return lists[0]
    named = list(found)[:1] not in (["input"], ["conversation"])
    all_objects = bool(found) and named and all(isinstance(value, dict) for value in found.values())
    return list(found.values()) if all_objects else [found]


def same(ours: Any, theirs: Any) -> bool:
    """Equal in value and type: 1, 1.0 and True are three values."""
    return repr(ours) == repr(theirs)


def tried(call: Callable[[Any], Any], file: Any) -> Any:
    """What the call gives, or the text of its refusal."""
    try:
        return call(file)
    except InputError as error:
        return str(error)


def read(file: InputFile) -> list[Any]:
    return list(READERS[file.kind].entries(file, 0, lambda row: True))


def check(path: Path, data: bytes) -> str:
    """Whether the document was refused, cost a row, or was read whole; never read otherwise than by a trainer."""
    path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is written over
    path.write_bytes(data)
    files = tried(find_files, [str(path)])
    expected = by_the_standard_library(data)
    found = files if isinstance(files, str) else tried(read, files[0])
    if isinstance(found, str):
        assert BYTE.search(found) or not data, found
        assert files is found or isinstance(tried(count_rows, files[0]), str), data
        return "refused"
    (file,) = files
    assert tried(count_rows, file) == len(found)
    if expected is None:
        lines = file.kind == "jsonl"
        assert lines or not found or any(isinstance(row, Skip) for row in found), data
        return "skipped"
    assert len(found) == len(expected), data
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, Skip) or same(ours.value, theirs), data
    return "skipped" if any(isinstance(row, Skip) for row in found) else "read"


def mutated(dice: random.Random) -> bytes:
    """A document with one to three changes: pieces put in, taken out, doubled, swapped, or a byte changed."""
    seed = dice.choice(SEEDS)
    text = (seed.replace("%s", LIST)).encode()
    text = text.replace(b" ", b"") if dice.random() < 0.2 else text
    for _ in range(dice.choice((1, 1, 2, 3))):
        edges = [m.start() for m in re.finditer(rb'[\[\]{},:"]', text)] + [0, len(text)]
        a, b = sorted((dice.choice(edges), dice.choice(edges)))
        piece = dice.choice(PIECES).encode()
        text = dice.choice((
            text[:a] + piece + text[a:], text[:a] + piece + text[a + 1 :], text[:a] + text[a + 1 :],
            text[:a] + text[b:], text[:b] + text[a:], text[:a] + b"," + text[a:b] + text[b:], text[:b],
            text[:a] + bytes([dice.randrange(256)]) + text[a + 1 :],
        ))  # fmt: skip
    return text


def test_mutated_documents_are_read_as_the_standard_library_reads_them(tmp_path: Path, chunk: int) -> None:
    dice = random.Random(chunk)
    found = [check(tmp_path / "a.json", mutated(dice)) for _ in range(4000)]
    assert min(map(found.count, ("refused", "skipped", "read"))) > 100


@pytest.mark.parametrize(("text", "message"), [
    ('{"data": [{"text": "a"}], "d\\u0061ta": [{"text": "b"}]}', "the name 'data' twice in one object (byte 25)"),
    ('{"data": 1, "data": [{"text": "a"}]}', "the name 'data' twice in one object (byte 11)"),
    ('{"a": {"text": "a"}, "a": {"text": "b"}}', "the name 'a' twice in one object (byte 20)"),
    ('{"a": {"text": "a"}, "b": 1, "data": [{"text": "b"}], "b": 2}', "the name 'b' twice in one object (byte 53)"),
    ('{"meta": [{"text": "a"}], "data": [{"text": "b"}]}', "a second list of rows under 'meta' (byte 1)"),
    ('{"data": [{"text": "a"}], "more": [null, {"text": "b"}]}', "a second list of rows under 'more' (byte 25)"),
    ('{"data": [{"text": "a"}], "x": \'y\'}', "not valid JSON: Expecting value (byte 31)"),
    ('{"data": [{"text": "a"}] "x": 1}', "something other than a comma or } behind its rows (byte 25)"),
    ('{"x": [1,], "data": [{"text": "a"}]}', "not valid JSON: Expecting value (byte 9)"),
    ('[{"text": "a"},]', "nothing where a row belongs (byte 15)"),
    ('[{"text": "a"},,{"text": "b"}]', "nothing where a row belongs (byte 15)"),
    ('[{"text": "a"} {"text": "b"}]', "something other than one JSON value in a row (byte 14)"),
    ('[{"text": "a"}, // b\n {"text": "c"}]', "something other than one JSON value in a row (byte 16)"),
    ('[{"text": "a]}, {"text": "b"}]', "cut short"),
    ('[{"text": "a"}, {"b": [}], {"b": 1}]', "something other than one JSON value in a row (byte 23)"),
    ('[{"text": "a"}, {"b": "c\n"}, {"b": "d"}]', "something other than one JSON value in a row (byte 22)"),
    ('{"data": [{"text": "a"}]} {"data": []}', "goes on after the JSON value has ended (byte 26)"),
])  # fmt: skip
def test_what_could_hide_rows_is_refused_with_its_byte(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    (file,) = find_files([str(tmp_path / "a.json")])
    assert message in tried(read, file)
    assert message in tried(count_rows, file)


def test_an_object_of_rows_ends_where_its_members_are_no_objects(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(jsonarray, "HEAD", 100)  # what is looked at before it is settled that these are rows
    text = json.dumps({f"row {i}": {"text": "a"} for i in range(9)} | {"data": [{"text": "b"}]})
    (tmp_path / "a.json").write_text(text)
    (file,) = find_files([str(tmp_path / "a.json")])
    at = text.index('"data') - 1
    assert f"an object under each name but 'data' (byte {at})" in tried(read, file)


N = 3_000_000
HOSTILE = {
    "brackets": b"[" * N, "balanced": b"[" * N + b"]" * N, "nested": b'{"a":' * (N // 5), "rows": b"[" + b"{}," * N,
    "deep row": b'[{"text": "a", "b": [' + b"[[]" * N, "backslashes": b'["' + b"\\" * N, "quotes": b"[" + b'"' * N,
    "waves": b'[{"a": [' + (b"[" * 99 + b"]" * 99) * (N // 198) + b"]}]", "blanks": b"[" + b" " * N + b"{}" + b" " * N,
    "digits": b"[{}," + b"1" * N + b"]", "name": b'{"' + b"k" * N + b'": 1, "data": [{}]}', "commas": b"[" + b"," * N,
    "one string": b'[{"text": "' + b"x" * N + b'"}]', "beside": b'{"x": [' + b"[]," * (N // 3) + b'1], "data": [{}]}',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_and_no_faster(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.json").write_bytes(HOSTILE[name])
    (file,) = find_files([str(tmp_path / "a.json")])
    started = time.process_time()
    tried(count_rows, file)
    assert time.process_time() - started < 4.0  # a fifth of that on a quiet machine
