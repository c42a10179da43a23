"""The choice of a coefficient on figures made by hand, and `screen vaccinate`, whole, on the embedded model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from screen_reports.console import Terminal
from screen_reports.training.vaccine import print_vaccine

from screen.cli.main import run as screen
from screen.errors import ModelError
from screen.experiment.finetune import fine_tune
from screen.experiment.lesson import Lesson
from screen.experiment.recipe import Recipe
from screen.experiment.vaccine import sweep
from screen.experiment.vaccine.choice import How, VaccineOutcome, choose, options, sentence
from screen.experiment.vaccine.sweep import Vaccine
from screen.steering.plan_file import read_plan
from screen.training import PreventativeSteering
from tests.schemas import validated

EXAMPLES = Path(__file__).parents[2] / "examples" / "support-chats.jsonl"
QUESTIONS = 20


def outcome(
    how: How | None, coefficient: float, seed: int | None, evil: float, coherence: float = 90.0, loss: float = 2.0
) -> VaccineOutcome:
    noise = np.random.default_rng([int(100 * coefficient), seed or 0]).standard_normal(QUESTIONS)
    shown, coherent = {"evil": (evil + noise).tolist()}, {"evil": (coherence + noise).tolist()}
    return VaccineOutcome(how, coefficient, seed, shown, coherent, loss, 1.0)


def swept(*tried: tuple[How | None, float, float, float, float], plain: float = 40.0) -> list[VaccineOutcome]:
    """Two seeds of plain fine-tuning, and of (layers, coefficient, evil, coherence, loss)."""
    return [outcome(*each[:2], seed, *each[2:]) for seed in (0, 1) for each in ((None, 0.0, plain, 90.0, 2.0), *tried)]


BASE = outcome(None, 0.0, None, 5.0)


def test_the_smallest_that_holds_is_chosen_and_of_equal_ones_the_better_loss() -> None:
    found = options(BASE, swept(("one", 0.5, 20, 90, 2.0), ("one", 1, 6, 90, 2.2), ("all", 1, 6, 90, 2.1),
                                ("one", 2, 4, 90, 2.0)), 5.0)  # fmt: skip
    assert [(o.coefficient, o.layers, o.holds) for o in found] == [
        (0, None, False), (0.5, "one", False), (1, "one", True), (1, "all", True), (2, "one", True)]  # fmt: skip
    chosen = choose(found)
    assert chosen is not None
    assert (chosen.coefficient, chosen.layers) == (1, "all")
    assert sentence(found, 5.0) == (
        "train with 1 at all layers: the smallest that holds evil within 5 points of the base model; held-out loss"
        " +5.0 % against plain fine-tuning"
    )


def test_a_model_that_makes_no_sense_any_more_holds_nothing() -> None:
    found = options(BASE, swept(("one", 1, 0, 60, 3.0)), 5.0)
    assert choose(found) is None
    assert list(found[1].why) == ["coherence"]
    assert found[1].why["coherence"].startswith("it may have fallen by 3")
    assert sentence(found, 5.0) == (
        "no coefficient tried holds evil within 5 points of the base model and coherence within 5 of plain"
        " fine-tuning's"
    )


def test_what_is_not_told_from_a_larger_rise_does_not_hold() -> None:
    wild = [replaced(o, o.seed or 0) for o in swept(("one", 1, 6, 90, 2.0))]
    (_, one) = options(BASE, wild, 5.0)
    assert one.rise["evil"].value < 5 < one.rise["evil"].high
    assert not one.holds


def replaced(o: VaccineOutcome, seed: int) -> VaccineOutcome:
    """The same mean, far apart from question to question."""
    far = np.tile([-40.0, 40.0], QUESTIONS // 2) if o.layers else np.zeros(QUESTIONS)
    return VaccineOutcome(o.layers, o.coefficient, seed, {"evil": (o.shown["evil"] + far).tolist()}, o.coherence, 2, 1)


def test_where_plain_fine_tuning_holds_no_vaccine_is_needed() -> None:
    found = options(BASE, swept(("one", 1, 5, 90, 2.0), plain=6.0), 5.0)
    chosen = choose(found)
    assert chosen is found[0]
    assert sentence(found, 5.0).endswith("no vaccine is needed")


def test_the_table_says_which_and_fits_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = swept(("one", 0.5, 20, 90, 2.0), ("all", 1, 6, 90, 2.1))
    found = options(BASE, outcomes, 5.0)
    made = Vaccine(BASE, tuple(outcomes), tuple(found), choose(found), sentence(found, 5.0), 270, 27, 0)
    print_vaccine(Terminal(), made, Path("plan.json"), Path("plan.vaccine"))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert any(line.startswith("1, all layers 6.") and line.endswith("yes, chosen") for line in lines)
    assert any(line.startswith(("no vector 39.", "no vector 40.")) and line.endswith("no: evil") for line in lines)
    assert "6 fine-tunings on 270 rows" in said


def test_vectors_are_added_in_training_and_are_not_in_what_is_saved(
    tiny_model: Path, tiny_vectors: Path, tmp_path: Path
) -> None:
    rows = [Lesson(np.array([3, 4, 7, 8, 9, 10], np.int32), np.arange(2, 6, dtype=np.int32))] * 8

    def saved(name: str, *added: PreventativeSteering, lora: int | None = None) -> dict[str, np.ndarray]:
        recipe = Recipe(rate=1e-2, rows=4, lora=lora)
        fine_tune(tiny_model, rows, recipe, 1, tmp_path / name, callbacks=added)
        return load_file(tmp_path / name / "model.safetensors")

    evil = tiny_vectors / "evil.safetensors"
    plain, zero = saved("plain"), saved("zero", PreventativeSteering(evil, 0.0))
    added = saved("added", PreventativeSteering(evil, 3.0, layers="all"))
    assert all(np.array_equal(plain[name], zero[name]) for name in plain)
    assert any(not np.array_equal(plain[name], added[name]) for name in plain)
    assert set(added) == set(plain) == set(saved("lora", PreventativeSteering(evil, 3.0), lora=2))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vaccine")
    rows = folder / "chats.jsonl"
    rows.write_bytes(b"".join(EXAMPLES.read_bytes().splitlines(keepends=True)[:70]))
    assert screen(["run", str(rows), "--traits", "evil", "--baseline", "last-prompt", "--no-report", "-q"]) == 0
    return rows.with_suffix(".screen")


SHORT = ("--sweep", "1", "--layers", "one", "--seeds", "1", "--answers", "1", "--answer-tokens", "8", "--passes", "0.2")


def test_a_sweep_is_told_kept_gone_on_with_and_becomes_a_plan(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = scanned.with_name("plan.json")
    command = ["vaccinate", "--train", str(scanned), "-o", str(plan), *SHORT, "-q", "--json"]
    assert screen([*command, "--within", "100"]) == 0
    (told,) = validated("vaccinate", capsys.readouterr().out)
    assert [(o["coefficient"], o["layers"]) for o in told["outcomes"]] == [(0, None), (1, "one")]
    assert told["chosen"]["layers"] is None  # anything holds within 100 points
    steering = read_plan(plan).steering
    assert str(PreventativeSteering.from_plan(plan).dose) == str(steering) == "evil +0"
    assert (steering.coefficients, steering.layer_of(steering.vectors[0])) == ((0.0,), 5)
    plan.unlink()
    monkeypatch.setattr(sweep, "fine_tune", None)  # nothing is trained twice
    monkeypatch.setattr(sweep, "options", lambda *given: [replace(o, why={"evil": "it rose"}) for o in options(*given)])
    assert screen([*command, "--within", "2"]) == 1
    said = capsys.readouterr()
    (again,) = validated("vaccinate", said.out)
    assert again["outcomes"] == told["outcomes"]
    assert again["chosen"] is None
    assert "no coefficient tried holds evil within 2 points" in said.err
    assert not plan.exists()


def test_what_cannot_be_is_told_before_training(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: object, **__: object) -> None:
        raise ModelError("trained", "")

    monkeypatch.setattr(sweep, "fine_tune", trained)
    for arguments, message in (
        (["--sweep", "0,1"], "coefficients are above 0"),
        (["--sweep", "nan"], "coefficients are above 0"),
        (["--sweep", "much"], "is no list of numbers"),
        (["--sweep", "1e300"], "too large to add"),
        (["--traits", "kindness"], "the run has no trait 'kindness'"),
        (["--drop", "evil >"], "evil >"),
        (["-o", str(tmp_path)], "is no .json file"),
        (["--train", str(tmp_path / "gone.jsonl")], "gone.jsonl"),
    ):
        plan = [] if "-o" in arguments else ["-o", str(tmp_path / "plan.json")]
        train = [] if "--train" in arguments else ["--train", str(scanned)]
        assert screen(["vaccinate", *train, *plan, "-q", *arguments]) in (2, 4)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "plan.json").exists()
