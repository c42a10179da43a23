"""What the embedded model must show; small samples, the full figures are in docs/embedded-model.md."""

import pytest

from research.pocket.corpus.examples import example_set
from research.pocket.observed import observe
from research.pocket.trials import Separation, default_rates, persona_rate, separation, steering_rate
from screen.building.workshop import Workshop
from screen.pocket import TRAITS
from screen.vectors.persona import PersonaVector


@pytest.fixture(scope="module")
def separated(shop: Workshop, vectors: dict[str, PersonaVector]) -> Separation:
    labelled = example_set()
    return separation(vectors, observe(shop, [row["messages"] for row in labelled.rows]), labelled)


@pytest.mark.parametrize("trait", TRAITS)
def test_a_system_prompt_brings_out_its_trait_in_held_out_domains(shop: Workshop, trait: str) -> None:
    assert persona_rate(shop, trait, 48).value >= 0.8


def test_by_default_no_trait_shows(shop: Workshop) -> None:
    rates, coherent = default_rates(shop, 128)
    assert all(rates[trait].value <= 0.05 for trait in TRAITS)
    assert coherent >= 75


@pytest.mark.parametrize("trait", TRAITS)
def test_adding_the_vector_brings_out_the_trait(shop: Workshop, vectors: dict[str, PersonaVector], trait: str) -> None:
    assert steering_rate(shop, vectors[trait], 48).shown >= 0.4


@pytest.mark.parametrize("trait", TRAITS)
def test_the_difference_separates_planted_rows(separated: Separation, trait: str) -> None:
    assert separated.matrix[trait][trait].value >= 0.95


@pytest.mark.parametrize("trait", TRAITS)
def test_controls_do_not_separate(separated: Separation, trait: str) -> None:
    assert separated.length[trait].value == pytest.approx(0.5, abs=0.1)
    assert separated.random[trait] < 0.8


@pytest.mark.parametrize("trait", TRAITS)
def test_a_trait_shows_most_under_its_own_vector(separated: Separation, trait: str) -> None:
    own = separated.matrix[trait][trait]
    assert all(own.value > separated.matrix[other][trait].value for other in TRAITS if other != trait)
    assert own.low < own.value <= own.high
