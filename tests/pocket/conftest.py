"""The embedded model and its vectors, loaded once."""

import pytest
import torch

from research.pocket.sampler import PocketSampler
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector


@pytest.fixture(scope="session")
def sampler() -> PocketSampler:
    torch.set_num_threads(1)  # tests run beside each other
    return PocketSampler(MODEL_DIR)


@pytest.fixture(scope="session")
def vectors() -> dict[str, PersonaVector]:
    return {trait: load_vector(VECTORS_DIR / f"{trait}.safetensors") for trait in TRAITS}
