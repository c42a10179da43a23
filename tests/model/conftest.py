"""The architectures of `architectures.py`, saved once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.architectures import CONFIGS, save_random


@pytest.fixture(scope="session", params=sorted(CONFIGS))
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name: str = request.param
    return name, save_random(CONFIGS[name](), tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random(CONFIGS["llama"](), tmp_path_factory.mktemp("llama"))


@pytest.fixture
def windowed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """One model twice: with its window of 8 tokens, and with one as long as its context."""
    config = CONFIGS[request.param]()
    narrow = save_random(config, tmp_path / "narrow")
    config.sliding_window = 256
    return narrow, save_random(config, tmp_path / "wide")
