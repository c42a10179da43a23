"""A server is compared with the model here before it answers: the same model, a near tie, or another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from screen.endpoint.failures import EndpointError
from screen.endpoint.remote import RemoteGenerator
from screen.endpoint.replies import Completion
from screen.endpoint.same_model import LENGTH, QUESTIONS, SameModel, common, proof_prompts
from screen.errors import ModelError
from screen.model.generate import Generator, Response, Sampling, logits_after
from screen.model.load import BaseModel, load_model
from screen.pocket import MODEL_DIR
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer(str(MODEL_DIR))
EOS = frozenset({int(TOKENIZER.hf.eos_token_id)})
PROMPTS = proof_prompts(TOKENIZER, load_template(TOKENIZER))
GREEDY = Sampling(max_new_tokens=LENGTH, rows=2)


@pytest.fixture(scope="module")
def model() -> BaseModel:
    return load_model("pocket", Path(MODEL_DIR), deepest=None, generate=True, dtype="float32", device="cpu")


def same(model: BaseModel, told: list[str] | None = None) -> SameModel:
    return SameModel(
        lambda sampling, prompts: Generator(model, EOS, sampling).answer(prompts),
        lambda ids: logits_after(model, ids),
        TOKENIZER,
        EOS,
        PROMPTS,
        (told if told is not None else []).append,
    )


def asked(model: BaseModel) -> Callable[[Any, Sampling], Response]:
    """A server of `model`."""

    def ask(prompt: Any, sampling: Sampling) -> Response:
        (answer,) = Generator(model, EOS, Sampling(sampling.max_new_tokens, rows=1)).answer([prompt])
        assert answer is not None
        return answer

    return ask


def nudged(model: BaseModel, by: float) -> BaseModel:
    """The model with other weights: `by` of their spread apart."""
    other = load_model("pocket", Path(MODEL_DIR), deepest=None, generate=True, dtype="float32", device="cpu")
    torch.manual_seed(0)
    for weight in other.causal.parameters():  # type: ignore[union-attr]
        weight.data += by * weight.std() * torch.randn_like(weight)
    return other


def test_the_same_model_passes_without_a_word(model: BaseModel) -> None:
    told: list[str] = []
    same(model, told).check("it", asked(model))
    assert told == []


def test_half_precision_passes(model: BaseModel) -> None:
    half = load_model("pocket", Path(MODEL_DIR), deepest=None, generate=True, dtype="bfloat16", device="cpu")
    same(model).check("it", asked(half))
    same(half).check("it", asked(model))


@pytest.mark.parametrize("by", [0.3, 1.0])
def test_another_model_is_an_error(model: BaseModel, by: float) -> None:
    with pytest.raises(ModelError, match=r"the endpoint 'it' answers as another model: .* at token \d+: here '"):
        same(model).check("it", asked(nudged(model, by)))


def changed(model: BaseModel, at: int, token: Callable[[torch.Tensor], int]) -> Callable[[Any, Sampling], Response]:
    """A server whose answers are this model's own up to `at`, and go on from another token."""

    def ask(prompt: Any, sampling: Sampling) -> Response:
        own = asked(model)(prompt, sampling)
        with torch.inference_mode():
            ids = torch.tensor([[*prompt.tolist(), *own.ids[:at]]])
            logits = model.causal(ids).logits[0, -1]  # type: ignore[misc]
        return Response((*own.ids[:at], token(logits)), True)

    return ask


def test_a_token_that_was_never_likely_is_an_error(model: BaseModel) -> None:
    with pytest.raises(ModelError, match="differs from this model's own at token 7"):
        same(model).check("it", changed(model, 6, lambda logits: int(logits.argmin())))


def test_a_near_tie_is_told_once_enough_agrees(model: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    second = changed(model, 6, lambda logits: int(logits.topk(2).indices[1]))
    monkeypatch.setattr("screen.endpoint.same_model.NEAR_TIE", 2.0)
    told: list[str] = []
    same(model, told).check("it", second)
    assert told[0].startswith("2 of 2 greedy answers of the endpoint 'it' differ")
    with pytest.raises(ModelError, match="agrees with this model on only 0 tokens"):
        same(model).check("it", changed(model, 0, lambda logits: int(logits.topk(2).indices[1])))


def test_answers_are_compared_to_their_end() -> None:
    assert common([1, 2, -1], [1, 2, -1]) == (3, False)
    assert common([1, 2, -1], [1, 2]) == (2, True)
    assert common([1, 2], [1, 3]) == (1, True)
    assert common([], []) == (0, False)


class Textual:
    """A server that takes prompts as text only, as `transformers serve` does, and serves `model`."""

    def __init__(self, model: BaseModel, seen: int = 0, extra: int = 1) -> None:
        self._ask, self._seen, self._extra = asked(model), seen, extra

    def find_model(self) -> str:
        return "textual"

    def each(self, items: Any, call: Callable[[Any], Any]) -> Any:
        return ((i, call(item)) for i, item in enumerate(items))

    def complete(self, prompt: Any, *, max_tokens: int, **_settings: Any) -> list[Completion]:
        if not isinstance(prompt, str):
            raise EndpointError("prompt must be a string", "", kind="status", status=400)
        ids = np.array(TOKENIZER.hf(prompt)["input_ids"], dtype=np.int32)
        made = self._ask(ids, Sampling(max_tokens))
        text = TOKENIZER.decode(made.ids)
        return [Completion(text, made.truncated, None, len(ids) + self._seen, len(made.ids) + self._extra)]


def remote(model: BaseModel, served: Any) -> RemoteGenerator:
    return RemoteGenerator(served, TOKENIZER, EOS, model.context, same(model))


def test_a_server_of_texts_gives_the_same_tokens(model: BaseModel) -> None:
    prompts = list(PROMPTS)
    own = Generator(model, EOS, GREEDY).answer(prompts)
    assert remote(model, Textual(model)).greedy(GREEDY).answer(prompts) == own
    with pytest.raises(ModelError, match="as text only and fills in sampling settings of its own"):
        remote(model, Textual(model)).answer(prompts, Sampling(8, temperature=1.0), lambda *_: None, [0, 0])


def test_a_server_that_adds_a_token_is_refused(model: BaseModel) -> None:
    with pytest.raises(ModelError, match=r"gives \d+ prompt tokens where \d+ were sent"):
        remote(model, Textual(model, seen=1)).greedy(GREEDY).answer(PROMPTS)


def test_a_server_that_leaves_tokens_out_is_refused(model: BaseModel) -> None:
    with pytest.raises(ModelError, match="of its answers have another number of tokens") as caught:
        remote(model, Textual(model, extra=3)).greedy(GREEDY).answer([*PROMPTS] * 3)
    assert "POST /completions that takes `prompt` as token ids" in caught.value.next_step


def test_a_server_that_takes_nothing_is_told_what_is_needed(model: BaseModel) -> None:
    class Deaf(Textual):
        def complete(self, prompt: Any, **_settings: Any) -> list[Completion]:
            raise EndpointError("HTTP 404", "", kind="status", status=404)

    with pytest.raises(ModelError, match="takes neither token ids nor text at /completions: HTTP 404") as caught:
        remote(model, Deaf(model)).greedy(GREEDY).answer(PROMPTS)
    assert "needed is a server of this model" in caught.value.next_step


def test_the_questions_are_not_the_same() -> None:
    assert len(set(QUESTIONS)) == len({p.tobytes() for p in PROMPTS}) == 2


def test_the_process_that_keeps_the_model_gives_the_same_logits(model: BaseModel) -> None:
    from screen.model.host import Loading
    from screen.scan.workers.guarded import Guarded

    ids = PROMPTS[0].tolist()
    with Guarded() as host:
        host.load(Loading("pocket", Path(MODEL_DIR), 1, True, "float32", "cpu", (1,)))
        assert np.allclose(host.logits(ids), logits_after(model, ids), atol=1e-4)
