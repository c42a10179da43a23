"""How two identities differ, in words; and the digest that stands for one."""

from __future__ import annotations

from typing import Any

import pytest

from screen.store import identity


@pytest.mark.parametrize(("old", "new", "lines"), [
    ({"a": 1}, {"a": 1}, []),
    ({"a": 1}, {"a": 1.0}, ["a: 1 -> 1.0"]),
    ({"a": 1}, {"a": True}, ["a: 1 -> true"]),
    ({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, ["a.b[1]: 2 -> (absent)"]),
    ({"a": [1]}, {"a": [2, {"c": 3}]}, ["a[0]: 1 -> 2", 'a[1]: (absent) -> {"c": 3}']),
    ({"a": "x"}, {"a": ""}, ['a: x -> ""']),
    ({"a": "x\n"}, {"a": "é"}, ['a: "x\\n" -> "\\u00e9"']),
    ({"b": [], "a": {}}, {"b": {}, "a": []}, ["a: {} -> []", "b: [] -> {}"]),
    ({"a": "x" * 80}, {"a": "x" * 81}, ["a: " + "x" * 80 + " -> " + "x" * 77 + "..."]),
])  # fmt: skip
def test_two_identities_differ_field_by_field(old: Any, new: Any, lines: list[str]) -> None:
    assert list(identity.differences(old, new)) == lines


def test_a_digest_follows_the_content_and_not_its_order() -> None:
    digest = identity.digest({"a": 1, "b": [2]})
    assert digest == identity.digest({"b": [2], "a": 1})
    assert digest != identity.digest({"a": 1, "b": [3]})
    assert len(digest) == 16
    assert int(digest, 16)


def test_an_identity_is_as_it_reads_back() -> None:
    assert identity.normal({"a": (1, {2: 3})}) == {"a": [1, {"2": 3}]}
