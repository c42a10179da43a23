"""Times out of rows of a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.monitor.when import day, field_of, moment_of, seconds

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "told",
    [
        "2026-03-01T09:30:00Z", "2026-03-01T10:30:00+01:00", "2026-03-01 09:30", "2026-03-01 09:30:00 UTC",
        "Sun, 01 Mar 2026 09:30:00 GMT", AT, int(AT), AT * 1e3, int(AT * 1e6), int(AT) * 10**9, str(int(AT)),
    ],
)  # fmt: skip
def test_a_time_is_read_however_it_is_written(told: object) -> None:
    assert seconds(told) == pytest.approx(AT)
    assert (day(AT), moment_of(AT)) == ("2026-03-01", "2026-03-01T09:30:00Z")


@settings(max_examples=40)
@given(st.none() | st.booleans() | st.integers(-(10**30), 10**8) | st.text(max_size=8) | st.lists(st.integers()))
def test_what_is_no_time_is_none_and_nothing_raises(told: object) -> None:
    found = seconds(told)
    assert found is None or isinstance(told, str)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"created_at": "2026-03-01", "meta": {"timestamp": AT}}, "created_at"),
        ({"time": "soon", "meta": {"timestamp": AT}}, "meta.timestamp"),
        ({"text": "2026-03-01"}, None),
        (["timestamp"], None),
    ],
)
def test_the_field_that_holds_a_time_is_found(row: Any, field: str | None) -> None:
    assert field_of([row, row, {"time": None}]) == field


def test_a_field_that_few_rows_have_is_none() -> None:
    assert field_of([{"time": AT}, {}, {}]) is None
    assert field_of([]) is None
