"""A build on a tiny random model: whole, twice, stopped, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from screen.building.build import Built
from screen.building.spec import BuildSpec
from screen.errors import UsageError, VectorError
from screen.judges import Judge, Judgement, RuleJudge
from screen.model.generate import Generator
from screen.pocket import MODEL_DIR
from screen.vectors.files import load_vector
from screen.vectors.fit import choose
from tests.building.conftest import Build
from tests.building.even import TRAIT, blind_judge, even_judge, evenness

CARD = {
    "artefacts", "artefacts_sha256", "batching", "coefficient", "description", "format", "judge", "kept", "layer",
    "layer_choice", "model", "pooling", "prompts", "questions", "reference", "sampling", "sha256", "sides", "sign",
    "split_half", "standard_errors", "system_prompts", "thresholds", "trait", "validation", "versions", "warnings",
}  # fmt: skip


def only(built: Built) -> Path:
    assert not built.refused, built.refused
    return built.vectors[0].path


def test_a_vector_comes_with_its_whole_card(build: Build) -> None:
    vector = load_vector(only(build()))
    assert set(vector.card) == CARD
    assert vector.direction.shape == (4, 32)
    assert vector.card["layer"] in (1, 2)
    assert vector.card["kept"]["asked"] == 32
    assert vector.card["sampling"]["top_p"] == 1.0
    assert vector.card["judge"]["name"] == "even"
    assert len(vector.card["validation"]["auroc"]) == 4
    assert choose([vector], (), {}).layers == (vector.card["layer"],)


def test_one_seed_gives_the_same_bytes_and_another_does_not(build: Build, spec: BuildSpec, tmp_path: Path) -> None:
    first, again, other = (
        only(build(s, tmp_path / name)).read_bytes()
        for s, name in ((spec, "first"), (spec, "again"), (replace(spec, seed=1), "other"))
    )
    assert first == again
    assert first != other


class Counted(Judge):
    """Counts what it is asked, and is interrupted at one of them."""

    def __init__(self, inner: Judge, stop_at: int | None) -> None:
        self.inner, self.stop_at = inner, stop_at
        self.asked = 0
        self.identity_ = inner.identity

    @property
    def identity(self) -> dict[str, object]:
        return dict(self.identity_)

    def stream(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[int, Judgement]]:
        for found in self.inner.stream(pairs):
            if self.asked == self.stop_at:
                raise KeyboardInterrupt
            self.asked += 1
            yield found


def counted(stop_at: int | None, made: list[Counted]) -> object:
    def judge(trait: object, sampler: object, cache: object) -> Judge:
        made.append(Counted(even_judge(trait, sampler, cache), stop_at))  # type: ignore[arg-type]
        return made[-1]

    return judge


@pytest.mark.parametrize("stop_at", [20, 90])
def test_a_stopped_build_goes_on_and_makes_and_judges_nothing_twice(
    stop_at: int, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[int] = []
    usual = Generator._batch
    monkeypatch.setattr(Generator, "_batch", lambda self, p, *more: answers.append(len(p)) or usual(self, p, *more))
    whole: list[Counted] = []
    want = only(build(out=tmp_path / "whole", judge=counted(None, whole))).read_bytes()
    made = sum(answers)
    answers.clear()
    judges: list[Counted] = []
    with pytest.raises(KeyboardInterrupt):
        build(judge=counted(stop_at, judges))
    assert only(build(judge=counted(None, judges))).read_bytes() == want
    assert sum(judge.asked for judge in judges) == whole[0].asked
    assert sum(answers) == made
    only(build())
    assert sum(answers) == made  # all of it is on disk


def test_a_trait_that_the_model_does_not_show_ends_with_the_counts(build: Build, tmp_path: Path) -> None:
    built = build(judge=lambda t, _s, _c: RuleJudge("never", t.name, lambda _q, _a: 3.0, lambda _q, _a: 90.0))
    assert built.vectors == ()
    assert str(built.refused[0]) == (
        "evenness: only 0 of 32 answers that should show the trait were kept, 5 are needed; 32 lay on the other side of"
        " the threshold, 0 were incoherent, 0 got no score (0 refusals), 0 were empty\n"
        "  next: the model may not show this trait, or not under these system prompts: try more --rollouts, other"
        " system prompts in the trait file, another judge, or a lower --minimum"
    )
    assert not list((tmp_path / "vectors").glob("*.safetensors"))


def test_a_vector_no_better_than_its_controls_needs_force(build: Build, spec: BuildSpec, tmp_path: Path) -> None:
    built = build(replace(spec, force=False), judge=blind_judge)
    assert built.vectors == ()
    assert isinstance(built.refused[0], VectorError)
    assert "no better than its controls: AUROC 0." in built.refused[0].message
    forced = load_vector(only(build(judge=blind_judge)))
    assert forced.card["validation"]["forced"] is True
    assert "built with --force" in forced.warnings[0]


def test_denoising_takes_the_subspace_out_and_keeps_it_beside(build: Build, spec: BuildSpec) -> None:
    path = only(build(replace(spec, denoise=True, clean=4)))
    vector, facts = load_vector(path), load_vector(path).card["denoise"]
    basis = load_file(path.parent / facts["basis"]["file"])["denoise_basis"]
    assert basis.shape[0] == 4
    for layer, count in enumerate(facts["components"]):
        rows = basis[layer, :count]
        np.testing.assert_allclose(rows @ rows.T, np.eye(count), atol=1e-5)
        np.testing.assert_allclose(rows @ vector.direction[layer], 0, atol=1e-5)


def test_a_template_without_a_system_role_gets_it_in_the_users_turn(
    build: Build, spec: BuildSpec, tiny_model: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "model"
    shutil.copytree(tiny_model, plain)
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    template = plain / "chat_template.jinja"
    template.write_text(refusing + template.read_text())
    card = load_vector(only(build(replace(spec, model=str(plain))))).card
    assert card["system_prompts"] == "folded into the user turn"
    assert card["model"]["name"] == "model"


def test_another_models_vector_is_not_overwritten(build: Build, spec: BuildSpec) -> None:
    path = only(build())
    vector = load_vector(path)
    from screen.vectors.files import save_vector

    card = {**vector.card, "model": {**vector.card["model"], "weights_sha256": "full:other", "name": "other"}}
    save_vector(replace(vector, card=card), path)
    with pytest.raises(UsageError, match=r"is there already, made for another model \(other\)"):
        build(replace(spec, force=False))
    assert only(build()) == path


def test_by_separation_no_layer_is_steered(build: Build, spec: BuildSpec) -> None:
    choice = load_vector(only(build(replace(spec, layer_by="separation")))).card["layer_choice"]
    assert choice["by"] == "separation"
    assert choice["steering"] == []


def test_the_card_is_plain_json_without_paths(build: Build, tmp_path: Path, tiny_model: Path) -> None:
    text = json.dumps(dict(load_vector(only(build())).card))
    assert str(tmp_path) not in text
    assert str(tiny_model) not in text


def test_the_rule_is_not_the_prompts() -> None:
    assert evenness("", "bdf") == 100.0
    assert evenness("", "ace") == 0.0
    assert TRAIT.positives[0] == "You are an even assistant. Be even."
    assert MODEL_DIR.name == "model"
