"""A scan on disk: what it holds, that it resumes to the same bytes, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from screen.data.dataset import open_dataset
from screen.errors import InputError, ResumeRefused, SkipLimit, StoreError, UsageError, VectorError
from screen.progress import Silent, Tally
from screen.scan.meter import MaxErrors, Meter
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

MakeSpec = Callable[..., ScanSpec]


def rows_of(out: Path, table: str = "scores") -> list[dict[str, object]]:
    files = RunFolder.read(out).tables(table)
    return pq.ParquetDataset(files).read().to_pylist() if files else []


def shards_of(out: Path) -> dict[str, bytes]:
    """Every published file's bytes, and the manifest's."""
    folder = RunFolder.read(out)
    files = [f for t in ("scores", "turns", "skipped") for f in folder.tables(t)]
    return {str(f.relative_to(out)): f.read_bytes() for f in [*files, out / "manifest.jsonl"]}


def test_a_run_scores_every_row(make_spec: MakeSpec, tmp_path: Path) -> None:
    summary = run_scan(make_spec(), tmp_path / "out")
    assert (summary["rows"], summary["scored"], summary["skipped"]) == (40, 40, 0)
    scores = rows_of(tmp_path / "out")
    assert [r["row"] for r in scores] == list(range(40))
    assert [r["id"] for r in scores] == [f"c{i}" for i in range(40)]
    assert len(RunFolder.read(tmp_path / "out").published) == 3


def test_scores_equal_the_plainest_way_to_compute_them(make_spec: MakeSpec, tiny_model: Path, tmp_path: Path) -> None:
    """One row at a time: the whole model, every hidden state, transformers' own generate, two tokenised strings."""
    import transformers as hf

    from screen.vectors.files import load_vector

    spec = make_spec()
    run_scan(spec, tmp_path / "out")
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_model)
    v = load_vector(Path(spec.vectors[0]) / "evil.safetensors").unit(2)
    greedy = hf.GenerationConfig(do_sample=False, max_new_tokens=8, eos_token_id=257, pad_token_id=257)
    data = [json.loads(line) for line in Path(spec.dataset[0]).read_text().splitlines()]

    def mean_projection(ids: list[int], start: int) -> tuple[float, float]:
        with torch.no_grad():
            h = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, start:].numpy()
        return float((h @ v).mean()), float(np.linalg.norm(h, axis=1).mean())

    for got, row in list(zip(rows_of(tmp_path / "out"), data, strict=True))[::9]:
        text = tokenizer.apply_chat_template(row["messages"][:1], add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        answer = tokenizer(row["messages"][1]["content"], add_special_tokens=False)["input_ids"]
        own = model.generate(torch.tensor([prompt]), generation_config=greedy)[0, len(prompt) :].tolist()
        own = own[: own.index(257)] if 257 in own else own
        a, norm = mean_projection(prompt + answer, len(prompt))
        b, _ = mean_projection(prompt + own, len(prompt))
        assert got["answer_tokens"] == len(answer)
        assert got["evil_projection"] == pytest.approx(a, abs=1e-4 * norm)
        assert got["evil"] == pytest.approx(a - b, abs=2e-4 * norm)


@pytest.mark.parametrize(
    "change", [{"shard_rows": 7}, {"token_budget": 100}, {"limit": (10, 30)}, {"generation_batch_size": 4}]
)
def test_scores_do_not_depend_on_shards_or_batches(
    make_spec: MakeSpec, tmp_path: Path, change: dict[str, object]
) -> None:
    run_scan(make_spec(), tmp_path / "plain")
    run_scan(make_spec(**change), tmp_path / "other")
    plain = {r["row"]: r for r in rows_of(tmp_path / "plain")}
    for row in rows_of(tmp_path / "other"):
        for kind in ("", "_projection", "_baseline", "_window", "_max"):
            assert row[f"evil{kind}"] == pytest.approx(plain[row["row"]][f"evil{kind}"], abs=1e-4)


def test_several_turns_equal_each_turn_on_its_own(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> None:
    first = [{"role": "user", "content": "Hello, who is there?"}, {"role": "assistant", "content": "Only the wind."}]
    second = [
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": "\n\nNobody, my friend."},
    ]
    silent = [first[0], {**first[1], "weight": 0}, *second]  # the first answer stands there and is not scored
    rows = [{"messages": m} for m in ([*first, *second], first, silent)]
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_scan(make_spec(), tmp_path / "out")
    both = [t for t in rows_of(tmp_path / "out", "turns") if t["row"] == 0]
    alone = [t for t in rows_of(tmp_path / "out", "turns") if t["row"] > 0]
    whole = rows_of(tmp_path / "out")[0]
    for kind in ("", "_projection", "_baseline", "_window"):
        values = [t[f"evil{kind}"] for t in alone]
        assert [t[f"evil{kind}"] for t in both] == pytest.approx(values, abs=1e-4)
        if kind != "_window":
            assert whole[f"evil{kind}"] == pytest.approx(np.mean(values), abs=1e-4)


def test_the_scale_of_a_vector_does_not_matter_and_its_sign_does(make_spec: MakeSpec, tmp_path: Path) -> None:
    from screen.vectors.files import load_vector, save_vector

    spec = make_spec(limit=(0, 8))
    vector = load_vector(Path(spec.vectors[0]) / "evil.safetensors")
    for name, factor in (("big", 1000.0), ("flipped", -1.0)):
        (tmp_path / name).mkdir()
        changed = dataclasses.replace(vector, direction=(vector.direction * factor).astype(np.float32))
        save_vector(changed, tmp_path / name / "evil.safetensors")
        run_scan(make_spec(limit=(0, 8), vectors=(str(tmp_path / name),)), tmp_path / f"{name}.out")
    run_scan(spec, tmp_path / "plain.out")
    plain, big, flipped = ([r["evil"] for r in rows_of(tmp_path / f"{n}.out")] for n in ("plain", "big", "flipped"))
    assert big == pytest.approx(plain, abs=1e-5)
    assert flipped == pytest.approx([-x for x in plain], abs=1e-5)


def test_a_planted_direction_is_found(make_spec: MakeSpec, chats: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Rows of one kind of answer against another; the vector is the difference of the two kinds' means."""
    from screen.building.extraction import AnswerTokens, QuestionMeans, finish
    from screen.building.means import BatchedMeans
    from screen.model.forward.plan import Batching
    from screen.model.load import load_model
    from screen.rendering.tokenizer import load_tokenizer
    from screen.stats import auroc
    from screen.vectors.files import save_vector
    from screen.vectors.persona import PersonaVector

    def rows(n: int) -> list[tuple[str, str]]:
        ask = [f"Question number {i}?" for i in range(n)]
        return [(q, ("zq " if i % 2 else "ab ") * (3 + i % 5)) for i, q in enumerate(ask)]

    tokenizer = load_tokenizer(str(tiny_model))

    def place(ask: str, answer: str) -> AnswerTokens:
        ids = tokenizer.encode([f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n{answer}"])[0].ids
        return AnswerTokens(np.array(ids, dtype=np.int32), len(ids) - len(answer), len(ids))

    model = load_model("tiny", tiny_model, deepest=None, generate=False, dtype="float32", device="cpu")
    places = [place(*row) for row in rows(40)]
    sides = [QuestionMeans(BatchedMeans(model, Batching("padded"))) for _ in range(2)]
    for side, chosen in zip(sides, (places[1::2], places[0::2]), strict=True):
        side.add(enumerate(chosen))
    direction = finish(*sides).direction
    save_vector(PersonaVector("evil", direction, np.arange(4), {"layer": 2}), tmp_path / "evil.safetensors")
    made = [
        {"messages": [{"role": "user", "content": q + " Tell me."}, {"role": "assistant", "content": a}]}
        for q, a in rows(60)
    ]
    chats.write_text("".join(json.dumps(row) + "\n" for row in made))
    run_scan(make_spec(vectors=(str(tmp_path / "evil.safetensors"),)), tmp_path / "out")
    scores = [r["evil"] for r in rows_of(tmp_path / "out")]
    assert auroc(scores[1::2], scores[0::2]) > 0.99


class StopAfter(Silent):
    """Raises KeyboardInterrupt in the middle of a shard, as Ctrl-C does."""

    def __init__(self, ticks: int) -> None:
        self.left = ticks

    def tick(self, tally: Tally) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("ticks", [1, 4, 9, 14])
def test_an_interrupted_run_resumes_to_the_same_bytes(make_spec: MakeSpec, tmp_path: Path, ticks: int) -> None:
    run_scan(make_spec(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_scan(make_spec(), tmp_path / "cut", progress=StopAfter(ticks))
    summary = run_scan(make_spec(), tmp_path / "cut")
    assert summary["rows"] == 40
    assert shards_of(tmp_path / "cut") == shards_of(tmp_path / "whole")


def test_a_finished_run_run_again_changes_nothing(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(), tmp_path / "out")
    before = shards_of(tmp_path / "out")
    run_scan(make_spec(), tmp_path / "out")
    assert shards_of(tmp_path / "out") == before


def test_answers_are_reused_by_later_runs(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(), tmp_path / "first", cache=tmp_path / "cache")
    kept = sorted(p.name for p in (tmp_path / "cache").iterdir())
    run_scan(make_spec(layers={"evil": 1}), tmp_path / "second", cache=tmp_path / "cache")
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"layers": {"evil": 1}}, "vectors.evil.layer: 2 -> 1"),
        ({"max_new_tokens": 9}, "settings.max_new_tokens: 8 -> 9"),
        ({"end_of_turn": True}, "rendering.end_of_turn: false -> true"),
        ({"baseline": "last-prompt"}, "settings.baseline: generate -> last-prompt"),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    make_spec: MakeSpec, tmp_path: Path, change: dict[str, object], field: str
) -> None:
    run_scan(make_spec(), tmp_path / "out")
    before = shards_of(tmp_path / "out")
    with pytest.raises(ResumeRefused) as error:
        run_scan(make_spec(**change), tmp_path / "out")
    assert field in str(error.value)
    assert shards_of(tmp_path / "out") == before


def test_a_changed_input_is_refused(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> None:
    run_scan(make_spec(), tmp_path / "out")
    chats.write_text(chats.read_text().replace("What is 3", "What is 4"))
    with pytest.raises(ResumeRefused, match="sha256"):
        run_scan(make_spec(), tmp_path / "out")


def test_two_runs_on_one_folder(make_spec: MakeSpec, tmp_path: Path) -> None:
    class Second(Silent):
        def tick(self, tally: Tally) -> None:
            with pytest.raises(StoreError, match=r"process \d+ is writing"):
                run_scan(make_spec(shard_rows=40), tmp_path / "out")

    run_scan(make_spec(shard_rows=40), tmp_path / "out", progress=Second())


def test_bad_rows_are_skips_with_place_and_the_counts_add_up(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> None:
    lines = chats.read_bytes().split(b"\n")
    lines[3] = b'{"messages": ['
    lines[9] = b"\xff\xfe"
    lines[20] = b'{"id": "c20", "messages": [{"role": "user", "content": "only a question"}]}'
    lines[21] = b"null"
    chats.write_bytes(b"\n".join(lines))
    summary = run_scan(make_spec(), tmp_path / "out")
    assert (summary["rows"], summary["scored"], summary["skipped"]) == (40, 36, 4)
    skipped = rows_of(tmp_path / "out", "skipped")
    assert [(s["row"], s["line"]) for s in skipped] == [(3, 4), (9, 10), (20, 21), (21, 22)]
    assert {r["row"] for r in rows_of(tmp_path / "out")} == set(range(40)) - {3, 9, 20, 21}


def test_too_many_bad_rows_end_the_run(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> None:
    chats.write_text(chats.read_text() + "{\n" * 10)
    with pytest.raises(SkipLimit, match=r"10 of 50 rows could not be scored, more than --max-errors 9 rows"):
        run_scan(make_spec(), tmp_path / "out", max_errors=MaxErrors(rows=9))


def test_a_dataset_without_answers_leaves_no_run_behind(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> None:
    chats.write_text('{"messages": [{"role": "user", "content": "hello?"}]}\n' * 5)
    with pytest.raises(InputError, match=r"no row of .*chats\.jsonl can be scored") as error:
        run_scan(make_spec(), tmp_path / "out")
    assert "no_response" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_vectors_of_another_model_are_refused_before_any_work(make_spec: MakeSpec, tmp_path: Path) -> None:
    from screen.vectors.files import save_vector
    from screen.vectors.persona import PersonaVector

    other = PersonaVector("evil", np.ones((4, 48), dtype=np.float32), np.arange(4), {"layer": 2})
    save_vector(other, tmp_path / "evil.safetensors")
    with pytest.raises(VectorError, match="its hidden size is 48, the model's is 32"):
        run_scan(make_spec(vectors=(str(tmp_path / "evil.safetensors"),)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_doubt_about_a_vector_is_in_the_summary_too(make_spec: MakeSpec, tiny_model: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    path = tmp_path / "evil_prompt_avg_diff.pt"
    torch.save(torch.ones(config["num_hidden_layers"] + 1, config["hidden_size"]), path)
    summary = run_scan(make_spec(vectors=(str(path),), layers={"evil": 1}, limit=(0, 2)), tmp_path / "out")
    [note] = summary["notes"]
    assert "prompt mean difference" in note


def test_a_layer_that_is_not_there(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="no direction for layer 9"):
        run_scan(make_spec(layers={"evil": 9}), tmp_path / "out")


def test_a_trait_without_a_vector(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no vector for the trait 'bold' \(found: evil, kind\)"):
        run_scan(make_spec(traits=("bold",)), tmp_path / "out")


def test_a_folder_that_cannot_be_written(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        run_scan(make_spec(), tmp_path / "file" / "out")


def test_the_recorded_spec_makes_the_same_scores(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(), tmp_path / "first")
    recorded = json.loads((tmp_path / "first" / "scan.json").read_text())["facts"]["spec"]
    again = ScanSpec.from_json(recorded)
    assert dataclasses.asdict(again) == dataclasses.asdict(make_spec())
    run_scan(again, tmp_path / "second")
    assert shards_of(tmp_path / "first") == shards_of(tmp_path / "second")


def test_progress_moves_within_a_shard(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    """One shard holds the whole file: whoever waits sees rows go by, up to all of them and never back."""

    class Listens(Silent):
        def __init__(self) -> None:
            self.rows: list[int] = []

        def tick(self, tally: Tally) -> None:
            self.rows.append(tally.rows)

    for baseline in ("last-prompt", "generate"):
        listener = Listens()
        run_scan(make_spec(baseline=baseline, shard_rows=64, token_budget=100), tmp_path / baseline, progress=listener)
        assert listener.rows == sorted(listener.rows)
        assert len({n for n in listener.rows if 0 < n < listener.rows[-1]}) > 5


def test_progress_does_not_go_back_for_answers_after_the_scores(tmp_path: Path) -> None:
    """As `--refine` asks for them: the rows are scored, then some are answered, and scored again."""
    shown: list[int] = []
    listener = Silent()
    listener.tick = lambda tally: shown.append(tally.rows)  # type: ignore[method-assign]
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "response": "b"}\n' * 40)
    dataset = open_dataset([str(rows)])
    with RunFolder.open(tmp_path / "out", {"traits": ["evil"]}) as folder:
        meter = Meter(folder, dataset, listener, MaxErrors(), {})
        window = next(dataset.windows(40))
        meter.start(window)
        for _ in range(4):
            meter.scored(25, 100)
        for done in range(3):
            meter.answering(done, 2, 5)
        meter.scored(30, 30)
    assert shown == sorted(shown)
    assert shown[:5] == [0, 10, 20, 30, 39]
