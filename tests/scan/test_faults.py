"""One bad row, one skip: whatever a row does to the process that runs the model, on one device too."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer

from screen.errors import ModelError
from screen.model.forward.projector import Projector
from screen.model.generate import Generator
from screen.scan.run import run_scan
from screen.scan.workers import guard
from screen.scan.workers.guarded import endure
from screen.spec import ScanSpec
from screen.store.folder import RunFolder
from tests.scan.test_devices import files

MakeSpec = Callable[..., ScanSpec]
POISON = "\u2620"  # whose first byte stands in no other row
BAD = 21


def loop() -> None:
    while True:
        pass


def bomb() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    torch.ones(1 << 40)


def raises() -> None:
    raise RuntimeError("no")


FAULTS = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(0),
    "memory killer": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "bomb": bomb,
    "loop": loop,
}


@pytest.fixture
def token(chats: Path, tiny_model: Path) -> int:
    """Forty rows of which one holds POISON in its prompt; the first token of POISON."""
    rows = [(f"What is {i} times {i % 7}?{POISON * (i == BAD)}", f"It is {i * (i % 7)}. " * 3) for i in range(40)]
    chats.write_text("".join(json.dumps({"prompt": p, "response": r}) + "\n" for p, r in rows))
    return Tokenizer.from_file(str(tiny_model / "tokenizer.json")).encode(POISON).ids[0]


def poison(patch: pytest.MonkeyPatch, kind: type, token: int, fault: Callable[[], Any]) -> None:
    """Make the model fall into `fault` where it sees the token. A forked process inherits this."""
    real = kind._batch  # type: ignore[attr-defined]

    def batch(self: Any, parts: Any, *rest: Any) -> Any:
        if any(token in getattr(p, "ids", p) for p in parts):
            fault()
        return real(self, parts, *rest)

    patch.setattr(kind, "_batch", batch)


def tables(out: Path) -> dict[str, bytes]:
    """All that was scored."""
    return {n: b for n, b in files(out).items() if n.startswith(("scores", "turns", "controls"))}


def skipped(out: Path) -> list[tuple[int, str, str]]:
    found = [pq.read_table(f).to_pylist() for f in RunFolder.read(out).tables("skipped")]
    return [(s["row"], s["code"], s["message"]) for some in found for s in some]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("where", [Projector, Generator])
def test_a_row_costs_itself(
    name: str,
    where: type,
    make_spec: MakeSpec,
    token: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bytes are those of a run in which the model raises an error on that row."""
    baseline = "last-prompt" if where is Projector else "generate"
    spec = make_spec(baseline=baseline, shard_rows=20)
    monkeypatch.setattr(guard, "FLOOR", 4.0)
    monkeypatch.setattr(guard, "FIRST", 4.0)
    monkeypatch.setattr(guard, "TIMES", 5)
    for out, fault in (("plain", raises), ("out", FAULTS[name])):
        with monkeypatch.context() as patch:
            poison(patch, where, token, fault)
            summary = run_scan(spec, tmp_path / out, in_process=out == "plain")
    [(row, code, message)] = skipped(tmp_path / "out")
    assert (row, code, summary["scored"]) == (BAD, "worker_failed", 39)
    said = {"segfault": "SIGSEGV", "exit": "exit code 0", "memory killer": "SIGKILL", "loop": "did not come back"}
    assert said.get(name, "Error") in message
    assert tables(tmp_path / "out") == tables(tmp_path / "plain")
    assert multiprocessing.active_children() == []


def test_a_process_of_its_own_changes_no_byte(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="generate")
    run_scan(spec, tmp_path / "out")
    run_scan(spec, tmp_path / "here", in_process=True)
    assert files(tmp_path / "out") == files(tmp_path / "here")
    assert RunFolder.read(tmp_path / "out").facts["worker"]["process"] == "one of its own, forked"


def test_a_fork_that_cannot_work_is_tried_once_in_a_process(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that torch had before, as in a notebook that has run a model itself, stay: the wait is twenty seconds."""
    forks: list[object] = []
    monkeypatch.setattr(guard, "_alive", lambda child: bool(forks.append(child)))
    monkeypatch.setattr(guard, "_STUCK", set())
    for name in ("out", "again"):
        run_scan(make_spec(baseline="last-prompt", limit=(0, 4)), tmp_path / name)
    assert len(forks) == 1
    assert RunFolder.read(tmp_path / "again").facts["worker"]["process"] == "one of its own, started anew"
    assert files(tmp_path / "out") == files(tmp_path / "again")


def test_a_death_that_is_nobodys_fault_costs_nothing(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(baseline="last-prompt")
    run_scan(spec, tmp_path / "plain")
    once = tmp_path / "once"
    real = Projector.measure

    def measure(self: Projector, *given: Any, **named: Any) -> Any:
        if not once.exists():
            once.touch()
            os._exit(1)
        return real(self, *given, **named)

    monkeypatch.setattr(Projector, "measure", measure)
    run_scan(spec, tmp_path / "out")
    assert once.exists()
    assert files(tmp_path / "out") == files(tmp_path / "plain")


def test_a_model_that_dies_of_everything_ends_the_run(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Projector, "measure", lambda *_given, **_named: os._exit(9))
    with pytest.raises(ModelError, match=r"dies of any sequence .its process ended with exit code 9"):
        run_scan(make_spec(baseline="last-prompt"), tmp_path / "out")
    monkeypatch.setattr("screen.model.host.load_model", lambda *_a, **_k: os._exit(7))
    with pytest.raises(ModelError, match="loads the model died 2 times: its process ended with exit code 7"):
        run_scan(make_spec(baseline="last-prompt"), tmp_path / "other")
    assert multiprocessing.active_children() == []


def test_several_killers_are_told_apart_and_groups_are_no_killers() -> None:
    def run(things: Any) -> Any:
        bad = set(things) & {3, 7}
        return guard.Death(tuple(things), "boom") if bad else len(things)

    left, made, killers = endure(range(9), run, run, lambda: True)
    assert (left, made, killers) == ([0, 1, 2, 4, 5, 6, 8], 7, {3: "boom", 7: "boom"})

    def many(things: Any) -> Any:
        return guard.Death(tuple(things), "full") if len(things) > 2 else 1

    with pytest.raises(ModelError, match="no row alone kills it: full"):
        endure(range(9), many, many, lambda: True)


def test_a_hang_among_many_is_waited_for_twice() -> None:
    """Once in its batch and once alone; two in one batch three times."""
    for bad, waits in (({11}, 2), ({3, 60}, 3)):
        waited: list[int] = []

        def run(things: Any, bad: set[int] = bad, waited: list[int] = waited) -> Any:
            if set(things) & bad:
                waited.append(len(things))
                return guard.Death(tuple(things), "slow", hung=True)
            return len(things)

        left, made, killers = endure(range(64), run, run, lambda: True)
        assert (made, set(killers), len(waited)) == (64 - len(bad), bad, waits)
        assert set(left) == set(range(64)) - bad


def test_a_model_that_hangs_on_everything_is_not_waited_for_row_by_row() -> None:
    waited: list[int] = []

    def run(things: Any) -> Any:
        waited.append(len(things))
        return guard.Death(tuple(things), "slow", hung=True)

    with pytest.raises(ModelError, match=r"dies of any sequence \(slow"):
        endure(range(64), run, run, lambda: False)
    assert waited == [64, 1]
