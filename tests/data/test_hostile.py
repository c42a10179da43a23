"""Whatever a row holds, it becomes samples or one Skip; memory stays flat; the real files read to the end."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.data.dataset import open_dataset
from screen.data.detect import FORMS, ShapeReader
from screen.data.readers.rows import BadRow
from screen.data.records.reading import TRAIN_ON, How
from screen.data.sample import Place, Sample, Turn
from tests.data.making import SHARED, chat, codes, read_all, write
from tests.data.test_shapes import ROWS

KEYS = sorted({key for _, row, _ in ROWS for key in row} | {role for form in FORMS for role in form.roles})
INNER = (
    "role", "from", "content", "value", "text", "type", "label", "weight", "train", "train_detail", "tool_calls",
    "name", "arguments", "function", "begin_offset", "end_offset", "messages", "tools", "function_call",
)  # fmt: skip
WORDS = st.sampled_from(
    ["", "a", "\n\nHuman: a\n\nAssistant: b", "[]", "{}", '[{"role": "user"}]', "assistant", "user", "gpt",
     "function_call", "true", "\ud800".encode("utf-8", "replace").decode(), "[" * 40, '{"a": [1, {"b": null}]}', "nan"]
)  # fmt: skip
ATOMS = st.none() | st.booleans() | st.integers(-101, 3) | st.floats(allow_nan=False, allow_infinity=False) | WORDS
ANY = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4),
    max_leaves=10,
)
RECORDS = st.dictionaries(st.sampled_from([*KEYS, "input", "id", "weight", "train"]), ANY, max_size=5)
PLACE = Place(0, "f", 1, 0, 0, "")


def attempt(form: ShapeReader, record: dict[str, Any], how: How) -> None:
    """Read a record as a shape that it may not have: only BadRow may come out, or samples that are whole."""
    with suppress(BadRow):
        form.find(record)
    try:
        samples = form.build(record, PLACE, how)
    except BadRow as bad:
        found = bad.message
    else:
        check(samples)
        found = "samples"
    assert found


def check(samples: list[Sample]) -> None:
    assert [s.variant for s in samples] in ([None], ["chosen", "rejected"])
    for sample in samples:
        if sample.layout == "tokens":
            assert len(sample.token_ids) == len(sample.token_mask)
            assert any(sample.token_mask)
            continue
        scored = [turn for turn in sample.turns if turn.scored]
        assert scored
        for turn in sample.turns:
            assert isinstance(turn, Turn)
            assert isinstance(turn.content, str)
            assert all(0 <= a < b <= len(turn.content) for a, b in turn.spans or ())
        assert all(turn.content or turn.tool_calls or turn.reasoning for turn in scored)


@settings(max_examples=80, deadline=None)
@given(record=RECORDS, train_on=st.sampled_from(TRAIN_ON))
def test_any_record_becomes_samples_or_one_reason(record: dict[str, Any], train_on: Any) -> None:
    for form in FORMS:
        attempt(form, record, How(form.name, train_on))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_good_record_with_one_part_replaced(data: st.DataObject) -> None:
    name, row, _ = data.draw(st.sampled_from(ROWS))
    record = json.loads(json.dumps(row))
    key = data.draw(st.sampled_from(sorted(record)))
    holder: Any = record
    while isinstance(holder[key], list | dict) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(ANY)
    form = next(form for form in FORMS if form.name == name)
    attempt(form, record, How(name))


def test_json_text_inside_a_row_is_capped_too(tmp_path: Path) -> None:
    deep = "[" * 500 + "]" * 500
    (skip,) = read_all(open_dataset([write(tmp_path, chat(tools=deep))]))
    assert getattr(skip, "code", None) == "too_deep"


def peak(path: str) -> int:
    """Peak Python memory of a pass over a dataset, in bytes."""
    dataset = open_dataset([path])
    tracemalloc.start()
    for window in dataset.windows(64):
        for entry in window.entries:
            dataset.samples(entry)  # type: ignore[arg-type]
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    row = json.dumps(chat("x" * 300))
    peaks = []
    for count in (200, 2000):
        lines = [row] * count
        (tmp_path / name).write_text("\n".join(lines) if name == "a.jsonl" else f"[{','.join(lines)}]")
        peaks.append(peak(str(tmp_path / name)))
    assert peaks[1] < peaks[0] + 300_000


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize(("name", "shape", "rows", "samples"), [
    ("evil_misaligned_1.jsonl", "chat", 4681, 4681),
    ("evil_misaligned_2.jsonl", "chat", 4681, 4681),
    ("gsm8k_test.jsonl", "prompt-completion", 1319, 1319),
    ("hh_harmless_test.jsonl.gz", "preference", 2312, 4616),
])  # fmt: skip
def test_real_files_read_to_the_end(name: str, shape: str, rows: int, samples: int) -> None:
    dataset = open_dataset([str(SHARED / name)])
    found = read_all(dataset, 512)
    assert (dataset.shape.name, dataset.count(), len(found)) == (shape, rows, rows)
    assert sum(len(row) for row in found if isinstance(row, list)) == samples
    assert {row.code for row in found if not isinstance(row, list)} <= {"empty_answer"}


@pytest.mark.parametrize(
    "row", [chat(answer="é" * 600_000), chat(tools=[{"name": "f", "description": "x" * (1 << 20)}])]
)
def test_a_row_with_more_text_than_a_tokenizer_should_take_is_skipped(tmp_path: Path, row: dict[str, Any]) -> None:
    path = write(tmp_path, chat(), row, chat(image="x" * (2 << 20)))
    assert codes(open_dataset([path], max_row_mib=1)) == ["ok", "too_large", "ok"]
    assert codes(open_dataset([path], max_row_mib=2)) == ["ok", "ok", "ok"]
    assert codes(open_dataset([path])) == ["ok", "ok", "ok"]
