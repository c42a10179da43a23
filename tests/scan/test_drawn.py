"""Control directions are drawn from rows that the first shard scores: these are not run twice, and nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.model.forward import kept, projector
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from tests.scan.test_devices import files


def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the tokens of each batch that is run."""
    seen: list[int] = []
    run = projector.run_together

    def counted(model: Any, batching: Any, batch: Any, *more: Any) -> None:
        seen.append(batch.inputs["input_ids"].numel())
        run(model, batching, batch, *more)

    monkeypatch.setattr(projector, "run_together", counted)
    return seen


@pytest.mark.parametrize("baseline", ["last-prompt", "none"])
def test_rows_are_run_once_with_the_bytes_of_twice(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: str
) -> None:
    spec = make_spec(baseline=baseline, shard_rows=64)
    seen = batches(monkeypatch)
    run_scan(spec, tmp_path / "once", in_process=True)
    once = sum(seen)
    monkeypatch.setattr(kept, "MOST", 0)
    run_scan(spec, tmp_path / "twice", in_process=True)
    assert sum(seen) - once == 2 * once
    assert files(tmp_path / "once") == files(tmp_path / "twice")


def test_a_run_in_another_process_keeps_them_too(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    spec = make_spec(baseline="last-prompt", shard_rows=64)
    run_scan(spec, tmp_path / "here", in_process=True)
    run_scan(spec, tmp_path / "there")
    assert files(tmp_path / "here") == files(tmp_path / "there")
