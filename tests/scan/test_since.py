"""`--since`: rows whose content an earlier run has are carried over, all others are scored, and nothing else is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from screen.data.sample import Skip
from screen.errors import ResumeRefused, StoreError, UsageError
from screen.model.forward.projector import Projector
from screen.model.generate import Generator
from screen.progress import Silent, Tally
from screen.scan.meter import MaxErrors
from screen.scan.run import run_scan
from screen.scan.since.earlier import EarlierPlace, EarlierRun
from screen.scoring.shard import _Work
from screen.scoring.tables import PLACE
from screen.spec import ScanSpec
from screen.store import context
from screen.store.folder import RunFolder

MakeSpec = Callable[..., ScanSpec]


class Work:
    """What the model was asked for: sequences measured, prompts answered."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.measured = self.answered = 0
        measure, answer = Projector.measure, Generator.answer

        def measured(projector: Projector, items: Any, *more: Any, **named: Any) -> Any:
            self.measured += len(items)
            return measure(projector, items, *more, **named)

        def answered(generator: Generator, prompts: Any, *more: Any, **named: Any) -> Any:
            self.answered += len(prompts)
            return answer(generator, prompts, *more, **named)

        patch.setattr(Projector, "measure", measured)
        patch.setattr(Generator, "answer", answered)


def lines_of(spec: ScanSpec) -> list[str]:
    return Path(spec.dataset[0]).read_text().splitlines()


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def scan(spec: ScanSpec, out: Path, **more: Any) -> dict[str, Any]:
    return run_scan(spec, out, in_process=True, **more)


def since(spec: ScanSpec, data: Path, run: Path, **fields: Any) -> ScanSpec:
    return replace(spec, dataset=(str(data),), since=str(run), **fields)


def table(out: Path, name: str = "scores") -> pa.Table:
    folder = RunFolder.read(out)
    assert folder.verify() == []
    return pa.concat_tables([pq.read_table(f) for f in folder.tables(name)])


def by_content(out: Path, name: str) -> list[tuple[Any, ...]]:
    """What a run has of its rows, without where they stand: lines with the hash of their row, sorted."""
    hashes = dict(zip(*(table(out)[c].to_pylist() for c in ("row", "sha256")), strict=True))
    lines = table(out, name)
    columns = [lines[c].to_pylist() for c in lines.column_names if c not in PLACE]
    keyed = zip((hashes[row] for row in lines["row"].to_pylist()), *columns, strict=True)
    return sorted(keyed, key=repr)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def changed(lines: Sequence[str], rows: Sequence[int]) -> list[str]:
    """The answers of these rows, with a word more."""
    out = list(lines)
    for row in rows:
        value = json.loads(out[row])
        value["messages"][-1]["content"] += " Indeed."
        out[row] = json.dumps(value)
    return out


@pytest.mark.parametrize("held", [256 << 20, 1])
def test_a_shuffled_file_scores_nothing(
    make_spec: MakeSpec, tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("screen.scan.since.earlier._HELD", held)  # whether the earlier run's tables fit in memory
    spec = make_spec(baseline="generate")
    scan(spec, tmp_path / "old")
    work.measured = work.answered = 0
    data = write(tmp_path / "new.jsonl", random.Random(2).sample(lines_of(spec), 40))
    summary = scan(since(spec, data, tmp_path / "old"), tmp_path / "new")
    assert (work.measured, work.answered, summary["tokens"]) == (0, 0, 0)
    assert summary["since"]["carried"] == 40
    assert summary["since"]["scored"] == 0
    for name in ("scores", "turns", "controls"):
        assert by_content(tmp_path / "new", name) == by_content(tmp_path / "old", name)
    assert set(table(tmp_path / "new")["file"].to_pylist()) == {str(data)}
    assert table(tmp_path / "new")["line"].to_pylist() == list(range(1, 41))
    old = RunFolder.read(tmp_path / "old").summary
    assert {t: s["flagged"] for t, s in summary["traits"].items()} == {
        t: s["flagged"] for t, s in old["traits"].items()
    }


def test_ten_changed_rows_are_the_ten_that_are_scored(make_spec: MakeSpec, tmp_path: Path, work: Work) -> None:
    spec = make_spec(baseline="last-prompt")
    scan(spec, tmp_path / "old")
    rows = [*range(0, 20, 4), *range(21, 40, 4)]
    data = write(tmp_path / "new.jsonl", changed(lines_of(spec), rows))
    work.measured = 0
    ticks = Ticks()
    summary = scan(since(spec, data, tmp_path / "old"), tmp_path / "new", progress=ticks)
    assert (work.measured, summary["since"]["scored"], summary["since"]["carried"]) == (10, 10, 30)
    assert (ticks.last.rows, ticks.last.carried, ticks.last.fresh_rows) == (40, 30, 10)
    assert (summary["rows"], summary["scored"], summary["skipped"]) == (40, 40, 0)
    new, old = table(tmp_path / "new"), table(tmp_path / "old")
    kept = [row for row in range(40) if row not in rows]
    assert new.take(kept).drop(list(PLACE)).equals(old.take(kept).drop(list(PLACE)))
    scan(replace(spec, dataset=(str(data),)), tmp_path / "full")
    full = table(tmp_path / "full")
    for name in new.column_names:
        if pa.types.is_floating(new.schema.field(name).type):
            one, other = (t[name].to_numpy(zero_copy_only=False) for t in (new, full))
            np.testing.assert_allclose(one, other, atol=2e-5, err_msg=name)
        else:
            assert new[name].equals(full[name]), name


def test_shards_of_a_file_that_grew_have_the_bytes_of_a_full_run(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screen.scan.scorer.STATES", 16)  # rows that control directions are drawn from: the same ones
    spec = make_spec(baseline="generate")
    data = write(tmp_path / "new.jsonl", lines_of(spec)[:37])
    scan(replace(spec, dataset=(str(data),)), tmp_path / "old")  # shards of 16, 16 and 5 rows
    write(data, lines_of(spec))
    grown = replace(spec, dataset=(str(data),))
    assert scan(replace(grown, since=str(tmp_path / "old")), tmp_path / "new")["since"]["scored"] == 3
    scan(grown, tmp_path / "full")
    one, other = RunFolder.read(tmp_path / "new"), RunFolder.read(tmp_path / "full")
    for name in ("scores", "turns", "controls"):
        assert [f.sha256 for f in one.files(name)][:2] == [f.sha256 for f in other.files(name)][:2]


class Ticks(Silent):
    """Keeps the last count that was told."""

    last: Tally

    def tick(self, tally: Tally) -> None:
        self.last = tally


class Stop(Silent):
    """Ends the run once so many rows are published."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def tick(self, tally: Tally) -> None:
        if tally.rows >= self.rows and tally.stage == "scoring":
            raise KeyboardInterrupt


def test_a_run_that_was_stopped_ends_with_the_same_bytes(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="generate")
    scan(spec, tmp_path / "old")
    data = write(tmp_path / "new.jsonl", changed(lines_of(spec)[::-1], [3, 20, 35]))
    wanted = since(spec, data, tmp_path / "old")
    scan(wanted, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        scan(wanted, tmp_path / "stopped", progress=Stop(16))
    assert 0 < len(RunFolder.read(tmp_path / "stopped").published) < 3
    with pytest.raises(ResumeRefused, match="since"):
        scan(replace(wanted, since=None), tmp_path / "stopped")
    summary = scan(wanted, tmp_path / "stopped")
    for name in ("manifest.jsonl", "standards.safetensors", "index.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (summary["since"]["carried"], summary["since"]["scored"]) == (37, 3)


PAIR = [{"role": "user", "content": "Hello {}?"}, {"role": "assistant", "content": "Well, {} it is."}]


def filled(turns: list[dict[str, str]], word: object) -> list[dict[str, str]]:
    return [{**turn, "content": turn["content"].format(word)} for turn in turns]


SHAPES = {
    "pairs": lambda i: {"chosen": filled(PAIR, i), "rejected": filled(PAIR, -i)},
    "turns": lambda i: {"messages": filled(PAIR, i) + filled(PAIR, f"again {i}"), "weight": 1 + i},
    "documents": lambda i: {"text": f"A long text, number {i}, goes on. " * 40},
    "kto": lambda i: {"prompt": f"Why {i}?", "completion": f"Because of {i}.", "label": i % 2 == 0},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_is_carried_whole(make_spec: MakeSpec, tmp_path: Path, work: Work, shape: str) -> None:
    lines = [json.dumps(SHAPES[shape](i)) for i in range(6)]
    spec = make_spec(baseline=None if shape == "pairs" else "last-prompt", shard_rows=4)
    spec = replace(spec, dataset=(str(write(tmp_path / "old.jsonl", [*lines, lines[2]])),))
    scan(spec, tmp_path / "old")
    work.measured = 0
    data = write(tmp_path / "new.jsonl", [lines[5], "not json", lines[2], lines[2], *lines[:5]])
    summary = scan(since(spec, data, tmp_path / "old"), tmp_path / "new", max_errors=None)
    assert (work.measured, summary["since"]["carried"], summary["skipped"]) == (0, 8, 1)
    assert by_content(tmp_path / "new", "turns")  # each line stands there as it did before
    assert {*map(repr, by_content(tmp_path / "new", "turns"))} <= {*map(repr, by_content(tmp_path / "old", "turns"))}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"baseline": "none"}, "settings.baseline: last-prompt -> none"),
        ({"train_on": "last"}, "dataset.train_on: assistant -> last"),
        ({"end_of_turn": True}, "rendering.end_of_turn: false -> true"),
        ({"layers": {"evil": 1}}, "vectors.evil.layer: 2 -> 1"),
        ({"token_budget": 100}, "settings.token_budget: 2048 -> 100"),
        ({"traits": ("evil",)}, "traits[1]: kind -> (absent)"),
    ],
)
def test_other_instruments_are_refused_by_name(
    make_spec: MakeSpec, tmp_path: Path, old_run: Path, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(UsageError) as refused:
        scan(make_spec(**{"baseline": "last-prompt", "since": str(old_run), **change}), tmp_path / "new")
    assert f"\n  {field}" in refused.value.message
    assert not (tmp_path / "new").exists()


@pytest.fixture
def old_run(make_spec: MakeSpec, tmp_path: Path) -> Path:
    scan(make_spec(baseline="last-prompt"), tmp_path / "old")
    return tmp_path / "old"


def test_what_rows_and_settings_decide_is_made_anew(make_spec: MakeSpec, tmp_path: Path, old_run: Path) -> None:
    spec = make_spec(baseline="last-prompt", since=str(old_run), limit=(8, 24), group_by="id")
    summary = scan(spec, tmp_path / "new")
    assert (summary["rows"], summary["since"]["carried"]) == (16, 16)
    assert table(tmp_path / "new")["group"].to_pylist() == [f"c{i}" for i in range(8, 24)]
    assert table(tmp_path / "new")["row"].to_pylist() == list(range(8, 24))


def test_a_row_that_only_looks_like_another_is_scored(
    make_spec: MakeSpec, tmp_path: Path, old_run: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows can be made whose hashes begin alike: what was made of a row is compared, not its hash alone."""
    find = EarlierRun.find

    def forged(run: EarlierRun, sha256: str, row: int) -> EarlierPlace | None:
        return EarlierPlace(0, 6) if row == 5 else find(run, sha256, row)

    monkeypatch.setattr(EarlierRun, "find", forged)
    work.measured = 0
    summary = scan(make_spec(baseline="last-prompt", since=str(old_run)), tmp_path / "new")
    assert (work.measured, summary["since"]["scored"]) == (1, 1)
    one, other = (table(out).drop(["file"]) for out in (tmp_path / "new", old_run))
    assert one["answer_tokens"].equals(other["answer_tokens"])


def test_an_unfinished_run_gives_what_it_has(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="last-prompt")
    with pytest.raises(KeyboardInterrupt):
        scan(spec, tmp_path / "old", progress=Stop(16))
    notes: dict[str, Any] = {}
    progress = Silent()
    progress.note = lambda kind, facts: notes.__setitem__(kind, facts)  # type: ignore[method-assign]
    summary = scan(replace(spec, since=str(tmp_path / "old")), tmp_path / "new", progress=progress)
    assert summary["since"]["carried"] == notes["since"]["rows"] == RunFolder.read(tmp_path / "old").published[0].rows
    assert notes["since"]["finished"] is False


@pytest.mark.parametrize("name", ["scores", "turns", "controls", "standards"])
def test_a_damaged_run_is_told_before_anything_is_written(
    make_spec: MakeSpec, tmp_path: Path, old_run: Path, name: str
) -> None:
    file = old_run / ("standards.safetensors" if name == "standards" else f"{name}/000001.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreError, match=str(file)):
        scan(make_spec(baseline="last-prompt", since=str(old_run)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_rows_are_carried_through_a_chain_of_runs(
    make_spec: MakeSpec, tmp_path: Path, work: Work, old_run: Path
) -> None:
    spec = make_spec(baseline="last-prompt")
    data = write(tmp_path / "v2.jsonl", changed(lines_of(spec), [0]))
    scan(since(spec, data, old_run), tmp_path / "v2")
    work.measured = 0
    third = write(tmp_path / "v3.jsonl", [*lines_of(spec)[1:], lines_of(replace(spec, dataset=(str(data),)))[0]])
    summary = scan(since(spec, third, tmp_path / "v2"), tmp_path / "v3")
    assert (work.measured, summary["since"]["carried"]) == (0, 40)


@pytest.mark.parametrize("refine", [False, True])
def test_a_calibration_is_the_earlier_runs(make_spec: MakeSpec, tmp_path: Path, work: Work, refine: bool) -> None:
    spec = make_spec(baseline="calibrated", calibrate_on=30, refine=refine)
    scan(spec, tmp_path / "old")
    work.measured = work.answered = 0
    data = write(tmp_path / "new.jsonl", lines_of(spec)[::-1])
    scan(since(spec, data, tmp_path / "old"), tmp_path / "new")
    assert (work.measured, work.answered) == (0, 0)
    assert by_content(tmp_path / "new", "scores") == by_content(tmp_path / "old", "scores")
    (arrays, facts), (new_arrays, new_facts) = (standards(tmp_path / name) for name in ("old", "new"))
    assert all((arrays[name] == new_arrays[name]).all() for name in arrays | new_arrays)
    assert {**facts, "sources": [str(data)]} == new_facts
    write(data, changed(lines_of(spec), [7]))
    scan(since(spec, data, tmp_path / "old"), tmp_path / "third")
    assert (work.answered, work.measured) == (0, 1)  # its prompt was answered before


def standards(out: Path) -> Any:
    folder = RunFolder.read(out)
    return context.load(out, folder.run)


def test_files_that_are_features_of_a_fit_are_told_apart(make_spec: MakeSpec, tmp_path: Path, work: Work) -> None:
    """Of two files one with a new name is the other; of two new names nobody knows which is which."""
    spec = make_spec(baseline="calibrated", calibrate_on=30)
    first, second = (write(tmp_path / f"{n}.jsonl", lines_of(spec)[n * 20 : n * 20 + 20]) for n in (0, 1))
    spec = replace(spec, dataset=(str(first), str(second)))
    scan(spec, tmp_path / "old")
    third = first.rename(tmp_path / "2.jsonl")
    work.measured = 0
    scan(replace(spec, dataset=(str(second), str(third)), since=str(tmp_path / "old")), tmp_path / "one")
    assert work.measured == 0
    fourth = second.rename(tmp_path / "3.jsonl")
    scan(replace(spec, dataset=(str(third), str(fourth)), since=str(tmp_path / "old")), tmp_path / "two")
    assert work.measured == 40


def test_given_answers_are_part_of_what_decides_a_row(make_spec: MakeSpec, tmp_path: Path, work: Work) -> None:
    answers = [{"id": f"c{i}", "text": f"I say {i}."} for i in range(40)]
    file = write(tmp_path / "answers.jsonl", [json.dumps(a) for a in answers])
    spec = make_spec(baseline="answers", answers=str(file))
    scan(spec, tmp_path / "old")
    data = write(tmp_path / "new.jsonl", lines_of(spec)[::-1])
    other = [*answers[:3], {"id": "c3", "text": "Something else."}, *answers[4:], {"id": "c5", "text": "And more."}]
    file = write(tmp_path / "others.jsonl", [json.dumps(a) for a in other])
    summary = scan(since(spec, data, tmp_path / "old", answers=str(file)), tmp_path / "new")
    assert (summary["since"]["carried"], summary["since"]["scored"]) == (38, 2)
    scan(replace(spec, dataset=(str(data),), answers=str(file)), tmp_path / "full")
    new, full = ({line["id"]: line["evil"] for line in table(tmp_path / n).to_pylist()} for n in ("new", "full"))
    assert new == pytest.approx(full, abs=2e-5)


def test_what_fails_for_good_is_carried_and_what_failed_once_is_tried_again(
    make_spec: MakeSpec, tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 4 and 30 overflow, rows 9 and 31 lose their process: told by the code of a skip."""
    codes = {4: "not_finite", 30: "not_finite", 9: "worker_failed", 31: "worker_failed"}
    poison = _Work.poison

    def poisoned(shard: _Work) -> list[Skip]:
        here = {sample.row: sample.place for sample, _ in shard.shard.samples}
        return poison(shard) or [Skip(here[row], "score", codes[row], "why") for row in codes if row in here]

    spec = make_spec(baseline="last-prompt")
    with monkeypatch.context() as patch:
        patch.setattr(_Work, "poison", poisoned)
        assert scan(spec, tmp_path / "old", max_errors=MaxErrors())["skipped"] == 4
    work.measured = 0
    data = write(tmp_path / "new.jsonl", lines_of(spec)[::-1])
    summary = scan(since(spec, data, tmp_path / "old"), tmp_path / "new", max_errors=MaxErrors())
    assert summary["skipped_by_code"] == {"not_finite": 2}
    assert (work.measured, summary["since"]["carried"], summary["since"]["scored"]) == (2, 36, 2)
    assert [(s["row"], s["message"]) for s in table(tmp_path / "new", "skipped").to_pylist()] == [
        (9, "why"),
        (35, "why"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_any_edit_scores_the_rows_that_are_new(make_spec: MakeSpec, tmp_path: Path, work: Work, seed: int) -> None:
    """Rows moved, doubled, lost, changed and changed back: what is scored are the lines that the old file has not."""
    rng = random.Random(seed)
    spec = make_spec(baseline="none", shard_rows=rng.choice([5, 16, 64]))
    old = lines_of(spec)
    scan(spec, tmp_path / "old")
    pool = old + changed(old, rng.sample(range(40), 15))
    new = [rng.choice(pool) for _ in range(rng.randint(1, 60))]
    work.measured = 0
    summary = scan(since(spec, write(tmp_path / "new.jsonl", new), tmp_path / "old"), tmp_path / "new")
    fresh = sum(line not in set(old) for line in new)
    assert (work.measured, summary["since"]["scored"], summary["since"]["carried"]) == (fresh, fresh, len(new) - fresh)
    assert table(tmp_path / "new")["row"].to_pylist() == list(range(len(new)))


def test_equal_bytes_under_other_columns_are_another_row(make_spec: MakeSpec, tmp_path: Path, work: Work) -> None:
    lines = [f"What is {i}?,It is number {i}." for i in range(4)]
    spec = make_spec(baseline="none", map={"prompt": "a", "completion": "b"}, format="prompt-completion")
    spec = replace(spec, dataset=(str(write(tmp_path / "old.csv", ["a,b", *lines])),))
    scan(spec, tmp_path / "old")
    work.measured = 0
    swapped = write(tmp_path / "new.csv", ["b,a", *lines])
    assert scan(since(spec, swapped, tmp_path / "old"), tmp_path / "new")["since"]["carried"] == 0
    again = write(tmp_path / "again.csv", ["a,b", *lines[::-1]])
    assert scan(since(spec, again, tmp_path / "old"), tmp_path / "again")["since"]["carried"] == 4
    assert work.measured == 4
    one, other = (table(tmp_path / name)["evil_projection"].to_pylist() for name in ("new", "old"))
    assert one != other


def test_a_table_in_another_order_is_carried(make_spec: MakeSpec, tmp_path: Path, work: Work) -> None:
    rows = pa.table({"prompt": [f"What is {i}?" for i in range(6)], "completion": [f"It is {i}." for i in range(6)]})
    pq.write_table(rows, tmp_path / "old.parquet")
    pq.write_table(rows.take([5, 0, 3, 3]), tmp_path / "new.parquet")
    spec = replace(make_spec(baseline="none"), dataset=(str(tmp_path / "old.parquet"),))
    scan(spec, tmp_path / "old")
    work.measured = 0
    assert scan(since(spec, tmp_path / "new.parquet", tmp_path / "old"), tmp_path / "new")["since"]["carried"] == 4
    assert work.measured == 0
