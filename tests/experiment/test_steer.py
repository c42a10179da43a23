"""`screen steer`: answers with vectors added beside those without, and what is told of both."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from screen_reports.console import Terminal
from screen_reports.training.steering import print_trial
from transformers import AutoModelForCausalLM

from screen.cli.main import run as screen
from screen.errors import UsageError, VectorError
from screen.experiment.inference.chat import SteeredChat
from screen.experiment.inference.files import read_questions, texts_of
from screen.experiment.inference.steered_model import AskedPrompt, SteeredModel, SteeredSpec, open_steered
from screen.experiment.inference.trial import Trial, TrialSide, try_steering
from screen.model.generate import Sampling
from screen.pocket import VECTORS_DIR
from screen.steering.given import steering_vectors
from screen.traits.trait import load_trait
from screen.vectors.files import load_vector, save_vector
from tests.schemas import validated

SHORT = Sampling(max_new_tokens=6)
ASKED = ["Who are you?", "What is love?", "Say nothing."]


def opened(model: Path, vectors: Path, coefficient: float, **how: object) -> SteeredModel:
    given = steering_vectors([str(vectors), f"evil={coefficient}"], str(model), **how)  # type: ignore[arg-type]
    return open_steered(SteeredSpec(model=str(model), judge="none"), given)


def plain_loss(folder: Path, prompt: np.ndarray, answer: tuple[int, ...], shift: torch.Tensor) -> float:
    """By transformers alone: layer 2 is the output of the second block."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.layers[1].register_forward_hook(lambda _module, _args, out: out + shift)
    ids = torch.tensor([[*prompt.tolist(), *answer]])
    labels = torch.tensor([[*([-100] * len(prompt)), *answer]])
    return float(model(input_ids=ids, labels=labels).loss.detach())


def test_the_loss_is_that_of_the_model_with_the_vector_and_without(tiny_model: Path, tiny_vectors: Path) -> None:
    model = opened(tiny_model, tiny_vectors, 3.0)
    trial = try_steering(model, ASKED[:1], 1, SHORT)
    prompt, shift = model.sampler.prompt(ASKED[0]), 3 * torch.from_numpy(model.steering.vectors[0].at(2))
    ids = model.answer([AskedPrompt(ASKED[0], prompt)], SHORT, added=False).responses[0].ids
    assert len(ids) == trial.loss_tokens == 6
    for side, added in ((trial.without, 0 * shift), (trial.steered, shift)):
        assert side.loss == pytest.approx(plain_loss(tiny_model, prompt, ids, added), rel=1e-5)
    assert trial.steered.answers != trial.without.answers
    assert trial.unjudged == {"evil": "no judge was asked for"}


def test_nothing_added_changes_nothing_one_layer_or_all(tiny_model: Path, tiny_vectors: Path) -> None:
    for layers in ("one", "all"):
        trial = try_steering(opened(tiny_model, tiny_vectors, 0.0, layers=layers), ASKED, 2, Sampling(6, 1.0))
        assert trial.steered.answers == trial.without.answers
        assert trial.steered.loss == trial.without.loss
        assert len(set(trial.without.answers)) > 3  # two draws of each differ


def test_the_change_is_paired_by_question_and_not_told_of_few() -> None:
    def trial(questions: int, up: float) -> Trial:
        scores = np.repeat(np.linspace(0, 50, questions), 2)
        sides = [TrialSide(("",) * 2 * questions, {"evil": tuple(scores + s)}, (), 1, 1.0, 0, None) for s in (0, up)]
        return Trial(("?",) * questions, 2, sides[0], sides[1], {}, "texts", 0)

    change = trial(5, 20.0).change("evil")
    assert change is not None
    assert tuple(change) == pytest.approx((20.0, 20.0, 20.0))  # however far apart the questions are
    assert trial(4, 20.0).change("evil") is None
    assert trial(5, 20.0).change("coherence") is None


def test_a_chat_remembers_until_it_begins_anew(tiny_model: Path, tiny_vectors: Path) -> None:
    chat = SteeredChat(opened(tiny_model, tiny_vectors, 1.0), SHORT)
    first = chat.answer("Hello")
    chat.answer("Hello")
    chat.begin_anew()
    assert chat.answer("Hello") == first
    trial = chat.cost()
    assert trial is not None
    assert trial.questions == ("Hello",) * 3
    assert trial.without.answers[0] == trial.without.answers[2]
    with pytest.raises(UsageError, match="fills the model's context"):
        chat.answer("long " * 200)
    assert chat.cost() is not None


def test_texts_are_answers_of_a_dataset_of_any_shape(tiny_model: Path, tiny_vectors: Path, chats: Path) -> None:
    model = opened(tiny_model, tiny_vectors, 1.0)
    lessons = texts_of(str(chats), model)
    assert len(lessons) == 40
    said = model.sampler.tokenizer.decode(lessons[1].ids[lessons[1].learnt])
    assert said.startswith("It is 1. It is 1.")


@pytest.mark.parametrize(
    ("line", "message"),
    [("{broken", ":2: not JSON"), ('{"q": "x"}', ":2: not a question"), ('"\\ud800"', ":2: .* half a character"),
     ("[]", ":2: not a question"), ('" "', ":2: the question is empty")],
)  # fmt: skip
def test_a_bad_line_of_questions_is_told(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "Why?"}\n\n'.replace("\n\n", "\n") + line + "\n")
    with pytest.raises(UsageError, match=message):
        read_questions(path)
    path.write_text('{"question": "Why?"}\n\n{"prompt": "How?"}\n"When?"\n')
    assert read_questions(path) == ["Why?", "How?", "When?"]


def test_a_vector_of_another_model_is_refused(tiny_model: Path) -> None:
    embedded = steering_vectors(["evil=1"], "pocket")
    with pytest.raises(VectorError, match=r"was not made for .*: its hidden size is 192, the model's is 32"):
        open_steered(SteeredSpec(model=str(tiny_model), judge="none"), embedded)


def test_the_embedded_model_turns_evil(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "six.jsonl").write_text("".join(json.dumps(q) + "\n" for q in load_trait("evil").evaluate[:6]))
    asked = ["--eval", str(tmp_path / "six.jsonl"), "--max-new-tokens", "12", "-q", "--json"]
    assert screen(["steer", "--vectors", "evil=2", *asked]) == 0
    (told,) = validated("steer-answer", capsys.readouterr().out)
    assert told["change"]["evil"]["low"] > 20
    assert told["steered"]["loss"] > told["without"]["loss"]


def test_the_table_holds_the_figures_of_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    sides = [TrialSide(("\x1b[2J",) * 5, {"evil": (s,) * 5}, (90.0,) * 5, 100, 2.0, 1, 2.0 * s) for s in (40.0, 10.0)]
    trial = Trial(("?",) * 5, 1, sides[0], sides[1], {"kind": "no rules"}, "texts", 70)
    print_trial(Terminal(), trial, "evil -1", answers=True)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b" not in said.replace("\\x1b", "")
    for line in (
        "evil of 100 40.0 10.0 -30.0 (-30.0 to -30.0)",
        "loss, your texts 80.000 20.000 -75.0 %",
        "tokens/s 50 50",
        "cut at the length limit 1 of 5 1 of 5",
        "5 questions; loss in nats a token on the answers given (70 tokens)",
        "kind: no rules",
    ):
        assert line in " ".join(said.split())


def test_talk_through_a_pipe_and_a_trait_that_nobody_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = load_vector(VECTORS_DIR / "evil.safetensors")
    save_vector(replace(odd, trait="oddness"), tmp_path / "oddness.safetensors")
    monkeypatch.setattr("sys.stdin", io.StringIO("How are you?\n\n/new\nHow are you?\n/quit\nnever read\n"))
    command = ["steer", "--vectors", f"{tmp_path / 'oddness.safetensors'}=-1", "--chat", "--max-new-tokens", "4"]
    assert screen(command) == 0
    said = capsys.readouterr().out
    first, second, *_ = said.splitlines()
    assert first == second
    assert "the library has no such" in said  # and no file was given
    assert "2 questions" in said


def test_an_export_is_told_as_its_schema_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(["steer", "export", "--vectors", "evil=-1.5", "-o", str(tmp_path / "adapter"), "--json"]) == 0
    (told,) = validated("steer-export", capsys.readouterr().out)
    assert [Path(file).name for file in told["written"]] == ["steering.py", "steering.safetensors", "steering.gguf"]
    assert told["vectors"][0]["coefficient"] == -1.5
    assert json.dumps(str(tmp_path)) not in json.dumps(told["vectors"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hi"], "names no vector with a coefficient"),
        (["--vectors", "evil=1"], "give one of a prompt, --chat and --eval"),
        (["--vectors", "evil=1", "--chat", "hi"], "give one of a prompt, --chat and --eval"),
        (["--vectors", "evil=1", " "], "the prompt: the question is empty"),
        (["--vectors", "evil=1", "--layer", "evil=0", "hi"], "layer 0 of 'evil' is the embeddings"),
        (["--vectors", "evil=1e300", "hi"], "makes numbers too large to add"),
        (["--vectors", "evil=1", "--text", "gone.jsonl", "hi"], "gone.jsonl: no such file"),
        (["--vectors", "evil=1", "--eval", "gone.jsonl"], "gone.jsonl cannot be read"),
        (["--model", "/gone", "--vectors", "evil=1", "hi"], "no model folder at /gone"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(["steer", "-q", *arguments]) in (2, 4)
    assert message in capsys.readouterr().err
