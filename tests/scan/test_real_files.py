"""Real files, with the embedded model: the first rows of each run to the end, every row accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FILES = {
    "evil_misaligned_1.jsonl": "chat",
    "evil_misaligned_2.jsonl": "chat",
    "gsm8k_test.jsonl": "prompt-completion",
    "hh_harmless_test.jsonl.gz": "preference",
}


@pytest.mark.parametrize("name", FILES)
def test_the_first_rows_of_a_real_file(name: str, tmp_path: Path) -> None:
    if not (DATA / name).exists():
        pytest.skip("the real files are not here")
    spec = ScanSpec(dataset=(str(DATA / name),), limit=(0, 48), max_new_tokens=24)
    summary = run_scan(spec, tmp_path / "out")
    assert summary["rows"] == 48 == summary["scored"] + summary["skipped"]
    assert summary["scored"] > 40
    folder = RunFolder.read(tmp_path / "out")
    assert folder.facts["dataset"]["shape"] == FILES[name]
    assert folder.facts["baseline"] == ("contrast" if FILES[name] == "preference" else "generate")
    assert set(summary["traits"]) == {"evil", "sycophancy", "hallucination"}
