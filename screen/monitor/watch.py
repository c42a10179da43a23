"""The shift of each checkpoint along every vector, on held-out prompts: how training moves the model, as it goes on.

The measure is that of Persona Vectors, section 4 (METHOD section 6): the mean projection of the last prompt token over
the traits' evaluation questions, less that of the model before training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from screen.building.means import BatchedMeans
from screen.building.sampler import prompt_ids
from screen.building.validation.vector_files import rows_of, trait_of
from screen.errors import ModelError, ScreenError
from screen.experiment.measure import Floats, TraitAxis, last_prompts
from screen.model.forward.plan import Batching
from screen.model.forward.proof import prove
from screen.model.load import load_model, resolve
from screen.monitor.checkpoints import Checkpoint, Signature, find, load, signature
from screen.monitor.known import Standard, check_model
from screen.pocket import MODEL_DIR
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.scan.instruments import model_facts
from screen.store.reference import Reference
from screen.traits.trait import Trait
from screen.vectors.fit import ModelFacts, check_fit
from screen.vectors.persona import VectorSet

SETTLED = 1.0  # seconds between two looks at a checkpoint that have to be equal
Dtype = Literal["float32", "bfloat16"]


class Shift(TypedDict):
    """Along one trait: in units of the activations, its standard error over the prompts, and in standard deviations of
    clean rows' scores; None without a reference."""

    shift: float
    se: float | None
    sds: float | None


class CheckpointShift(TypedDict):
    """`failed`: why it has none; None where all went well."""

    name: str
    step: int | None
    adapter: bool
    shifts: Mapping[str, Shift]
    failed: str | None


@dataclass(frozen=True)
class Watcher:
    """The model before training, measured, and what checkpoints are measured with. `before`: trait -> (prompts,)."""

    folder: Path
    vectors: VectorSet
    known: Mapping[str, Standard]
    prompts: Sequence[npt.NDArray[np.int32]]
    axes: Mapping[str, TraitAxis]
    batching: Batching
    before: Mapping[str, Floats]
    dtype: Dtype
    device: str

    @classmethod
    def open(
        cls,
        model: str,
        vectors: VectorSet,
        known: Mapping[str, Standard],
        *,
        reference: Reference | None = None,
        given: Mapping[str, Trait] | None = None,
        template: str | None = None,
        dtype: Dtype = "float32",
        device: str = "cpu",
    ) -> Watcher:
        """`known`: how clean rows score, for the traits that have that; `reference`: where it comes from, if not from
        the cards; `given`: trait files, where card and library do not hold their questions.

        Raises ModelError, VectorError and UsageError as a build does, InputError for a reference of another model.
        """
        folder = resolve(model, MODEL_DIR)
        tokenizer = load_tokenizer(str(folder))
        chat = load_template(tokenizer, template)
        facts = model_facts(model, folder, tokenizer, chat)
        check_fit(vectors, facts)
        if reference is not None:
            check_model(reference, facts)
        asked = [q for v in vectors.vectors for q in trait_of(v, given or {}).evaluate]
        prompts = [prompt_ids(tokenizer, chat, [{"role": "user", "content": q}]) for q in dict.fromkeys(asked)]
        base = load_model(model, folder, deepest=None, generate=False, dtype=dtype, device=device)
        batching = prove(base, range(base.n_layers + 1)).batching
        axes = {
            v.trait: TraitAxis(layer, rows_of(v, base.n_layers)[layer])
            for v, layer in zip(vectors.vectors, vectors.layers, strict=True)
        }
        before = last_prompts(BatchedMeans(base, batching), prompts, axes)
        return cls(folder, vectors, known, prompts, axes, batching, before, dtype, device)

    def measure(self, checkpoint: Checkpoint) -> CheckpointShift:
        """Its shift along every vector; a checkpoint that does not load, or not as the base, is told as failed."""
        try:
            shifts, failed = self._shifts(checkpoint), None
        except ScreenError as error:
            shifts, failed = {}, error.message
        return {
            "name": checkpoint.name,
            "step": checkpoint.step,
            "adapter": checkpoint.adapter,
            "shifts": shifts,
            "failed": failed,
        }

    def _shifts(self, checkpoint: Checkpoint) -> dict[str, Shift]:
        model = load(checkpoint, self.folder, self.dtype, self.device)
        check_fit(self.vectors, ModelFacts(checkpoint.name, model.n_layers, model.d_model))
        most = max(int(ids.max()) for ids in self.prompts)
        if most >= model.vocab_size:
            raise ModelError(f"{checkpoint.folder} has {model.vocab_size:,} tokens, too few for the base's prompts", "")
        after = last_prompts(BatchedMeans(model, self.batching), self.prompts, self.axes)
        return {trait: self._shift(trait, after[trait] - self.before[trait]) for trait in self.axes}

    def _shift(self, trait: str, moved: Floats) -> Shift:
        if not np.isfinite(moved).all():
            raise ModelError("its hidden states are not finite", "try --dtype float32")
        standard, shift = self.known.get(trait), float(moved.mean())
        sd = None if standard is None else standard.sd
        error = float(moved.std(ddof=1)) / math.sqrt(len(moved)) if len(moved) > 1 else None
        return {
            "shift": round(shift, 6),
            "se": None if error is None else round(error, 6),
            "sds": None if sd is None else round(shift / sd, 6),
        }


def whole(
    folder: Path, wait: Callable[[float], None] = time.sleep, settled: float = SETTLED
) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """(those that are whole, those that are still being written): a whole one stays as it is for `settled` seconds."""
    first: dict[Path, Signature | None] = {c.folder: signature(c) for c in find(folder)}
    if any(first.values()):
        wait(settled)
    now = find(folder)
    done = [c for c in now if first.get(c.folder) is not None and signature(c) == first[c.folder]]
    return done, [c for c in now if c not in done]


def new(
    folder: Path, every: float, idle: float | None, wait: Callable[[float], None] = time.sleep
) -> Iterator[Checkpoint]:
    """Checkpoints as they become whole, each once, in order of step; ends where none came for `idle` seconds, never
    where that is None."""
    seen: set[Path] = set()
    quiet = 0.0
    while idle is None or quiet < idle:
        done, _ = whole(folder, wait, min(SETTLED, every))
        fresh = [c for c in done if c.folder not in seen]
        for checkpoint in fresh:
            seen.add(checkpoint.folder)
            yield checkpoint
        quiet = 0.0 if fresh else quiet + every
        if idle is None or quiet < idle:
            wait(every)


def passed(shift: CheckpointShift, limit: float) -> list[str]:
    """Traits whose shift, toward the trait, is `limit` standard deviations of clean rows or more."""
    return [trait for trait, s in shift["shifts"].items() if s["sds"] is not None and s["sds"] >= limit]
