"""The bench of scoring on small shapes: that it runs, agrees, and keeps silent about ratios where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import scoring

ONE = ["--device", "cuda", "--tiny", "--shape", "Qwen2.5-7B", "--tokens", "64"]


def test_a_small_run_agrees_with_the_plain_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scoring.main([*ONE, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["measurement"] is False
    assert [(c["length"], c["vectors"]) for c in found["cases"]] == [(n, v) for n in (16, 32, 64) for v in (1, 64)]
    assert all(c["difference"] < 1e-5 for c in found["cases"])
    assert all(set(c["lost"]) == {"host", "matmul", "attention", "elementwise", "projection"} for c in found["cases"])
    assert capsys.readouterr().out.startswith("small shapes on the CPU: not a measurement\n")


def test_no_ratio_where_scores_disagree(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = scoring.plain

    def wrong(*arguments: Any) -> Any:
        return right(*arguments) * np.float32(1.01)

    monkeypatch.setattr(scoring, "plain", wrong)
    assert scoring.main(ONE) == 1
    told = capsys.readouterr().out.splitlines()[1:]
    assert len(told) == 6
    assert all(line.endswith("no ratio") and "times" not in line for line in told)


def test_the_needed_work_is_that_of_the_published_shapes() -> None:
    """PERFORMANCE: 9.40, 7.05 and 0.49 GFLOP a token at 512 tokens, attention being 0.8 % of it."""
    for name, wanted in {"Qwen2.5-7B": 9.40, "Llama-3.1-8B": 7.05, "Qwen2.5-0.5B": 0.49}.items():
        kind, numbers, layer = scoring.SHAPES[name]
        rows = [np.zeros(512, dtype=np.int32)]
        assert scoring.flop(kind(**numbers), layer, rows) / 1e9 == pytest.approx(wanted, rel=0.02)
