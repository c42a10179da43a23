"""What a scan would cost: counts are a run's own, the clock is kept, nothing is kept on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen.analysis.estimate import answering, census, scoring
from screen.analysis.estimate.census import Census, LookedRow, take_census
from screen.analysis.estimate.estimate import LIMIT, estimate_scan
from screen.analysis.estimate.record import ScanEstimate
from screen.data.from_spec import dataset_of
from screen.model.generate import Response, planned
from screen.progress import Silent
from screen.rendering.renderer import Renderer
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.scan.run import run_scan
from screen.scoring.shard import ShardInput
from screen.spec import ScanSpec

MakeSpec = Callable[..., ScanSpec]


def estimated(spec: ScanSpec, folder: Path) -> ScanEstimate:
    return estimate_scan(spec, folder / "run", folder / "cache", in_process=True)


@pytest.fixture
def renderer(tiny_model: Path) -> Renderer:
    tokenizer = load_tokenizer(str(tiny_model))
    return Renderer(tokenizer, load_template(tokenizer, None), context=512)


def files_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_counted_is_what_a_run_counts(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="last-prompt")
    before = files_under(tmp_path)
    found = estimated(spec, tmp_path)
    assert files_under(tmp_path) == before  # nothing is kept
    summary = run_scan(spec, tmp_path / "run", in_process=True)
    assert (found.rows, found.tokens.total) == (summary["rows"], summary["tokens"])
    assert (found.tokens.low, found.tokens.high, found.looked_at) == (found.tokens.total, found.tokens.total, 40)
    stored = sum(f.stat().st_size for f in (tmp_path / "run").rglob("*.parquet"))
    assert found.disk.run == pytest.approx(stored, rel=0.15)
    assert found.measured.seconds < LIMIT
    assert found.seconds.total == pytest.approx(found.seconds.loading + found.seconds.scoring)


def test_answers_that_are_kept_are_not_counted_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="generate")
    fresh = estimated(spec, tmp_path)
    assert (fresh.baseline.answers, fresh.baseline.kept) == (fresh.prompts.distinct, 0)
    assert fresh.measured.batches > 0
    assert 0 < (fresh.baseline.answer_tokens or 0) <= spec.max_new_tokens
    run_scan(spec, tmp_path / "run", cache=tmp_path / "cache", in_process=True)
    before = files_under(tmp_path)
    again = estimated(spec, tmp_path)
    assert (again.baseline.answers, again.baseline.kept, again.seconds.baselines) == (0, fresh.prompts.distinct, 0.0)
    assert files_under(tmp_path) == before


def test_a_sample_is_seeded_and_its_interval_covers_the_whole(
    make_spec: MakeSpec, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, ever = dataset_of(make_spec()), time.monotonic() + 60
    whole = take_census(dataset, renderer, 0, ever)
    monkeypatch.setattr(census, "SAMPLE", 20)
    parts = [take_census(dataset, renderer, seed, ever) for seed in range(20)]
    assert [r.row for r in parts[3].looked] == [r.row for r in take_census(dataset, renderer, 3, ever).looked]
    assert len({tuple(r.row for r in p.looked) for p in parts}) == 20
    assert sum(low <= whole.tokens()[0] <= high for _, low, high in (p.tokens() for p in parts)) >= 17
    assert all(len(p.looked) == 20 and not p.whole for p in parts)


def test_what_the_clock_cuts_off_is_random(make_spec: MakeSpec, renderer: Renderer) -> None:
    cut = take_census(dataset_of(make_spec()), renderer, 0, time.monotonic())
    assert len(cut.looked) == 16  # one chunk
    assert max(row.row for row in cut.looked) > 20
    assert (cut.rows, cut.within) == (40, 40)


def test_text_over_the_cap_leaves_a_random_part(
    make_spec: MakeSpec, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "_HELD", 600)
    kept = take_census(dataset_of(make_spec()), renderer, 0, time.monotonic() + 60)
    assert 3 < len(kept.looked) < 40
    assert not kept.whole


def test_rows_of_the_limit_alone_and_skips_are_counted(make_spec: MakeSpec, renderer: Renderer, chats: Path) -> None:
    lines = chats.read_text().splitlines()
    chats.write_text("\n".join([*lines[:5], '{"id": ', *lines[6:]]) + "\n")
    looked = take_census(dataset_of(make_spec(limit=(4, 14))), renderer, 0, time.monotonic() + 60)
    assert sorted(row.row for row in looked.looked) == list(range(4, 14))
    assert looked.skipped() == {"bad_json": 1}
    assert len(looked.scored) == 9


def numbered(prompts: list[int], rows: int) -> Census:
    def row(i: int, prompt: int) -> LookedRow:
        turn = SimpleNamespace(prompt_end=1)
        sequence = SimpleNamespace(ids=np.array([prompt, 0], dtype=np.int32), turns=(turn,))
        sample: Any = (SimpleNamespace(row=i), SimpleNamespace(sequences=(sequence,)))
        return LookedRow(i, ShardInput([sample]), 2)

    return Census(rows, rows, tuple(row(i, p) for i, p in enumerate(prompts)), 0.0)


def test_distinct_prompts_of_a_sample_are_estimated() -> None:
    rng = np.random.default_rng(0)
    for true in (50, 500, 5000):
        drawn = rng.integers(0, true, 2000).tolist()
        assert numbered(drawn, 100_000).distinct_prompts() == pytest.approx(true, rel=0.1)
    assert numbered(list(range(2000)), 100_000).distinct_prompts() == 100_000  # none came twice
    assert numbered([1, 1, 2], 3).distinct_prompts() == 2


@given(st.lists(st.integers(0, 300), max_size=80), st.integers(1, 16))
def test_batches_hold_each_prompt_with_room_once(lengths: list[int], rows: int) -> None:
    batches = list(planned(lengths, rows, 256))
    assert sorted(i for batch in batches for i in batch) == [i for i, n in enumerate(lengths) if 0 < n < 256]
    assert all(len(batch) <= rows and len({-(-lengths[i] // 32) for i in batch}) == 1 for batch in batches)


class SlowHost:
    """Answers take what they are told to."""

    def __init__(self, a_token: float) -> None:
        self.a_token, self.answered = a_token, 0

    def generator(self, eos: object, sampling: Any) -> SlowHost:
        self.most = sampling.max_new_tokens
        return self

    def answer(self, prompts: list[object]) -> list[Response]:
        time.sleep(self.a_token * self.most)
        self.answered += 1
        return [Response(tuple(range(self.most)), True) for _ in prompts]


@pytest.mark.parametrize(("a_token", "whole"), [(0.001, True), (0.05, False)])
def test_no_batch_is_begun_that_is_not_expected_to_end(a_token: float, whole: bool) -> None:
    sampling = answering.replace(_sampling(), max_new_tokens=100)
    host = SlowHost(a_token)
    instruments: Any = SimpleNamespace(
        host=host, sampling=sampling, tokenizer=SimpleNamespace(hf=SimpleNamespace(eos_token_id=0)),
        model=SimpleNamespace(context=512, folder=Path(), config=SimpleNamespace(get_text_config=lambda: None)),
    )  # fmt: skip
    prompts = [np.zeros(20, dtype=np.int32)] * 64
    began = time.monotonic()
    pace = answering.measure_answering([prompts], instruments, 0.0, began + 0.8, True)
    assert pace is not None
    assert time.monotonic() - began < 1.0
    assert (pace.batches > 0) == whole
    assert pace.seconds == pytest.approx(100 * a_token, rel=0.3)
    assert answering.measure_answering([prompts], instruments, 1.0, time.monotonic() + 2, True) is None
    assert answering.measure_answering([prompts], instruments, 0.0, time.monotonic() + 2, False) is None


def _sampling() -> Any:
    from screen.model.generate import Sampling

    return Sampling(rows=16)


def test_a_model_too_slow_for_a_row_is_guessed_at_and_said(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_START", 1)  # no row has so few tokens
    monkeypatch.setattr(scoring, "_GROWTH", 1)
    monkeypatch.setattr(scoring, "_of_tokens", lambda rows, most: [])
    monkeypatch.setattr("screen.analysis.estimate.estimate._SCORING", 0.0)
    found = estimated(make_spec(baseline="last-prompt"), tmp_path)
    assert (found.measured.rows, found.disk.run) == (0, None)
    assert "a rough guess" in found.notes[0]


@pytest.mark.parametrize("baseline", ["auto", "calibrated", "none"])
def test_every_kind_has_an_estimate(baseline: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    found = estimated(make_spec(baseline=baseline, calibrate_on=30), tmp_path)
    assert found.baseline.kind == ("generate" if baseline == "auto" else baseline)
    assert found.seconds.total is not None
    assert found.baseline.answers == {"auto": 40, "calibrated": 30, "none": 0}[baseline]
    assert json.loads(json.dumps(found.to_json())) == found.to_json() | {
        key: list(value) for key, value in found.to_json().items() if isinstance(value, tuple)
    }


def test_the_line_of_a_run_is_what_the_estimate_says(make_spec: MakeSpec, tmp_path: Path) -> None:
    class Notes(Silent):
        def note(self, kind: str, facts: Any) -> None:
            told[kind] = facts

    told: dict[str, Any] = {}
    spec = make_spec(baseline="last-prompt")
    run_scan(spec, tmp_path / "run", progress=Notes(), in_process=True)
    assert told["size"]["tokens"] == estimated(spec, tmp_path).tokens.total  # of 40 rows all are looked at
    assert (told["size"]["rows"], told["size"]["dataset_rows"], told["size"]["device"]) == (40, 40, "cpu")
