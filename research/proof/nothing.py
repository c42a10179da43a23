"""`screen validate` where it has to say *nothing*: random directions in place of the vectors, and a shuffled ranking.

Beside them the vectors themselves, on the same rows. Three studies of the example set by the code that users run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from research.pocket.corpus.examples import example_set
from research.proof.subject import Subject
from research.proof.tables import interval, table, told
from screen.building import cards
from screen.building.judges import judge_for
from screen.experiment.outcome import TraitFinding
from screen.experiment.recipe import Recipe
from screen.experiment.study import StudySpec, perform
from screen.foreign import JsonObject
from screen.pocket import TRAITS

SPEC: Final = StudySpec(
    traits=TRAITS, arms=("top", "random", "bottom"), seeds=3, recipe=Recipe(rate=3e-4), answers=5, tokens=64
)
THEMSELVES, SHUFFLED, RANDOM = "the vectors", "a shuffled ranking", "random vectors"


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    rows = example_set().rows
    other = replace(subject, vectors=_random_vectors(subject))
    asked = {THEMSELVES: (subject, False), SHUFFLED: (subject, True), RANDOM: (other, False)}
    studies = {}
    for name, (of, shuffled) in asked.items():
        run = of.scan("nothing-random" if of is other else "nothing", rows)
        out = subject.work / "validations" / name.replace(" ", "-")
        study = perform(run.path, out, replace(SPEC, shuffled=shuffled), judge_for("rules", subject.model))
        studies[name] = {found.trait: _of(found) for found in study.findings}
        say(f"{name}: " + ", ".join(f"{f.trait} {f.verdict}" for f in study.findings))
    return {"rows": len(rows), "seeds": list(range(SPEC.seeds)), "studies": studies}


def _of(found: TraitFinding) -> JsonObject:
    assert found.difference is not None
    return {
        "verdict": found.verdict,
        "shown": {arm: interval(value) for arm, value in found.shown.items()},
        "difference": interval(found.difference),
    }


def _random_vectors(subject: Subject) -> Path:
    """The vectors with Gaussian directions in place of theirs, of the same norm at each layer; without a reference."""
    folder = subject.work / "random-vectors"
    rng = np.random.default_rng(4)
    for trait, vector in subject.persona.items():
        drawn = rng.standard_normal(vector.direction.shape)
        norms = np.linalg.norm(vector.direction, axis=1, keepdims=True) / np.linalg.norm(drawn, axis=1, keepdims=True)
        card = vector.card.copy()
        card.pop("reference", None)
        direction = (drawn * norms).astype(np.float32)
        made = replace(vector, direction=direction, card=card, controls=None)
        cards.write(made, None, folder / f"{trait}.safetensors")
    return folder


def section(found: Mapping[str, JsonObject]) -> str:
    piece = found["nothing"]
    body = [
        [name, trait, *(told(t["shown"][arm]) for arm in SPEC.arms), told(t["difference"]), f"*{t['verdict']}*"]
        for name, traits in piece["found"]["studies"].items()
        for trait, t in traits.items()
    ]
    heads = ["ranked by", "trait", "highest third", "a random third", "lowest third", "difference", "the sentence"]
    lines = [
        "## Where it has to say nothing\n",
        f"`screen validate` on the example set, {piece['found']['rows']} rows, {len(piece['found']['seeds'])} seeds;"
        " what the judge finds, of 100. The sentence is the one that it prints, the ranking ...:\n",
        table(heads, body),
        "",
    ]
    return "\n".join(lines)
