"""No flipped bit is read as content: a bit of every byte of every control file, and bits of every shard."""

from __future__ import annotations

import random

import pytest

from tests.store import flips

FILES = (
    "scan.json", "summary.json", "manifest.jsonl", "standards.safetensors", "index.safetensors", "lift.parquet",
    "lift.json", "labels.jsonl", "clean.reference", "answers", "judgements",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flips")
    flips.make(folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_of_any_byte_is_found_or_changes_nothing(folder, name):
    part = flips.parts(folder)[name]
    rng = random.Random(name)
    bits = [8 * at + rng.randrange(8) for at in range(part.path.stat().st_size)]
    assert flips.unseen(part, bits[:: max(1, len(bits) // 1500)] + bits[-100:]) == []


def test_every_control_file_of_a_run_is_among_them(folder):
    there = {p.name for p in (folder / "run").iterdir() if p.is_file()}
    assert there - set(FILES) == {"catalogue.duckdb"}
    assert set(flips.parts(folder)) == set(FILES)


def test_a_flipped_bit_of_a_shard_is_found(folder):
    rng = random.Random(0)
    for part in flips.shards(folder / "run"):
        bits = [rng.randrange(8 * part.path.stat().st_size) for _ in range(12)]
        assert flips.unseen(part, bits) == []


def test_the_catalogue_decides_nothing(folder):
    from screen.store.scan import Scan

    run = folder / "run"
    (run / "catalogue.duckdb").write_bytes(b"not a database")
    assert Scan.open(run).sql("select count(*) n from flagged")["n"].to_pylist()[0] >= 0
