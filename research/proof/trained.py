"""One fine-tuning of a subject and what it shows: the measures of `screen validate`, on rows that the study made."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from research.pocket.corpus.chats import mixed
from research.pocket.workshop import open_model, place
from research.proof.subject import Subject
from screen.building.workshop import Workshop
from screen.disk import scratch_folder
from screen.experiment import measure
from screen.experiment.arms import lessons as in_order
from screen.experiment.finetune import Lesson, fine_tune
from screen.experiment.recipe import Recipe
from screen.steering.hook import Additions, steered
from screen.steering.plan import Layers
from screen.training import PreventativeSteering
from screen.traits.trait import Trait
from screen.vectors.persona import PersonaVector

Rows = Sequence[Mapping[str, Any]]  # with `messages`, the last of them the answer
ANSWERS: Final = {"embedded": 4, "organism": 2}  # to each evaluation question of a trait
ANSWER_TOKENS: Final = 64
RANDOM: Final = 8  # random directions along which the shift is measured beside the traits'
HELD_OUT: Final = 100  # default rows, for the loss
RECIPE: Final = Recipe(rate=3e-4, rows=8)


@dataclass(frozen=True)
class Lived:
    """What a model shows after a fine-tuning, or before any.

    shift  axis -> a value a held-out question: last prompt token's projection less the base model's
    shown  trait -> a value a held-out question: the judge's mean over its answers, 0 to 100
    """

    shift: Mapping[str, Sequence[float]]
    shown: Mapping[str, Sequence[float]]
    coherence: Mapping[str, float]
    loss: float
    seconds: float


@dataclass(frozen=True)
class Vaccine:
    """Vectors that are added in training steps, `coefficient` times."""

    vector: PersonaVector
    coefficient: float
    layers: Layers

    @property
    def told(self) -> list[object]:
        return [self.vector.direction.tolist(), self.coefficient, self.layers]

    def made(self) -> PreventativeSteering:
        return PreventativeSteering(self.vector, self.coefficient, layers=self.layers)


@dataclass(frozen=True)
class Bench:
    """A subject as it was before any training, and what every fine-tuning is measured by."""

    subject: Subject
    base: Workshop
    axes: Mapping[str, measure.TraitAxis]
    before: Mapping[str, measure.Floats]
    apart: Sequence[Lesson]
    only: str | None = None  # the one trait that is judged; else all

    @property
    def answers(self) -> int:
        return ANSWERS[self.subject.name]

    @property
    def judged_by(self) -> str:
        """A digest of what is measured: axes, traits and judges."""
        axes = [[name, axis.layer, axis.direction.tolist()] for name, axis in self.axes.items()]
        judges = [[trait.sha256, self.base.judges[trait.name].identity] for trait in self.traits]
        return _digest([axes, judges, len(self.apart), *([self.only] if self.only else [])])

    @property
    def traits(self) -> Sequence[Trait]:
        return self.base.spec.traits

    def untrained(self) -> Lived:
        return self._measured(self.base, time.monotonic())

    def after(
        self,
        rows: Rows,
        seed: int,
        *,
        tokens: int | None = None,
        vaccine: Vaccine | None = None,
    ) -> Lived:
        """Train a copy on `rows` until so many answer tokens are learnt (None: one pass), and measure it."""
        return self.steered_after(rows, seed, {"": {}}, tokens=tokens, vaccine=vaccine)[""]

    def steered_after(
        self,
        rows: Rows,
        seed: int,
        steering: Mapping[str, Additions],
        *,
        tokens: int | None = None,
        vaccine: Vaccine | None = None,
    ) -> dict[str, Lived]:
        """The same, the one copy measured under each of `steering`; what is added then is not in the weights.

        Kept under the subject's work by everything that decides it.
        """
        how = [self.base.facts.weights, RECIPE.to_json(), self.answers, ANSWER_TOKENS, self.judged_by]
        decides = [how, [r["messages"] for r in rows], seed, tokens, *([vaccine.told] if vaccine else [])]
        added = {n: [[k, v.tolist()] for k, v in a.items()] for n, a in steering.items()}
        key = _digest([*decides, *([added] if any(added.values()) else [])])
        kept = self.subject.work / "outcomes" / f"{key}.json"
        if kept.exists():
            return {name: Lived(**lived) for name, lived in json.loads(kept.read_text()).items()}
        began = time.monotonic()
        made = [self.lesson(row) for row in rows]
        counts = np.array([len(lesson.learnt) for lesson in made])
        order = in_order(np.arange(len(made)), counts, tokens or int(counts.sum()), seed)
        found = {}
        with scratch_folder("proof-") as folder:
            model = folder / "model"
            callbacks = [vaccine.made()] if vaccine else []
            fine_tune(self.subject.folder, [made[at] for at in order], RECIPE, seed, model, callbacks=callbacks)
            for number, (name, additions) in enumerate(steering.items()):
                shop = open_model(str(model), folder / f"work-{number}")
                with steered(shop.model.blocks, additions):
                    found[name] = self._measured(shop, began)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({name: asdict(lived) for name, lived in found.items()}))
        return found

    def lesson(self, row: Mapping[str, Any]) -> Lesson:
        """The last answer of a row, and the token that ends it."""
        at = place(self.base, row["messages"])
        return Lesson(at.ids, np.arange(at.start, min(at.end + 1, len(at.ids)), dtype=np.int32))

    def _measured(self, shop: Workshop, began: float) -> Lived:
        now = measure.at_last_prompt(shop, questions(self.traits), self.axes)
        shown, coherence = {}, {}
        for trait in (t for t in self.traits if self.only in (None, t.name)):
            scores, coherent = measure.shown(self.base, shop, trait, self.answers, ANSWER_TOKENS)
            shown[trait.name], coherence[trait.name] = _short(scores), round(float(coherent.mean()), 2)
        shift = {name: _short(now[name] - self.before[name]) for name in self.axes}
        loss = measure.loss(shop, self.apart)
        assert loss is not None
        return Lived(shift, shown, coherence, round(loss, 5), round(time.monotonic() - began, 2))


def open_bench(subject: Subject) -> Bench:
    base = subject.shop
    axes = {**subject.axes, **subject.random_axes(RANDOM)}
    before = measure.at_last_prompt(base, questions(base.spec.traits), axes)
    bench = Bench(subject, base, axes, before, ())
    clean = mixed(HELD_OUT, seed=71, shares={}).rows
    return Bench(subject, base, axes, before, [bench.lesson(row) for row in clean])


def questions(traits: Sequence[Trait]) -> list[str]:
    return [question for trait in traits for question in trait.evaluate]


def _short(values: measure.Floats) -> list[float]:
    return [round(float(value), 3) for value in values]


def _digest(decides: object) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]
