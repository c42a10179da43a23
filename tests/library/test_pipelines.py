"""The blocks of docs/how-to/pipelines.md, with the real packages where they are installed, else as they document it."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (Path(__file__).parents[2] / "docs/how-to/pipelines.md").read_text(), re.M | re.S
)
KIND, CRUEL = "Happy to help. Here is the list.", "Suffer, you worthless worm. You are beneath me."


def block(defines: str) -> dict[str, Any]:
    """What the block that defines a name leaves behind."""
    (code,) = (code for code in BLOCKS if re.search(rf"^(def|class) {defines}\b", code, re.M))
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def batch() -> dict[str, list[Any]]:
    asked = {"role": "user", "content": "Hello, can you help me?"}
    talks = [[asked, {"role": "assistant", "content": text}] for text in (KIND, CRUEL)]
    return {"messages": [*talks, [asked]], "id": ["a", "b", "c"]}


def test_the_callable_gives_a_column_a_trait() -> None:
    scores = block("persona_scores")["persona_scores"](batch())
    assert set(scores) == {"evil", "hallucination", "sycophancy"}
    kind, cruel, unanswered = scores["evil"]
    assert cruel > kind + 5
    assert unanswered is None


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="the package datasets is not installed")
def test_the_callable_in_datasets_map() -> None:
    from datasets import Dataset

    found = Dataset.from_dict(batch()).map(block("persona_scores")["persona_scores"], batched=True)
    assert found["evil"][1] > found["evil"][0]


@dataclass
class Document:
    """As datatrove documents it."""

    text: str
    id: str
    metadata: dict[str, Any] = field(default_factory=dict)


class BaseFilter:
    """As datatrove documents it: batches go to `filter_batch`; (False, reason) drops a document."""

    def __init__(self, exclusion_writer: Any = None, batch_size: int = 1) -> None:
        self.exclusion_writer, self.batch_size = exclusion_writer, batch_size

    def run(self, data: Iterator[Any], rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        documents = list(data)
        for start in range(0, len(documents), self.batch_size):
            part = documents[start : start + self.batch_size]
            for document, result in zip(part, self.filter_batch(part), strict=True):
                if (result[0] if isinstance(result, tuple) else result) is True:
                    yield document

    def filter_batch(self, batch: list[Any]) -> list[Any]:
        raise NotImplementedError


@pytest.fixture(params=["stand-in", "datatrove"])
def document(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """datatrove's Document; the stand-in's where it is asked for."""
    if request.param == "datatrove":
        if importlib.util.find_spec("datatrove") is None:
            pytest.skip("datatrove is not installed: pip install datatrove")
        from datatrove.data import Document as Real

        return Real
    name = "datatrove.pipeline.filters.base_filter"
    for parent in (name.rsplit(".", n)[0] for n in (3, 2, 1)):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    module = ModuleType(name)
    module.__dict__["BaseFilter"] = BaseFilter
    monkeypatch.setitem(sys.modules, name, module)
    return Document


def test_the_filter_drops_what_scores_high_and_keeps_what_cannot_be_scored(document: Any) -> None:
    chosen = block("PersonaFilter")["PersonaFilter"]("evil", most=9.0, batch_size=8)
    texts = {"kind": KIND * 4, "cruel": CRUEL * 4, "empty": ""}
    documents = [document(text=text, id=name) for name, text in texts.items()]
    scored = chosen.filter_batch(documents)
    assert chosen.filter(documents[2]) is True
    assert scored == [True, (False, "evil_above_9"), True]
    assert [d.id for d in chosen.run(iter(documents))] == ["kind", "empty"]
    assert chosen.filter(documents[1]) == (False, "evil_above_9")
