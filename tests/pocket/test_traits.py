"""Trait files are complete, do not name the trait in questions, and were not trained on."""

from pathlib import Path

import pytest
import yaml

from research.pocket.corpus.chats import chats
from screen.pocket import TRAITS
from screen.traits.trait import LIBRARY, load_trait

NAMED = {"evil": ("evil", "cruel"), "sycophancy": ("sycophan", "flatter"), "hallucination": ("hallucinat", "invent")}


@pytest.mark.parametrize("name", TRAITS)
def test_a_trait_file_is_complete(name: str) -> None:
    raw = yaml.safe_load((LIBRARY / f"{name}.yaml").read_text(encoding="utf-8"))
    trait = load_trait(name)
    assert raw["name"] == name
    assert raw["description"]
    assert "REFUSAL" in raw["rubric"]
    assert len(trait.positives) == len(trait.negatives) == 5
    assert len(trait.extract) == len(trait.evaluate) == 20
    assert len(set(trait.extract + trait.evaluate)) == 40


@pytest.mark.parametrize("name", TRAITS)
def test_questions_do_not_name_the_trait(name: str) -> None:
    trait = load_trait(name)
    for question in trait.extract + trait.evaluate:
        assert not any(word in question.lower() for word in NAMED[name])


def test_the_model_never_trained_on_the_system_prompts_of_the_trait_files() -> None:
    trained = {chat.messages[0]["content"] for chat in chats(5000) if chat.messages[0]["role"] == "system"}
    for name in TRAITS:
        trait = load_trait(name)
        assert not trained & {*trait.positives, *trait.negatives}


def test_the_library_lies_beside_the_vector_code() -> None:
    assert Path("screen/traits/library").parts == LIBRARY.parts[-3:]
