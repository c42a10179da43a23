from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from screen.building.build import Built, build_vectors
from screen.building.judges import JudgeFor
from screen.building.spec import BuildSpec
from tests.building.even import even_judge, small_spec

Build = Callable[..., Built]


@pytest.fixture
def spec(tiny_model: Path) -> BuildSpec:
    return small_spec(str(tiny_model))


@pytest.fixture
def build(spec: BuildSpec, tmp_path: Path) -> Build:
    def made(chosen: BuildSpec = spec, out: Path = tmp_path / "vectors", judge: JudgeFor = even_judge) -> Built:
        return build_vectors(chosen, out, judge=judge)

    return made
