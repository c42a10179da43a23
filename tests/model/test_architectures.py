"""Scores equal the plainest thing that can be written: one sample, no padding, the whole model, all hidden states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from screen.errors import ModelError
from screen.model.faults import MemoryRanOut
from screen.model.forward.items import Branch, Item
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove
from screen.model.generate import Generator, Sampling, eos_ids, rows_at_once
from screen.model.load import BaseModel, load_model
from tests.model.architectures import longrope, save_random

LAYERS = (0, 1, 2, 3)
PACKED = Batching("packed", "blocks", prefix_sharing=True)
RNG = np.random.default_rng(7)
SEQUENCES = [RNG.integers(3, 97, n).astype(np.int32) for n in (1, 2, 31, 63, 40, 7, 100)]
# beginnings in common, one in the other, and equal ones
ALIKE = [*SEQUENCES, *(np.concatenate([SEQUENCES[3][:n], SEQUENCES[4][:m]]) for n, m in ((40, 9), (50, 1), (17, 30)))]
ALIKE += [SEQUENCES[6][:70], SEQUENCES[3]]
VECTORS = RNG.normal(size=(len(LAYERS), 32)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def load(folder: Path, deepest: int = 3, generate: bool = False) -> BaseModel:
    return load_model("tiny", folder, deepest=deepest, generate=generate, dtype="float32", device="cpu")


@torch.no_grad()
def reference(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(projections, norms of h), each (tokens, layers), a sequence."""
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    out = []
    for ids in ALIKE:
        states = model(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True).hidden_states
        h = np.stack([states[n][0].numpy() for n in LAYERS], axis=1)
        out.append((np.einsum("tld,ld->tl", h, VECTORS), np.linalg.norm(h, axis=2)))
    return out


@pytest.mark.parametrize("mode", ["proved", "padded", "alone"])
@pytest.mark.parametrize("budget", [1, 128, 4096])
def test_projections_equal_the_reference(architecture: tuple[str, Path], mode: str, budget: int) -> None:
    _, folder = architecture
    model = load(folder)
    batching = prove(model, LAYERS).batching if mode == "proved" else Batching(mode)
    projector = Projector(model, VECTORS, LAYERS, batching, budget)
    order = RNG.permutation(len(ALIKE))
    got = projector.project([Item(ALIKE[i], np.arange(len(ALIKE[i]), dtype=np.int32)) for i in order])
    ours = np.concatenate(got)
    want = reference(folder)
    plain = np.concatenate([want[i][0] for i in order])
    norms = np.concatenate([want[i][1] for i in order])
    assert np.max(np.abs(ours - plain) / norms) < 1e-4
    for j in range(len(LAYERS)):
        slope, offset = np.polyfit(plain[:, j], ours[:, j], 1)
        assert slope == pytest.approx(1, abs=1e-5)
        assert offset == pytest.approx(0, abs=1e-5 * float(norms[:, j].mean()))


def test_the_last_layer_is_what_transformers_calls_it(architecture: tuple[str, Path]) -> None:
    """hidden_states[-1] is taken after the final norm; layer 4 of 4 blocks is that."""
    _, folder = architecture
    projector = Projector(load(folder, deepest=4), VECTORS[:1], [4], Batching("padded"), 512)
    ours = projector.project([Item(s, np.arange(len(s), dtype=np.int32)) for s in SEQUENCES])
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for ids, got in zip(SEQUENCES, ours, strict=True):
        with torch.no_grad():
            h = model(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True).hidden_states[-1][0].numpy()
        np.testing.assert_allclose(got[:, 0], h @ VECTORS[0], atol=1e-4 * np.linalg.norm(h, axis=1).max())


def test_what_packing_is_proved_on(architecture: tuple[str, Path]) -> None:
    """Every model that goes through the attention registry packs; GPT-Neo does not, and is padded with a reason."""
    name, folder = architecture
    proof = prove(load(folder), LAYERS)
    if name == "gpt_neo":
        assert proof.batching == Batching("padded")
        assert proof.reason.startswith("packed, blocks, prefix sharing differs from batch 1 by")
    else:
        assert (proof.batching, proof.reason) == (PACKED, "agrees with batch 1")
    assert proof.difference < 1e-5


def test_only_the_needed_layers_are_loaded(architecture: tuple[str, Path]) -> None:
    _, folder = architecture
    model = load(folder, deepest=2)
    assert (model.loaded_layers, model.n_layers, model.notes) == (2, 4, ())


def test_other_models_keep_nothing_apart(architecture: tuple[str, Path]) -> None:
    assert load(architecture[1]).apart is None


@pytest.mark.parametrize("mode", ["proved", "fused", "padded"])
def test_positions_that_change_with_the_longest_sequence(mode: str, tmp_path: Path) -> None:
    """longrope: a short row must not be turned as its long neighbour is, whatever the budget."""
    model = load(save_random(longrope(), tmp_path))
    assert model.apart == 64
    fused = Batching("packed", "blocks", prefix_sharing=True, fused=True)
    batching = {"fused": fused, "padded": Batching("padded")}.get(mode) or prove(model, LAYERS).batching
    assert mode != "proved" or batching == PACKED
    items = [Item(s, np.arange(len(s), dtype=np.int32)) for s in ALIKE]
    plain = Projector(model, VECTORS, LAYERS, Batching("alone"), 1).project(items)
    for budget in (100, 4096):
        for ours, want in zip(Projector(model, VECTORS, LAYERS, batching, budget).project(items), plain, strict=True):
            np.testing.assert_allclose(ours, want, atol=1e-4)


@pytest.mark.parametrize("windowed", ["mistral", "gemma3"], indirect=True)
def test_the_short_window_matters(windowed: tuple[Path, Path]) -> None:
    """The test above would not see a window that nobody applies: here the window changes the scores."""
    narrow, wide = (load(folder) for folder in windowed)
    item = Item(SEQUENCES[-1], np.arange(100, dtype=np.int32))
    a, b = (np.asarray(Projector(m, VECTORS, LAYERS, PACKED, 512).project([item])[0]) for m in (narrow, wide))
    np.testing.assert_allclose(a[:8], b[:8], atol=1e-4)
    assert np.abs(a[8:] - b[8:]).max() > 0.1


def test_answers_equal_greedy_generate_whatever_the_batch(architecture: tuple[str, Path]) -> None:
    _, folder = architecture
    model = load(folder, generate=True)
    generator = Generator(model, frozenset({5, 6}), Sampling(max_new_tokens=12))
    answers = generator.answer(SEQUENCES)
    assert generator.answer(SEQUENCES[::-1]) == answers[::-1]
    config = hf.GenerationConfig(do_sample=False, max_new_tokens=12, eos_token_id=[5, 6], pad_token_id=0)
    for ids, answer in zip(SEQUENCES, answers, strict=True):
        prompt = torch.tensor(ids[None].astype(np.int64))
        plain = model.causal.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
        tokens = plain[0, len(ids) :].tolist()
        ended = next((i for i, t in enumerate(tokens) if t in (5, 6)), None)
        assert answer is not None
        assert list(answer.ids) == (tokens if ended is None else tokens[:ended])
        assert answer.truncated == (ended is None)


def test_samples_depend_on_seed_prompt_and_draw_not_on_the_batch(llama: Path) -> None:
    model = load(llama, generate=True)
    generator = Generator(model, frozenset(), Sampling(max_new_tokens=10, temperature=1.0, seed=3))
    prompts = [SEQUENCES[2], SEQUENCES[3], SEQUENCES[2]]
    first, other, second = generator.answer(prompts)
    assert first != second
    assert generator.answer([SEQUENCES[2]], draws=[1]) == [second]
    assert generator.answer(prompts[::-1]) == [first, other, second]
    assert Generator(model, frozenset(), Sampling(10, 1.0, seed=4)).answer(prompts)[0] != first


def test_every_eos_of_the_model_ends_an_answer(llama: Path) -> None:
    model = load(llama, generate=True)
    (model.folder / "generation_config.json").write_text('{"eos_token_id": [7, 8]}')
    assert eos_ids(model, 9) == {2, 7, 8, 9}


def test_a_prompt_that_fills_the_context_gets_no_answer(llama: Path) -> None:
    generator = Generator(load(llama, generate=True), frozenset(), Sampling(max_new_tokens=50))
    full, nearly = np.full(256, 5, dtype=np.int32), np.full(250, 5, dtype=np.int32)
    none, short = generator.answer([full, nearly])
    assert none is None
    assert short is not None
    assert len(short.ids) == 6
    assert short.truncated


def test_the_number_of_rows_is_the_users_and_by_device_otherwise(llama: Path) -> None:
    model = load(llama, generate=True)
    three = Generator(model, frozenset({5}), Sampling(max_new_tokens=6, rows=3))
    assert (three.rows, Generator(model, frozenset(), Sampling()).rows) == (3, 16)
    assert (rows_at_once("cuda:1"), rows_at_once("mps")) == (64, 16)
    sixteen = Generator(model, frozenset({5}), Sampling(max_new_tokens=6)).answer(SEQUENCES)
    assert three.answer(SEQUENCES) == sixteen  # in float32, with no two tokens nearly alike


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_answers_that_do_not_fit_say_what_to_do(
    kind: type[Exception], llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator(load(llama, generate=True), frozenset(), Sampling(rows=8))

    def full(*_: object) -> None:
        raise kind("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(generator, "_logits", full)
    with pytest.raises(ModelError, match=r"while 8 prompts were answered at once \(CUDA out of memory") as caught:
        generator.answer(SEQUENCES)
    assert "--generation-batch-size 2" in caught.value.next_step


def test_one_poison_sequence_costs_itself_only(llama: Path) -> None:
    projector = Projector(load(llama), VECTORS, LAYERS, PACKED, 4096)
    poison = np.asarray([5, 1000, 5], dtype=np.int32)
    items = [Item(s, np.arange(len(s), dtype=np.int32)) for s in [*SEQUENCES[:3], poison, *SEQUENCES[3:]]]
    got = projector.project(items)
    assert got[3] == "IndexError: token id 1000 is not in the model's 97"
    clean = projector.project([item for i, item in enumerate(items) if i != 3])
    for a, b in zip([g for i, g in enumerate(got) if i != 3], clean, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_branches_are_scored_as_sequences_of_their_own(architecture: tuple[str, Path]) -> None:
    """Prompt, answer and baseline responses of a conversation in one pass: what each is as a sequence at batch 1."""
    _, folder = architecture
    model = load(folder)
    talk, own = SEQUENCES[6], [SEQUENCES[5], SEQUENCES[4]]
    item = Item(talk, np.arange(20, 100, dtype=np.int32), np.array([80], dtype=np.int32), (
        Branch(20, own[0]), Branch(60, own[1]), Branch(0, own[0])
    ))  # fmt: skip
    controls = {"controls": VECTORS, "control_layers": LAYERS}
    [got] = Projector(model, VECTORS, LAYERS, prove(model, LAYERS).batching, 4096, **controls).measure([item])
    assert not isinstance(got, str)
    alone = Projector(model, VECTORS, LAYERS, Batching("alone"), 1)
    parts = [
        (talk, 20),
        (np.concatenate([talk[:20], own[0]]), 20),
        (np.concatenate([talk[:60], own[1]]), 60),
        (own[0], 0),
    ]
    want = alone.project([Item(ids, np.arange(at, len(ids), dtype=np.int32)) for ids, at in parts])
    np.testing.assert_allclose(got.tokens, np.concatenate(want), atol=1e-4)
    np.testing.assert_allclose(got.means, np.stack([np.asarray(w).mean(0) for w in want]), atol=1e-4)


def test_a_poison_answer_is_told_from_the_prompt_it_shares(llama: Path) -> None:
    bad = np.concatenate([SEQUENCES[3], np.asarray([1000], dtype=np.int32)])
    items = [Item(s, np.arange(len(s), dtype=np.int32)) for s in (bad, SEQUENCES[3], ALIKE[7])]
    got = Projector(load(llama), VECTORS, LAYERS, PACKED, 4096).project(items)
    assert got[0] == "IndexError: token id 1000 is not in the model's 97"
    alone = Projector(load(llama), VECTORS, LAYERS, Batching("alone"), 1).project(items[1:])
    for a, b in zip(got[1:], alone, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def sizes_tried(projector: Projector, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the tokens a batch of each attempt."""
    sizes: list[int] = []
    planned = projector._planned

    def noted(*arguments: Any) -> Any:
        sizes.append(arguments[-1])
        return planned(*arguments)

    monkeypatch.setattr(projector, "_planned", noted)
    return sizes


@pytest.mark.parametrize(
    "told",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "Triton Error [CUDA]: out of memory",
        "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_memory_runs_out_in_many_words(told: str, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    projector = Projector(load(llama), VECTORS, LAYERS, PACKED, 1000)
    real, failed = projector._batch, []

    def once(*arguments: object) -> object:
        if not failed:
            failed.append(told)
            raise RuntimeError(told)
        return real(*arguments)

    monkeypatch.setattr(projector, "_batch", once)
    sizes = sizes_tried(projector, monkeypatch)
    got = projector.project([Item(s, np.arange(len(s), dtype=np.int32)) for s in SEQUENCES])
    assert (sizes, [g for g in got if isinstance(g, str)]) == ([1000, 500], [])


def test_a_device_that_failed_ends_the_run(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row after it would fail too: none of them is to blame."""
    projector = Projector(load(llama), VECTORS, LAYERS, PACKED, 1000)

    def broken(*_: object) -> object:
        raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(projector, "_batch", broken)
    with pytest.raises(ModelError, match="cpu failed: CUDA error: device-side assert triggered"):
        projector.project([Item(s, np.arange(len(s), dtype=np.int32)) for s in SEQUENCES])


def test_out_of_memory_halves_the_budget_and_loses_nothing(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a device that holds 100 tokens: more in one batch raise what torch raises."""
    projector = Projector(load(llama), VECTORS, LAYERS, PACKED, 1000)
    items = [Item(s, np.arange(len(s), dtype=np.int32)) for s in SEQUENCES]
    whole = projector.project(items)
    real = projector._batch

    def small(parts: list[Item], *rest: object) -> object:
        if sum(len(p.ids) for p in parts) > 90:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return real(parts, *rest)

    monkeypatch.setattr(projector, "_batch", small)
    sizes = sizes_tried(projector, monkeypatch)
    got = projector.project(items)
    assert sizes == [1000, 500, 250, 125, 62]
    with pytest.raises(MemoryRanOut):
        projector.measure(items, budget=1000)
    assert got[-1] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB."
    for a, b in zip(got[:-1], whole[:-1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
