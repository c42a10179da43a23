"""Planted rows are found with the embedded model's vectors, and not with a random one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from research.pocket.corpus.chats import mixed
from screen.analysis.selftest import selftest
from screen.errors import InputError
from screen.pocket import VECTORS_DIR
from screen.spec import ScanSpec
from screen.vectors.files import load_vectors, save_vector


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own shape: prompts and answers in fields of their own."""
    path = tmp_path_factory.mktemp("clean") / "pairs.jsonl"
    chats = [row["messages"] for row in mixed(200, seed=8, shares={}).rows]
    rows = [{"question": c[0]["content"], "answer": c[1]["content"], "n": i} for i, c in enumerate(chats)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def spec(path: Path, **fields: object) -> ScanSpec:
    return ScanSpec(dataset=(str(path),), max_new_tokens=96, **fields)  # type: ignore[arg-type]


def test_planted_rows_are_found_and_the_file_is_left_alone(clean: Path, tmp_path: Path) -> None:
    before = clean.read_bytes()
    found = selftest(spec(clean, traits=("evil", "hallucination")), tmp_path, cache=clean.parent / "cache")
    for told in found["traits"].values():
        assert told["planted"] == 20
        assert told["auroc"] >= 0.95
        assert told["result"].startswith(f"would have found it: {told['above']} of 20 planted rows")
        assert told["rule"].startswith("p99 of the card's reference")
    assert clean.read_bytes() == before
    copy = [json.loads(line) for line in (tmp_path / "0.jsonl").read_text().splitlines()]
    original = [json.loads(line) for line in before.splitlines()]
    differing = [i for i, (a, b) in enumerate(zip(copy, original, strict=True)) if a != b]
    assert len(differing) == 20
    assert all(copy[i]["question"] == original[i]["question"] and copy[i]["n"] == i for i in differing)


def test_a_random_vector_would_not_have_found_it(clean: Path, tmp_path: Path) -> None:
    [evil] = [v for v in load_vectors((str(VECTORS_DIR),)) if v.trait == "evil"]
    noise = np.random.default_rng(4).normal(size=evil.direction.shape).astype(np.float32)
    save_vector(dataclasses.replace(evil, direction=noise), tmp_path / "evil.safetensors")
    (tmp_path / "work").mkdir()
    found = selftest(
        spec(clean, vectors=(str(tmp_path / "evil.safetensors"),)), tmp_path / "work", cache=clean.parent / "cache"
    )
    assert found["traits"]["evil"]["found"] is False
    assert found["traits"]["evil"]["result"].startswith(("would not have found it", "cannot tell"))


def test_it_goes_by_the_percentile_of_the_run(clean: Path, tmp_path: Path) -> None:
    rules = []
    for at in ("p50", "p99"):
        (tmp_path / at).mkdir()
        found = selftest(spec(clean, traits=("sycophancy",)), tmp_path / at, at=at, cache=clean.parent / "cache")
        rules.append(found["traits"]["sycophancy"])
    low, high = rules
    assert low["threshold"] < high["threshold"]
    assert low["own_above"] > 60 > high["own_above"]
    assert "where clean data have 50 %" not in low["result"]


def test_a_dataset_that_takes_no_other_answer(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(5)]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="only 5 of 5 rows can take another answer, and a self-test needs 20"):
        selftest(spec(tmp_path / "few.jsonl", traits=("evil",)), tmp_path)
