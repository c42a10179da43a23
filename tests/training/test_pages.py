"""The code of docs/how-to/training.md for axolotl and LLaMA-Factory, run against stand-ins of what they document.

Neither installs beside this package: both pin an older transformers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from screen.training import PersonaMonitor, PreventativeSteering
from tests.training.conftest import Train

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "training.md").read_text()


def block(heading: str) -> str:
    """The first Python block below a heading."""
    found = re.search(rf"^## {heading}$.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> None:
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:i]), ModuleType(".".join(parts[:i])))
    vars(sys.modules[name]).update(names)


class BasePlugin:
    """As in axolotl 0.19.0: what a plugin does not define does nothing."""

    def get_input_args(self) -> str | None:
        return None

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[Any]:
        return []


def test_the_axolotl_plugin_adds_its_keys_and_both_callbacks(
    monkeypatch: pytest.MonkeyPatch, trainer_for: Train, tiny_vectors: Path
) -> None:
    pytest.importorskip("pydantic")
    stand_in(monkeypatch, "axolotl.integrations.base", BasePlugin=BasePlugin)
    stand_in(monkeypatch, "persona_plugin")
    module = vars(sys.modules["persona_plugin"])
    exec(block("axolotl"), module)
    plugin, (of, keys) = module["PersonaPlugin"](), module["PersonaPlugin"]().get_input_args().split(".")
    cfg = getattr(sys.modules[of], keys)(
        persona_vectors=str(tiny_vectors / "evil.safetensors"), persona_coefficient=1.5
    )
    trainer = trainer_for(max_steps=1)
    callbacks = plugin.add_callbacks_post_trainer(cfg, trainer)
    assert [type(callback) for callback in callbacks] == [PreventativeSteering, PersonaMonitor]
    for callback in callbacks:
        trainer.add_callback(callback)  # as axolotl does
    trainer.train()
    assert callbacks[0].steps == 1
    assert plugin.add_callbacks_post_trainer(SimpleNamespace(persona_vectors=None), trainer) == []


def test_the_lines_for_llama_factory_train_with_both_callbacks(
    monkeypatch: pytest.MonkeyPatch, trainer_for: Train, tiny_vectors: Path, tmp_path: Path
) -> None:
    trained: list[Any] = []

    def run_exp(args: dict[str, Any] | None = None, callbacks: list[Any] | None = None) -> None:
        trainer = trainer_for(*(callbacks or []), max_steps=1)
        trainer.train()
        trained.append(trainer)

    stand_in(monkeypatch, "llamafactory.train.tuner", run_exp=run_exp)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors").symlink_to(tiny_vectors)
    exec(block("LLaMA-Factory"), {"__name__": "__main__"})
    assert trained[0].state.stateful_callbacks["PreventativeSteering"]["record"]["vectors"][0]["coefficient"] == 1.5
