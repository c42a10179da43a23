"""Answers kept on disk, and answers from an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screen.errors import ModelError
from screen.making.build import build_vectors
from screen.making.speaker import Ask, Push, Speaker
from screen.making.spec import BuildSpec
from screen.making.workshop import open_workshop
from screen.model.endpoint import EndpointError
from screen.model.endpoint_replies import Completion
from screen.model.generate import Generator, Sampling, eos_ids
from screen.model.load import load_model
from screen.model.remote import RemoteGenerator
from screen.progress import Silent
from screen.vectors.files import load_vector
from tests.making.even import even_judge

SAMPLED = Sampling(6, 1.0, 0)


@pytest.fixture
def speaker(spec: BuildSpec, tmp_path: Path) -> Speaker:
    return open_workshop(spec, tmp_path, even_judge, Silent()).speaker


def texts(speaker: Speaker, asks: Sequence[Ask], **more: Any) -> list[str]:
    return [s.text for s in speaker.answer(asks, SAMPLED, **more)]


def test_an_answer_is_a_function_of_prompt_and_draw(speaker: Speaker) -> None:
    asks = [Ask("Why?", draw=n) for n in range(3)] + [Ask("How?", "Be brief.")]
    first = texts(speaker, asks)
    assert len(set(first)) == 4
    assert texts(speaker, asks[::-1]) == first[::-1]
    assert (speaker.generated, speaker.reused) == (4, 4)


def test_a_steered_answer_is_another_answer(speaker: Speaker) -> None:
    push = Push(1, np.full(32, 5.0, dtype=np.float32))
    assert texts(speaker, [Ask("Why?")], push=push) != texts(speaker, [Ask("Why?")])


def test_the_answer_is_read_after_its_question_alone(speaker: Speaker) -> None:
    (said,) = speaker.answer([Ask("Why?", "Be brief.")], SAMPLED)
    alone = speaker.alone(said)
    assert alone.ids[alone.start : alone.end].tolist() == said.tokens.ids[said.tokens.start :].tolist()
    assert alone.ids[: alone.start].tolist() == speaker.prompt("Why?").tolist()
    assert len(alone.ids) < len(said.tokens.ids)


def test_a_prompt_beyond_the_context_is_told(speaker: Speaker) -> None:
    with pytest.raises(ModelError, match="a system prompt with its question takes 6"):
        texts(speaker, [Ask("Why?", "x" * 600)])


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


def remote(speaker: Speaker, served: Served) -> Speaker:
    speaker.remote = RemoteGenerator(served, speaker.tokenizer, frozenset({257}), 512)  # type: ignore[arg-type]
    return speaker


def test_an_endpoint_gives_ids_without_the_end_mark(speaker: Speaker) -> None:
    served = Served()
    (said, other) = remote(speaker, served).answer([Ask("Why?"), Ask("Why?", draw=1)], SAMPLED, elsewhere=True)
    first = int(speaker.prompt("Why?")[0])
    assert said.tokens.ids[said.tokens.start :].tolist() == [first] * 3
    assert not said.cut
    assert len(set(served.seeds[1:])) == 2  # one was the question whether it knows the settings
    assert other.text == said.text


def test_an_endpoint_without_ids_or_settings_gives_text(speaker: Speaker) -> None:
    (said,) = remote(speaker, Served(ids=False, knows=False)).answer([Ask("Why?")], SAMPLED, elsewhere=True)
    assert said.text == "abc"


def test_steering_stays_with_the_model_here(speaker: Speaker) -> None:
    served = Served()
    remote(speaker, served).answer([Ask("Why?")], SAMPLED, Push(1, np.zeros(32, dtype=np.float32)))
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
        return [Completion("", made.cut, made.ids, len(prompt))]


def test_a_build_says_where_its_answers_came_from(spec: BuildSpec, tmp_path: Path) -> None:
    served: Any = Mirror(spec.model)
    built = build_vectors(spec, tmp_path, judge=even_judge, answers_from=served)
    if built.made:
        assert load_vector(built.made[0].path).card["sampling"]["answers_from"] == "endpoint: served"
    else:
        assert "were kept" in built.refused[0].message


def test_a_build_refuses_the_answers_of_another_model(spec: BuildSpec, tmp_path: Path) -> None:
    served: Any = Served()
    with pytest.raises(ModelError, match="the endpoint 'served' answers as another model"):
        build_vectors(spec, tmp_path, judge=even_judge, answers_from=served)
