"""Parquet and Arrow: an odd value beside the conversation costs nothing; one inside it costs its row."""

from __future__ import annotations

import ctypes
import decimal
import functools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.data.copying import copy_rows
from screen.data.dataset import open_dataset
from screen.data.readers import cells, columnar
from screen.data.sample import Skip
from screen.errors import InputError
from tests.data.making import chat, codes, read_all

MESSAGES = pa.array([chat()["messages"]] * 2)
BAD_TEXT = pa.array([b"\xff", b"a"]).view(pa.string())
WIDE = decimal.Decimal(10) ** 60


TOO_DEEP = ("deep", "parquet")  # pyarrow itself does not open such a schema


def raw(kind: Any, *values: bytes) -> Any:
    """Two values of a fixed width as they would lie in memory, whether they make sense or not."""
    return pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(b"".join(values))])


def pairs(values: Any, names: list[str]) -> Any:
    return pa.StructArray.from_arrays([values, values], names)


SIDES: dict[str, Any] = {
    "nanoseconds": pa.array([1, 2], pa.timestamp("ns")), "far day": pa.array([10**9, 1], pa.date32()),
    "half a day": raw(pa.date64(), b"\1" * 8, b"\0" * 8), "far second": pa.array([2**62, 1], pa.timestamp("s")),
    "no such zone": pa.array([1, None], pa.timestamp("s", "Mars/Olympus")),
    "span": pa.array([2**62, 1], pa.duration("s")),
    "short span": pa.array([1, 1], pa.duration("ns")), "time": pa.array([1, 2], pa.time64("ns")),
    "late time": raw(pa.time32("s"), b"\xff\xff\xff\x7f", b"\0" * 4),
    "months": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    "decimal": raw(pa.decimal128(5, 2), b"\x7f" * 16, b"\0" * 16), "wide": pa.array([WIDE, None], pa.decimal256(70, 1)),
    "bytes": pa.array([b"\xff", b"a"]), "text": BAD_TEXT, "texts": pa.ListArray.from_arrays([0, 1, 2], BAD_TEXT),
    "large": pa.array([["a"], []], pa.large_list(pa.large_string())), "view": pa.array(["a", "b"], pa.string_view()),
    "list view": pa.array([[1], [2]], pa.list_view(pa.int8())), "runs": pa.RunEndEncodedArray.from_arrays([2], ["a"]),
    "fixed": pa.array([[1], [2]], pa.list_(pa.int8(), 1)),
    "words": pa.DictionaryArray.from_arrays(pa.array([0, 0]), BAD_TEXT),
    "nested words": pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([{"a": [1]}])),
    "no word": pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int8()), pa.array(["a"]), safe=False),
    "union": pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [MESSAGES, BAD_TEXT]),
    "sparse": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [BAD_TEXT, MESSAGES]),
    "twice": pairs(MESSAGES, ["a", "a"]), "map": pa.array([[([1], 2)], None], pa.map_(pa.list_(pa.int8()), pa.int8())),
    "half": pa.array([1.0, float("nan")], pa.float16()),
    "nothing": pa.nulls(2), "id": pa.array([b"1" * 16] * 2, pa.uuid()),
    "json": pa.array(["{", "1"], pa.json_()),
    "flag": pa.array([1, 0], pa.bool8()), "big": pa.array([2**64 - 1, 1], pa.uint64()),
    "inside": pairs(pa.array([10**18, 1], pa.timestamp("s")), ["a", "b"]),
    "deep": functools.reduce(lambda inner, _: pa.ListArray.from_arrays([0, 1, 2], inner), range(200), pa.array([1, 2])),
}  # fmt: skip


def stored(path: Path, table: Any) -> str | None:
    """The table's file; None where the format has no such type."""
    try:
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return str(path)


@pytest.mark.parametrize("kind", ["a.arrow", "a.parquet"])
def test_side_columns_of_all_types_cost_nothing(tmp_path: Path, kind: str) -> None:
    def storable(name: str) -> bool:
        return stored(tmp_path / kind, pa.table({name: SIDES[name]})) is not None and (name, kind[2:]) != TOO_DEEP

    sides = {name: SIDES[name] for name in SIDES if storable(name)}
    path = stored(tmp_path / kind, pa.table({"messages": MESSAGES, **sides}))
    assert len(sides) > 20
    assert codes(open_dataset([str(path)])) == ["ok", "ok"]


@pytest.mark.parametrize("name", [name for name in SIDES if name != "no word"])
def test_a_side_column_leaves_the_others_as_they_are(name: str) -> None:
    for more in ({}, {"odd": SIDES["nanoseconds"], "odder": BAD_TEXT}):
        batch = pa.record_batch({"messages": MESSAGES, "side": SIDES[name], **more})
        found = list(cells.records(batch, {}))
        assert [value["messages"] for value, _ in found] == MESSAGES.to_pylist()
        assert all("messages" not in odd for _, odd in found)
        assert [columnar.canonical(value["messages"]) for value, _ in found]


LEAVES = st.sampled_from([kind for kind in (array.type for array in SIDES.values()) if pa.types.is_primitive(kind)]) | (
    st.sampled_from([pa.string(), pa.binary(), pa.large_binary(), pa.binary(3), pa.decimal256(40, 3), pa.string_view()])
)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(pa.list_), inner.map(pa.large_list), inner.map(pa.list_view),
        inner.map(lambda kind: pa.list_(kind, 2)), inner.map(lambda kind: pa.map_(pa.string(), kind)),
        inner.map(lambda kind: pa.struct({"a": kind, "b": pa.int8()})),
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(kind=TYPES)
def test_empty_columns_of_any_nesting_cost_nothing(kind: Any) -> None:
    batch = pa.record_batch({"messages": MESSAGES, "side": pa.nulls(2, kind), "odd": SIDES["nanoseconds"]})
    assert [value["messages"] for value, _ in cells.records(batch, {})] == MESSAGES.to_pylist()


def test_what_the_conversation_needs_decides(tmp_path: Path) -> None:
    content = pa.StructArray.from_arrays([pa.array(["assistant"] * 2), BAD_TEXT], ["role", "content"])
    for name, column, code in (
        ("text", BAD_TEXT, "bad_utf8"), ("text", pa.array([b"\xff", b"a"]), "bad_utf8"),
        ("messages", pa.ListArray.from_arrays([0, 1, 2], content), "bad_utf8"),
        ("messages", pa.ListArray.from_arrays([0, 1, 2], pairs(MESSAGES, ["role", "role"])), "duplicate_key"),
    ):  # fmt: skip
        good = pa.array(["a", "b"]) if name == "text" else MESSAGES
        first = stored(tmp_path / "a.arrow", pa.table({name: good}))
        second = stored(tmp_path / "b.arrow", pa.table({name: column}))
        found = read_all(open_dataset([str(first), str(second)]))
        assert [row.code for row in found if isinstance(row, Skip)][:1] == [code]


def test_a_system_prompt_that_cannot_be_read_costs_its_row(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.parquet", pa.table({"messages": MESSAGES, "system": BAD_TEXT}))
    assert codes(open_dataset([str(path)])) == ["bad_utf8", "ok"]


def test_text_that_stands_for_a_value_tells_values_apart(tmp_path: Path) -> None:
    table = pa.table({"messages": MESSAGES, "side": pa.array([b"\xff", b"\xfe"]).view(pa.string())})
    entries = next(open_dataset([str(stored(tmp_path / "a.arrow", table))]).windows(9)).entries
    assert entries[0].place.sha256 != entries[1].place.sha256


class Schema(ctypes.Structure):
    """The beginning of an ArrowSchema of the C data interface."""

    _fields_ = (("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_char_p),
                ("flags", ctypes.c_int64), ("n_children", ctypes.c_int64), ("children", ctypes.c_void_p),
                ("dictionary", ctypes.c_void_p), ("release", ctypes.c_void_p),
                ("private", ctypes.c_void_p))  # fmt: skip


@pytest.mark.parametrize(("form", "width"), [(b"tiM", pa.int32()), (b"tiD", pa.int64())])
def test_a_type_without_a_python_class_costs_nothing(tmp_path: Path, form: bytes, width: Any) -> None:
    batch = pa.record_batch({"messages": MESSAGES, "side": pa.array([1, 2], width)})
    schema, array = Schema(), (ctypes.c_int64 * 10)()
    batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
    children = ctypes.cast(schema.children, ctypes.POINTER(ctypes.POINTER(Schema)))
    children[1].contents.format = form
    odd = pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), odd.schema) as writer:
        writer.write_batch(odd)
    dataset = open_dataset([str(tmp_path / "a.arrow")])
    assert codes(dataset) == ["ok", "ok"]
    assert copy_rows(dataset, lambda row: row == 1, tmp_path / "b.arrow").kept == 1


def test_a_damaged_column_is_left_out_or_refused_by_name(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.arrow", pa.table({"messages": MESSAGES, "side": SIDES["no word"]}))
    dataset = open_dataset([str(path)])
    (first, _) = read_all(dataset)
    assert isinstance(first, list)
    assert "side" in first[0].unused
    with pytest.raises(InputError, match="the column 'side' is damaged: Dictionary indices invalid"):
        copy_rows(dataset, lambda row: True, tmp_path / "b.arrow")
    path = stored(tmp_path / "a.arrow", pa.table({"text": SIDES["no word"]}))
    assert codes(open_dataset([str(path)])) == ["bad_value", "bad_value"]
