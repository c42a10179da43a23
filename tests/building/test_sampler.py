"""Answers kept on disk, and answers from an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screen.building.build import build_vectors
from screen.building.sampler import Question, Sampler, Steering
from screen.building.spec import BuildSpec
from screen.building.workshop import open_workshop
from screen.endpoint.client import EndpointError
from screen.endpoint.remote import RemoteGenerator
from screen.endpoint.replies import Completion
from screen.errors import ModelError
from screen.model.generate import Generator, Sampling, eos_ids
from screen.model.load import load_model
from screen.progress import Silent
from screen.vectors.files import load_vector
from tests.building.even import even_judge

SAMPLED = Sampling(6, 1.0, 0)


@pytest.fixture
def sampler(spec: BuildSpec, tmp_path: Path) -> Sampler:
    return open_workshop(spec, tmp_path, even_judge, Silent()).sampler


def texts(sampler: Sampler, asks: Sequence[Question], **more: Any) -> list[str]:
    return [s.text for s in sampler.answer(asks, SAMPLED, **more)]


def test_an_answer_is_a_function_of_prompt_and_draw(sampler: Sampler) -> None:
    asks = [Question("Why?", draw=n) for n in range(3)] + [Question("How?", "Be brief.")]
    first = texts(sampler, asks)
    assert len(set(first)) == 4
    assert texts(sampler, asks[::-1]) == first[::-1]
    assert (sampler.generated, sampler.reused) == (4, 4)


def test_a_steered_answer_is_another_answer(sampler: Sampler) -> None:
    steering = Steering(1, np.full(32, 5.0, dtype=np.float32))
    assert texts(sampler, [Question("Why?")], steering=steering) != texts(sampler, [Question("Why?")])


def test_the_answer_is_read_after_its_question_alone(sampler: Sampler) -> None:
    (said,) = sampler.answer([Question("Why?", "Be brief.")], SAMPLED)
    alone = sampler.alone(said)
    assert alone.ids[alone.start : alone.end].tolist() == said.tokens.ids[said.tokens.start :].tolist()
    assert alone.ids[: alone.start].tolist() == sampler.prompt("Why?").tolist()
    assert len(alone.ids) < len(said.tokens.ids)


def test_a_prompt_beyond_the_context_is_told(sampler: Sampler) -> None:
    with pytest.raises(ModelError, match="a system prompt with its question takes 6"):
        texts(sampler, [Question("Why?", "x" * 600)])


class Served:
    """An endpoint that answers with the last token of the prompt, thrice; `knows` vLLM's settings or not."""

    def __init__(self, ids: bool = True, knows: bool = True, text: str = "abc") -> None:
        self.ids, self.knows, self.text = ids, knows, text
        self.seeds: list[int] = []

    def find_model(self) -> str:
        return "served"

    def each(self, items: Sequence[Any], call: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        yield from reversed([(i, call(item)) for i, item in enumerate(items)])

    def complete(self, prompt: list[int], *, seed: int, extra: dict[str, Any], **_settings: Any) -> list[Completion]:
        if extra and not self.knows:
            raise EndpointError("unknown field top_k", "", kind="status", status=400)
        self.seeds.append(seed)
        return [Completion(self.text, False, (*[prompt[0]] * 3, 257, 257) if self.ids else None)]


def remote(sampler: Sampler, served: Served) -> Sampler:
    sampler.remote = RemoteGenerator(served, sampler.tokenizer, frozenset({257}), 512)  # type: ignore[arg-type]
    return sampler


def test_an_endpoint_gives_ids_without_the_end_mark(sampler: Sampler) -> None:
    served = Served()
    (said, other) = remote(sampler, served).answer(
        [Question("Why?"), Question("Why?", draw=1)], SAMPLED, elsewhere=True
    )
    first = int(sampler.prompt("Why?")[0])
    assert said.tokens.ids[said.tokens.start :].tolist() == [first] * 3
    assert not said.truncated
    assert len(set(served.seeds[1:])) == 2  # one was the question whether it knows the settings
    assert other.text == said.text


def test_an_endpoint_without_ids_or_settings_gives_text(sampler: Sampler) -> None:
    (said,) = remote(sampler, Served(ids=False, knows=False)).answer([Question("Why?")], SAMPLED, elsewhere=True)
    assert said.text == "abc"


def test_steering_stays_with_the_model_here(sampler: Sampler) -> None:
    served = Served()
    remote(sampler, served).answer([Question("Why?")], SAMPLED, Steering(1, np.zeros(32, dtype=np.float32)))
    assert served.seeds == []


class Mirror(Served):
    """An endpoint of the very model at `folder`."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.model = load_model("m", Path(folder), deepest=None, generate=True, dtype="float32", device="cpu")

    def complete(
        self, prompt: list[int], *, max_tokens: int, temperature: float, seed: int, **_more: Any
    ) -> list[Completion]:
        sampling = Sampling(max_tokens, temperature, seed, rows=1)
        ids = np.array(prompt, dtype=np.int32)
        (made,) = Generator(self.model, eos_ids(self.model, 257), sampling).answer([ids])
        assert made is not None
        return [Completion("", made.truncated, made.ids, len(prompt))]


def test_a_build_says_where_its_answers_came_from(spec: BuildSpec, tmp_path: Path) -> None:
    served: Any = Mirror(spec.model)
    built = build_vectors(spec, tmp_path, judge=even_judge, answers_from=served)
    if built.vectors:
        assert load_vector(built.vectors[0].path).card["sampling"]["answers_from"] == "endpoint: served"
    else:
        assert "were kept" in built.refused[0].message


def test_a_build_refuses_the_answers_of_another_model(spec: BuildSpec, tmp_path: Path) -> None:
    served: Any = Served()
    with pytest.raises(ModelError, match="the endpoint 'served' answers as another model"):
        build_vectors(spec, tmp_path, judge=even_judge, answers_from=served)
