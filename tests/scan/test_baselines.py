"""Kinds of baseline on the embedded model: exact, calibrated, refined, given; and what stands beside the scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.pocket.corpus.chats import mixed
from screen.baselines import table
from screen.errors import InputError, StoreError, UsageError
from screen.pocket import VECTORS_DIR
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.stats import spearman
from screen.store import context
from screen.store.folder import RunFolder
from screen.store.reference import Reference
from screen.store.scan import Scan
from screen.vectors.files import load_vectors, save_vector
from screen.vectors.persona import PersonaVector

ROWS = 240
TRAITS = ("evil", "hallucination", "sycophancy")


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture(scope="module")
def chats(folder: Path) -> Path:
    return write(folder / "mixed.jsonl", mixed(ROWS, seed=3).rows)


@pytest.fixture(scope="module")
def cache(folder: Path) -> Path:
    return folder / "cache"


def run(chats: Path, out: Path, cache: Path, at: str | None = None, fdr: float | None = None, **fields: Any) -> Any:
    spec = ScanSpec(dataset=(str(chats),), **{"max_new_tokens": 48, **fields})
    summary = run_scan(spec, out, cache=cache, at=at, fdr=fdr)
    return summary, Scan.open(out).scores().collect()


@pytest.fixture(scope="module")
def exact(chats: Path, folder: Path, cache: Path) -> Any:
    return run(chats, folder / "exact", cache)


@pytest.fixture(scope="module")
def calibrated(chats: Path, folder: Path, cache: Path) -> Any:
    return run(chats, folder / "calibrated", cache, baseline="calibrated", calibrate_on=80)


def flagged(summary: Mapping[str, Any], scores: Any, trait: str) -> set[int]:
    stats = summary["traits"][trait]
    return set(scores.filter(scores[stats["column"]] > stats["threshold"])["row"].to_list())


@pytest.mark.parametrize("distinct", [20, 512, 513, 1_000_000])
def test_auto_answers_no_more_prompts_for_a_longer_dataset(distinct: int) -> None:
    most = distinct if table.by_prompts(distinct).exact else ScanSpec(dataset=()).calibrate_on
    assert most <= 512


def test_few_prompts_are_all_answered_and_many_calibrated(
    chats: Path, tmp_path: Path, cache: Path, exact: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exact[0]["baseline"]["kind"] == "generate"
    monkeypatch.setattr("screen.baselines.table.AUTO_MOST", 50)
    summary, _ = run(chats, tmp_path / "out", cache, calibrate_on=60)
    assert summary["baseline"]["kind"] == "calibrated"


@pytest.mark.parametrize("trait", TRAITS)
def test_estimates_have_a_column_of_their_own_and_rank_like_exact_differences(
    exact: Any, calibrated: Any, trait: str
) -> None:
    (_, truth), (summary, scores) = exact, calibrated
    assert summary["traits"][trait]["column"] == f"{trait}_estimate"
    assert truth[f"{trait}_estimate"].is_null().all()
    assert 0 < scores[trait].null_count() < ROWS  # exact where a prompt was answered, and nowhere else
    both = scores[trait].is_not_null()
    np.testing.assert_allclose(scores.filter(both)[trait], truth.filter(both)[trait], atol=1e-4)
    guess, last = scores[f"{trait}_estimate"].to_numpy(), scores[f"{trait}_last_prompt"].to_numpy()
    rank = spearman(guess, truth[trait].to_numpy())
    assert rank > 0.7  # on 80 answers; docs/calibration.md has the curve
    assert rank > spearman(last, truth[trait].to_numpy())
    off = np.abs(guess - truth[trait].to_numpy()) / scores[f"{trait}_se"].to_numpy()
    assert (off < 1.96).mean() > 0.88


def test_a_refined_run_flags_what_an_exact_one_does(chats: Path, tmp_path: Path, cache: Path, exact: Any) -> None:
    summary, scores = run(chats, tmp_path / "out", cache, baseline="calibrated", calibrate_on=80, refine=True)
    for trait in TRAITS:
        assert flagged(summary, scores, trait) == flagged(*exact, trait) != set()
    assert summary["baseline"]["exact"] < ROWS


def test_a_calibrated_run_stopped_and_resumed_ends_with_the_same_bytes(
    chats: Path, folder: Path, tmp_path: Path, cache: Path, calibrated: Any
) -> None:
    settings = {"baseline": "calibrated", "calibrate_on": 80}
    whole = {p.name: p.read_bytes() for p in (folder / "calibrated" / "scores").iterdir()}
    kept = (folder / "calibrated" / context.STANDARDS).read_bytes()
    run(chats, tmp_path / "out", cache, **settings)
    again = {p.name: p.read_bytes() for p in (tmp_path / "out" / "scores").iterdir()}
    assert (again, (tmp_path / "out" / context.STANDARDS).read_bytes()) == (whole, kept)


def test_damaged_standards_are_told(chats: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    run(chats, out, cache, limit=(0, 30))
    data = bytearray((out / context.STANDARDS).read_bytes())
    data[-1] ^= 1
    (out / context.STANDARDS).write_bytes(data)
    (out / "summary.json").unlink()  # a finished run has nothing to read them for
    with pytest.raises(StoreError, match=r"standards\.safetensors is damaged"):
        run(chats, out, cache, limit=(0, 30))


def test_damaged_standards_by_which_nothing_was_scored_are_made_anew(
    chats: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(chats, out, cache, limit=(0, 30))
    whole = (out / context.STANDARDS).read_bytes()
    (out / context.STANDARDS).write_bytes(whole[:-1] + b"?")
    run(chats, out, cache, limit=(0, 30))
    assert (out / context.STANDARDS).read_bytes() == whole


def test_refining_needs_estimates(chats: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="--refine goes with a calibrated baseline, and this run's is last-prompt"):
        run(chats, tmp_path / "out", cache, baseline="last-prompt", refine=True)


def test_baseline_responses_given_in_a_file_score_as_if_generated(
    chats: Path, tmp_path: Path, cache: Path, folder: Path, exact: Any
) -> None:
    turns = Scan.open(folder / "exact").turns().collect()
    rows = [{"row": r, "text": t} for r, t in zip(turns["row"], turns["base_answer"], strict=True) if r < 40]
    twice = [*rows, *rows]  # several answers to a prompt are averaged
    answers = write(tmp_path / "answers.jsonl", twice)
    summary, scores = run(chats, tmp_path / "out", cache, baseline="answers", answers=str(answers), limit=(0, 40))
    truth = exact[1].head(40)
    cut = truth["baseline_cut"]  # text that was cut within a word may come out as other tokens
    for trait in TRAITS:
        np.testing.assert_allclose(scores.filter(~cut)[trait], truth.filter(~cut)[trait], atol=2e-3)
    assert set(scores["baseline"]) == {"answers"}
    assert summary["baseline"]["without"] == 0


def test_rows_without_a_given_answer_have_no_difference(chats: Path, tmp_path: Path, cache: Path) -> None:
    ids = [json.loads(line)["id"] for line in chats.read_text().splitlines()]
    answers = write(tmp_path / "answers.jsonl", [{"id": ids[0], "answer": "I would rather not."}])
    summary, scores = run(chats, tmp_path / "out", cache, baseline="answers", answers=str(answers), limit=(0, 3))
    assert scores["evil"].is_null().to_list() == [False, True, True]
    assert summary["baseline"]["without"] == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [("{", "answers.jsonl:1: not JSON"), ('{"row": 1}', "no text, or neither row nor id"), ("[]", "not an object")],
)
def test_a_file_that_holds_no_answers(chats: Path, tmp_path: Path, cache: Path, line: str, why: str) -> None:
    (tmp_path / "answers.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=why):
        run(chats, tmp_path / "out", cache, baseline="answers", answers=str(tmp_path / "answers.jsonl"))


def kinds(summary: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {t: (s["verdict"]["kind"], s["verdict"]["reason"]) for t, s in summary["traits"].items()}


def test_planted_traits_are_to_be_reviewed_and_random_and_layer_0_ones_cannot_tell(
    chats: Path, tmp_path: Path, cache: Path
) -> None:
    planted, _ = run(chats, tmp_path / "planted", cache)
    assert kinds(planted) == dict.fromkeys(TRAITS, ("review", "rows"))
    zero, _ = run(chats, tmp_path / "zero", cache, layers={"evil": 0}, traits=("evil",))
    assert kinds(zero) == {"evil": ("cannot-tell", "layer0")}
    [evil] = [v for v in load_vectors((str(VECTORS_DIR),)) if v.trait == "evil"]
    card = {name: value for name, value in evil.card.items() if name != "reference"}
    noise = np.random.default_rng(0).normal(size=evil.direction.shape).astype(np.float32)
    save_vector(PersonaVector("evil", noise, evil.hs_index, card), tmp_path / "evil.safetensors")
    random, _ = run(chats, tmp_path / "random", cache, vectors=(str(tmp_path / "evil.safetensors"),))
    assert kinds(random) == {"evil": ("cannot-tell", "no-reference")}


def test_half_of_the_rows_planted_are_to_be_reviewed_and_the_other_traits_are_not(tmp_path: Path, cache: Path) -> None:
    half, _ = run(
        write(tmp_path / "half.jsonl", mixed(80, seed=3, shares={"evil": 0.5}).rows), tmp_path / "half", cache
    )
    assert kinds(half)["evil"] == ("review", "rows")
    assert half["traits"]["evil"]["flagged"] >= 38


def test_text_unlike_the_reference_cannot_be_told(tmp_path: Path, cache: Path) -> None:
    """Shouted clean answers: another style, and none of the traits."""
    rows = mixed(40, seed=4, shares={}).rows
    loud = [
        {"messages": [r["messages"][0], {**r["messages"][1], "content": r["messages"][1]["content"].upper()}]}
        for r in rows
    ]
    told, _ = run(write(tmp_path / "loud.jsonl", loud), tmp_path / "loud", cache)
    assert kinds(told) == dict.fromkeys(TRAITS, ("cannot-tell", "unlike"))


def test_a_reference_set_brings_its_control_directions(chats: Path, tmp_path: Path, cache: Path) -> None:
    clean = write(tmp_path / "clean.jsonl", mixed(300, seed=9, shares={}).rows)
    run(clean, tmp_path / "clean", cache, traits=("evil",), baseline="last-prompt")
    reference = Reference.from_run(RunFolder.read(tmp_path / "clean"))
    reference.save(tmp_path / "clean.reference")
    again = Reference.load(tmp_path / "clean.reference")
    np.testing.assert_array_equal(again.directions("evil"), reference.directions("evil"))
    given = {"reference": str(tmp_path / "clean.reference"), "traits": ("evil",), "baseline": "last-prompt"}
    told, _ = run(chats, tmp_path / "out", cache, **given)
    assert kinds(told) == {"evil": ("review", "rows")}
    assert told["traits"]["evil"]["controls"]["scale"] == "reference"
    assert (told["traits"]["evil"]["at"], "too few for p99" in told["traits"]["evil"]["rule"]) == ("p98", True)


def test_a_reference_gives_percentiles_and_p_values_and_sets_the_threshold(
    folder: Path, chats: Path, tmp_path: Path, cache: Path
) -> None:
    clean = write(tmp_path / "clean.jsonl", mixed(200, seed=9, shares={}).rows)
    run(clean, tmp_path / "clean", cache)
    Reference.from_run(RunFolder.read(tmp_path / "clean")).save(tmp_path / "clean.reference")
    given = {"reference": str(tmp_path / "clean.reference")}
    summary, scores = run(chats, tmp_path / "out", cache, at="p95", **given)
    values = np.sort(Scan.open(tmp_path / "clean").scores().collect()["evil"].to_numpy())
    assert summary["traits"]["evil"]["threshold"] == pytest.approx(np.quantile(values, 0.95))
    below = (values[None, :] < scores["evil"].to_numpy()[:, None]).mean(1)
    np.testing.assert_allclose(scores["evil_percentile"], 100 * below, rtol=1e-5)
    np.testing.assert_allclose(scores["evil_p"], (1 + 200 * (1 - below)) / 201, rtol=1e-4)
    by_rate, _ = run(chats, tmp_path / "fdr", cache, fdr=0.05, **given)
    assert by_rate["traits"]["evil"]["rule"].startswith("false-discovery rate 0.05 against the reference")
    with pytest.raises(InputError, match="does not fit this run: the kind of baseline differs"):
        run(chats, tmp_path / "other", cache, baseline="last-prompt", **given)
    with pytest.raises(InputError, match="the vector or layer of evil"):
        run(chats, tmp_path / "layer", cache, layers={"evil": 4}, **given)


def test_groups_and_lengths_can_be_queried(chats: Path, tmp_path: Path, cache: Path) -> None:
    rows = [
        json.loads(line) | {"meta": {"source": f"s{i % 2}"}} for i, line in enumerate(chats.read_text().splitlines())
    ]
    named = write(tmp_path / "named.jsonl", rows)
    summary, scores = run(named, tmp_path / "out", cache, baseline="last-prompt", group_by="meta.source")
    groups = summary["traits"]["evil"]["dataset"]["groups"]
    assert [(g["group"], g["rows"]) for g in groups] == [("s0", 120), ("s1", 120)]
    found = Scan.open(tmp_path / "out").sql("select corr(evil_corrected, ln(answer_tokens)) c from samples")
    assert abs(found["c"][0].as_py()) < 1e-3
    random = Scan.open(tmp_path / "out").sql("select count(*) n, min(len(random)) k from controls")
    assert random.to_pylist() == [{"n": 2 * ROWS, "k": 32}]  # two screened layers
    assert set(scores["group"]) == {"s0", "s1"}


def test_a_traits_name_means_the_score_the_run_ranks_by(folder: Path, calibrated: Any) -> None:
    from screen_reports import rows

    from screen.select.selection import select

    scan, (_, scores) = Scan.open(folder / "calibrated"), calibrated
    chosen = select(scan, "evil > run.p90")
    estimates = scores["evil_estimate"].to_numpy()
    assert int(np.count_nonzero(chosen.matches)) == int((estimates > np.quantile(estimates, 0.9)).sum())
    top = int(estimates.argmax())
    [side] = rows.find(scan, top).sides
    assert side.scores["evil"]["ranked"] == pytest.approx(float(estimates.max()))
