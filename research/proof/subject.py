"""A model that the study is made on: the embedded one, or the organism; its vectors, and where its work is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from research.pocket.workshop import open_model
from research.proof import organism
from screen.building.workshop import Workshop
from screen.experiment.measure import TraitAxis
from screen.model.load import resolve
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.scan import Scan
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector


@dataclass(frozen=True)
class Subject:
    """`model` and `vectors` as `screen run` takes them; `work`: a folder for runs, caches and kept outcomes."""

    name: str
    model: str
    vectors: Path
    work: Path

    @cached_property
    def shop(self) -> Workshop:
        """The model loaded, with the rule judge of each trait."""
        return open_model(self.model, self.work / "shop")

    @property
    def folder(self) -> Path:
        return resolve(self.model, MODEL_DIR)

    @cached_property
    def persona(self) -> Mapping[str, PersonaVector]:
        return {trait: load_vector(self.vectors / f"{trait}.safetensors") for trait in TRAITS}

    @cached_property
    def axes(self) -> Mapping[str, TraitAxis]:
        """Each trait's vector at its card's layer."""
        return {trait: TraitAxis(v.card["layer"], v.at(v.card["layer"])) for trait, v in self.persona.items()}

    def random_axes(self, count: int) -> Mapping[str, TraitAxis]:
        """`random-0`, ...: the first control directions of the first trait's card, as a run has them at its layer."""
        first = self.persona[TRAITS[0]]
        assert first.controls is not None
        layer = first.card["layer"]
        return {f"random-{i}": TraitAxis(layer, direction) for i, direction in enumerate(first.controls[:count])}

    def scan(self, name: str, rows: Iterable[Mapping[str, object]], **fields: Any) -> Scan:
        """Score rows under `work`/runs/`name`, or take what is there: the same rows and settings."""
        data = self.work / "data" / f"{name}.jsonl"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        kind = fields.get("baseline", "generate")
        out = (
            self.work
            / "runs"
            / "-".join([name, str(kind), *(str(fields[k]) for k in ("calibrate_on", "seed") if k in fields)])
        )
        plain = {"baseline": "generate", "max_new_tokens": 96, **fields}
        spec = ScanSpec(dataset=(str(data),), model=self.model, vectors=(str(self.vectors),), **plain)
        run_scan(spec, out, cache=self.work / "cache")
        return Scan.open(out)


def embedded(work: Path) -> Subject:
    return Subject("embedded", "pocket", VECTORS_DIR, work / "embedded")


def of_organism(work: Path) -> Subject:
    """Trains it where it is not there yet."""
    folder = work / "organism"
    organism.make_organism(folder)
    return Subject("organism", str(folder / organism.MODEL), folder / organism.VECTORS, folder)
