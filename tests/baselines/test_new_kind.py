"""The worked example of docs/ARCHITECTURE.md: a kind of baseline is one file and one line in the table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from screen.baselines import table
from screen.baselines.kind import Baseline
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

PAGE = (Path(__file__).parents[2] / "docs" / "ARCHITECTURE.md").read_text()
MakeSpec = Callable[..., ScanSpec]


@pytest.fixture
def half_prompt(monkeypatch: pytest.MonkeyPatch) -> Baseline:
    """The kind that the page shows, in the table."""
    (code,) = re.findall(r"```python\n(.*?class HalfPrompt.*?)```", PAGE, re.DOTALL)
    names: dict[str, type[Baseline]] = {}
    exec(code, names)
    kind = names["HalfPrompt"]()
    monkeypatch.setitem(table.KINDS, kind.name, kind)
    return kind


def test_a_new_kind_scores_a_dataset(half_prompt: Baseline, make_spec: MakeSpec, tmp_path: Path) -> None:
    summary = run_scan(make_spec(baseline=half_prompt.name), tmp_path / "out")
    assert (summary["baseline"]["kind"], summary["baseline"]["without"]) == ("half-prompt", 0)
    (file, *_) = RunFolder.read(tmp_path / "out").tables("scores")
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        last = row["evil_projection"] - row["evil_last_prompt"]
        assert row["evil"] == pytest.approx(row["evil_projection"] - last / 2, abs=1e-4)
        assert row["baseline"] == "half-prompt"


def test_a_new_kind_may_be_asked_for(half_prompt: Baseline) -> None:
    from screen.library import settings

    assert half_prompt.name in table.offered()
    assert settings.baseline("half-prompt") == {"baseline": "half-prompt", "answers": None}


def test_a_new_kind_keeps_runs_apart(half_prompt: Baseline, make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(baseline="last-prompt"), tmp_path / "out")
    with pytest.raises(Exception, match="half-prompt"):
        run_scan(make_spec(baseline="half-prompt"), tmp_path / "out")
