"""Projections while a model generates: those that the text has when it is scored afterwards."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from screen.data.sample import Skip
from screen.errors import ModelError, UsageError, VectorError
from screen.monitor import Monitor
from screen.monitor.live import LiveResponse
from screen.monitor.scores import MessageScorer
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.steering.hook import blocks_of, steered

ASKS = ["Hello!", "How do I boil an egg so that it stays soft inside?", "Is my plan good?"]


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL_DIR, padding_side="left")


def inputs(tokenizer: Any, asks: Sequence[str] = ASKS) -> Any:
    talks = [[{"role": "user", "content": ask}] for ask in asks]
    return tokenizer.apply_chat_template(
        talks, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )


def generated(model: Any, tokenizer: Any, **options: Any) -> list[LiveResponse]:
    with Monitor(model, VECTORS_DIR, traits=TRAITS) as monitor:
        return monitor.responses(model.generate(**inputs(tokenizer), **{"max_new_tokens": 60, **options}))


def test_a_mean_is_that_of_the_text_scored_afterwards(model: Any, tokenizer: Any) -> None:
    torch.manual_seed(0)
    responses = generated(model, tokenizer, do_sample=True)
    texts = [tokenizer.decode(response.ids) for response in responses]
    rows = zip(ASKS, texts, strict=True)
    talks = [{"messages": [{"role": "user", "content": a}, {"role": "assistant", "content": t}]} for a, t in rows]
    for response, talk in zip(responses, MessageScorer.open(traits=TRAITS).score(talks), strict=True):
        assert not isinstance(talk, Skip)
        assert len(response.ids) == talk[0].tokens > 3  # the tokens that are scored are the same
        assert response.unread == 0
        assert response.mean.tolist() == pytest.approx([talk[0].traits[t].projection for t in TRAITS], abs=1e-5)
        assert response.prompt.tolist() == pytest.approx([talk[0].traits[t].baseline for t in TRAITS], abs=1e-5)
        assert response.score == pytest.approx({t: talk[0].traits[t].score for t in TRAITS}, abs=2e-5)


def test_without_a_cache_and_cut_short_it_reads_the_same(model: Any, tokenizer: Any) -> None:
    whole = generated(model, tokenizer, do_sample=False)
    for options in ({"use_cache": False}, {}):
        short = generated(model, tokenizer, do_sample=False, max_new_tokens=6, **options)
        for a, b in zip(whole, short, strict=True):
            assert (b.ids, b.unread) == (a.ids[:5], 1)  # the sixth was never run
            assert np.allclose(a.tokens[:5], b.tokens, atol=1e-4)
            assert np.allclose(a.prompt, b.prompt, atol=1e-4)


@pytest.mark.parametrize("layer", [0, 3, 6])
def test_every_layer_is_that_of_hidden_states(model: Any, tokenizer: Any, layer: int) -> None:
    with Monitor(model, VECTORS_DIR, traits=("evil",), layers={"evil": layer}) as monitor:
        batch = inputs(tokenizer, ASKS[:1])
        states = model(**batch, output_hidden_states=True).hidden_states[layer][0, -1]
        [response] = monitor.responses()
    assert response.prompt[0] == pytest.approx(float(states @ torch.from_numpy(monitor.vectors.matrix()[0])), abs=1e-4)
    assert np.isnan(response.mean).all()  # nothing was generated


def test_each_step_is_told_as_it_comes(model: Any, tokenizer: Any) -> None:
    seen: list[np.ndarray] = []
    with Monitor(model, VECTORS_DIR, traits=TRAITS, each=seen.append) as monitor:
        responses = monitor.responses(model.generate(**inputs(tokenizer), max_new_tokens=8, do_sample=False))
    assert [step.shape for step in seen] == [(3, 3)] * 8
    assert np.array_equal(np.stack([r.prompt for r in responses]), seen[0])
    assert np.array_equal(responses[1].tokens, np.stack([step[1] for step in seen[1:]]))


def test_what_is_steered_reads_the_sum(model: Any, tokenizer: Any) -> None:
    with Monitor(model, VECTORS_DIR, traits=("evil",)) as monitor:
        layer, unit = monitor.vectors.layers[0], torch.from_numpy(monitor.vectors.matrix()[0])
        before = generated(model, tokenizer, max_new_tokens=2, do_sample=False)
        with steered(blocks_of(model), {layer: 5.0 * unit}):
            model.generate(**inputs(tokenizer), max_new_tokens=2, do_sample=False)
        after = monitor.responses()
    moved = [b.prompt[0] - a.prompt[list(TRAITS).index("evil")] for a, b in zip(before, after, strict=True)]
    assert moved == pytest.approx([5.0] * 3, abs=1e-4)


def hooks(model: Any) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_hooks_are_gone_whatever_is_raised(model: Any, tokenizer: Any) -> None:
    before, monitor = hooks(model), Monitor(model, VECTORS_DIR)
    with monitor, pytest.raises(UsageError, match="watches already"):
        monitor.__enter__()
    assert hooks(model) == before
    with pytest.raises(IndexError, match="out of range"), monitor:
        model(input_ids=torch.full((1, 3), 10**6))
    assert hooks(model) == before
    with monitor, pytest.raises(ModelError, match="given embeddings"):
        model(inputs_embeds=torch.zeros(1, 3, model.config.hidden_size))
    assert hooks(model) == before


def test_beams_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="not what the monitor saw"):
        generated(model, tokenizer, num_beams=3, max_new_tokens=12)


def test_adapters_are_looked_through(model: Any, tokenizer: Any) -> None:
    peft = pytest.importorskip("peft")
    plain = generated(model, tokenizer, max_new_tokens=4, do_sample=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an older name
        adapted = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(target_modules="all-linear"))
    found = generated(adapted, tokenizer, max_new_tokens=4, do_sample=False)
    assert [f.ids for f in found] == [p.ids for p in plain]
    assert np.allclose(found[0].tokens, plain[0].tokens, atol=1e-4)


def test_vectors_of_another_model_are_refused(model: Any, tiny_vectors: Any) -> None:
    with pytest.raises(VectorError, match="hidden size"):
        Monitor(model, tiny_vectors)
    with pytest.raises(ModelError, match="is not a transformers model"):
        Monitor(torch.nn.Linear(2, 2), VECTORS_DIR)
