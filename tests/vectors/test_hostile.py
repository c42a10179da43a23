"""Hostile files are refused within a second, and damaged ones are refused or read."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.errors import VectorError
from screen.vectors.files import import_vector
from screen.vectors.formats import container, sandbox
from screen.vectors.formats.arrays import Unreadable
from screen.vectors.interchange import outgoing
from screen.vectors.interchange.stated import Stated
from tests.vectors import hostile
from tests.vectors.made import put, vector


@pytest.mark.parametrize("name", hostile.CASES)
def test_a_hostile_file_is_refused_within_a_second(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, said, next_step = hostile.CASES[name]
    path = put(tmp_path / "kind.bin", make())
    took = []
    for _ in range(3):  # the machine may be busy; the file is refused in a second or it is not
        began = time.monotonic()
        with pytest.raises(VectorError) as caught:
            import_vector(path, Stated(convention="hs" if name != "gguf-nothing" else None))
        took.append(time.monotonic() - began)
        if took[-1] < 1:
            break
    assert str(caught.value) == f"{path}: {said}\n  next: {next_step}"
    assert not (tmp_path / "code-was-run").exists()
    assert min(took) < 1


def test_a_child_that_works_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_and_hang = (
        "import screen.vectors.formats.container as c; c.read = lambda data: [0 for _ in iter(int, 1)]; main()"
    )
    monkeypatch.setattr(sandbox, "_START", sandbox._START.replace("main()", import_and_hang))
    path = put(tmp_path / "kind.bin", b"x")
    with pytest.raises(VectorError, match=r"reading it takes more than 1 s of work|needs more memory"):
        import_vector(path, Stated())


SEEDS = {
    "pt": outgoing.export(vector(hostile.ONES), "persona-vectors").data,
    "gguf": outgoing.export(vector(hostile.ONES, 1), "llama.cpp").data,
    "npy": hostile.npy(hostile.ONES),
    "npz": hostile.npz(a=hostile.ONES, b=hostile.ONES),
    "safetensors": hostile.st('{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}', bytes(24)),
}


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(kind: str, data: st.DataObject) -> None:
    raw = bytearray(SEEDS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["byte", "cut", "word", "insert"]))
        if how == "byte":
            raw[at] = data.draw(st.integers(0, 255))
        elif how == "word":
            raw[at : at + 8] = struct.pack("<Q", data.draw(st.sampled_from([0, 1, 255, 2**31, 2**32 - 1, 2**63])))
        elif how == "insert":
            raw[at:at] = data.draw(st.binary(max_size=9))
        elif at:
            del raw[at:]
    with contextlib.suppress(Unreadable):
        found = container.read(bytes(raw))
        for array in found.arrays.values():
            sandbox.to_numpy(array, bytes(raw), found.inflated)
