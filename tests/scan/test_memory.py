"""Memory that runs out halves the token budget, which is on record: the run goes on, and can be made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from screen.model.forward.items import Item
from screen.model.forward.projector import Projector
from screen.progress import Silent, Tally
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

MakeSpec = Callable[..., ScanSpec]


class Shrinks(Silent):
    """A device that holds no batch of more than 300 tokens from row 16 on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: int = 1 << 30) -> None:
        self.room, self.stop_at = 1 << 30, stop_at
        self.notes: list[str] = []
        real = Projector._batch

        def small(projector: Projector, parts: list[Item], *rest: Any) -> Any:
            if sum(len(p.ids) for p in parts) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(projector, parts, *rest)

        monkeypatch.setattr(Projector, "_batch", small)

    def tick(self, tally: Tally) -> None:
        if tally.rows >= 16:
            self.room = 300
        if tally.rows >= self.stop_at:
            raise KeyboardInterrupt

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "warning":
            self.notes.append(facts["message"])


def budgets(out: Path) -> list[int | None]:
    return [json.loads(line)["token_budget"] for line in (out / "manifest.jsonl").read_text().splitlines()]


def test_the_run_goes_on_with_a_smaller_budget_on_record(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(baseline="last-prompt", shard_rows=8, token_budget=1000)
    run_scan(spec, tmp_path / "plain")
    listener = Shrinks(monkeypatch)
    run_scan(spec, tmp_path / "out", progress=listener, in_process=True)
    assert budgets(tmp_path / "out")[:2] == [None, None]
    fewer = set(budgets(tmp_path / "out")[2:])
    assert fewer <= {500, 250, 125}
    [said] = [n for n in listener.notes if "memory ran out at rows 16 to 23" in n]
    assert f"{fewer.pop():,} tokens" in said
    ours, plain = (pq.read_table(RunFolder.read(tmp_path / n).tables("scores")[3]) for n in ("out", "plain"))
    np.testing.assert_allclose(ours["evil"], plain["evil"], atol=1e-4)


def test_a_stopped_run_and_a_lost_file_come_out_the_same(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(baseline="last-prompt", shard_rows=8, token_budget=1000)
    with monkeypatch.context() as patch:
        run_scan(spec, tmp_path / "whole", progress=Shrinks(patch), in_process=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        run_scan(spec, tmp_path / "cut", progress=Shrinks(patch, stop_at=24), in_process=True)
    for first in RunFolder.read(tmp_path / "cut").tables("scores"):
        first.unlink()  # those of before and after memory ran out
    run_scan(spec, tmp_path / "cut")
    manifests = [(tmp_path / n / "manifest.jsonl").read_bytes() for n in ("whole", "cut")]
    assert manifests[0] == manifests[1]
    assert RunFolder.read(tmp_path / "cut").verify() == []
