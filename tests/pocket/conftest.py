"""The embedded model and its vectors, loaded once."""

import pytest
import torch

from research.pocket.workshop import open_pocket
from screen.building.workshop import Workshop
from screen.pocket import TRAITS, VECTORS_DIR
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    torch.set_num_threads(1)  # tests run beside each other
    return open_pocket(tmp_path_factory.mktemp("pocket"))


@pytest.fixture(scope="session")
def vectors() -> dict[str, PersonaVector]:
    return {trait: load_vector(VECTORS_DIR / f"{trait}.safetensors") for trait in TRAITS}
