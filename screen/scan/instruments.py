"""Everything a scan needs before its first row: vectors and model loaded, checked against each other, batching proved.

Nothing is scored here. What is found out goes into `identity` (must match on resume) and `facts` (recorded).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from screen.baselines.responses import CachedAnswers
from screen.data.shapes.detect import Shape
from screen.endpoint.client import Endpoint
from screen.endpoint.remote import RemoteGenerator
from screen.endpoint.same_model import SameModel, proof_prompts
from screen.model.forward.plan import default_budget
from screen.model.forward.proof import Proof
from screen.model.generate import Sampling, eos_ids, rows_at_once
from screen.model.host import Here, Host, Loading, Measuring
from screen.model.load import BaseModel, context_length, layer_count, model_hashes, resolve
from screen.pocket import MODEL_DIR
from screen.progress import Progress
from screen.rendering.renderer import Renderer
from screen.rendering.templates.chat_template import Template, load_template
from screen.rendering.templates.sandbox import limits_absent
from screen.rendering.thinking import Thinking
from screen.rendering.tokenizer import Tokenizer, load_tokenizer
from screen.scan.inputs import vectors_of
from screen.scoring.findings.flags import reference_of
from screen.scoring.schema import FORMAT
from screen.spec import BaselineKind, ScanSpec
from screen.store.cache.answers import AnswerCache
from screen.store.tables import WRITER
from screen.vectors.controls import key
from screen.vectors.fit import ModelFacts, check_fit
from screen.vectors.persona import VectorSet


@dataclass
class Instruments:
    """What scores rows, and what is on record about it."""

    renderer: Renderer
    projector: Measuring
    vectors: VectorSet
    baseline: BaselineKind | None  # None until `settle`
    traits: tuple[str, ...]
    identity: dict[str, Any]
    facts: dict[str, Any]
    cards: dict[str, dict[str, Any]]  # trait -> {"layer", "reference", "directions"}; filled by `settle`
    model: BaseModel  # without its weights, where they are with another process
    host: Host
    tokenizer: Tokenizer
    sampling: Sampling
    answers: CachedAnswers | None = field(default=None)
    endpoint: Endpoint | None = None  # what answers prompts in place of the model here

    @property
    def kind(self) -> BaselineKind:
        """The settled kind of baseline."""
        if self.baseline is None:
            raise ValueError("the baseline is not settled")
        return self.baseline

    def settle(self, baseline: BaselineKind, progress: Progress, chosen: bool) -> None:
        """Take a kind of baseline: on record in `identity` and `facts`, and with the cards' references for it."""
        self.baseline = baseline
        settings = self.identity["settings"]
        settings["baseline"] = self.facts["baseline"] = baseline
        if baseline not in ("generate", "calibrated"):
            settings["max_new_tokens"] = settings["generation_batch_size"] = None
        if baseline != "calibrated":
            settings["calibrate_on"] = None
        self.cards.update(_cards(self.vectors, baseline))
        settings["controls"] = control_keys(self.cards)
        self.facts["references"] = {t: c["reference"] for t, c in self.cards.items()}
        progress.note("baseline", {"kind": baseline, "chosen": chosen})

    def attach(self, cache: Path, step: Callable[[int, int, int], None], progress: Progress) -> None:
        """Make the model answer prompts, keeping its answers in `cache`. Nothing where no answers are needed."""
        if self.baseline not in ("generate", "calibrated"):
            return
        eos = eos_ids(self.model, self.tokenizer.hf.eos_token_id)
        key = {"model": self.identity["model"], "sampling": vars_of(self.sampling), "eos": sorted(eos)}
        remote = None
        if self.endpoint is not None:
            remote = RemoteGenerator(self.endpoint, self.tokenizer, eos, self.model.context, self._same(eos, progress))
            key |= {"endpoint": remote.name, "held_against": 1}  # answers of servers that were not are others
        kept = AnswerCache([], write_to=cache)
        if kept.damaged:
            files = ", ".join(p.name for p in kept.damaged)
            progress.note("warning", {"message": f"answers behind a torn end in {files} are generated again"})
        self.answers = CachedAnswers(
            remote.greedy(self.sampling) if remote is not None else self.host.generator(eos, self.sampling),
            self.tokenizer.decode,
            kept,
            json.dumps(key, sort_keys=True),
            step,
            Thinking(self.renderer.template, self.tokenizer).split,
        )

    def _same(self, eos: frozenset[int], progress: Progress) -> SameModel:
        """What an endpoint is compared with before it answers."""
        return SameModel(
            lambda sampling, prompts: self.host.generator(eos, sampling).answer(prompts),
            self.host.logits,
            self.tokenizer,
            eos,
            proof_prompts(self.tokenizer, self.renderer.template),
            lambda message: progress.note("warning", {"message": message}),
        )


def load_instruments(
    spec: ScanSpec,
    shape: Shape,
    progress: Progress,
    host: Host | None = None,
    longest: Callable[[Renderer], int] = lambda _renderer: 0,
) -> Instruments:
    """Load vectors, tokenizer, template and model, in the order in which they can fail cheaply. `host`: what runs the
    model; None: this process. `longest`: of the rows at hand, in tokens, asked before the model is loaded: its batching
    is proved on sequences as long."""
    host = host or Here()
    known = _known_baseline(spec, shape)
    endpoint = Endpoint.from_env() if spec.answer_by == "endpoint" else None
    folder = resolve(spec.model, MODEL_DIR)
    vectors = vectors_of(spec.model, spec.vectors, spec.traits, spec.layers)
    tokenizer = load_tokenizer(str(folder))
    template = load_template(tokenizer, spec.template)
    facts = model_facts(spec.model, folder, tokenizer, template)
    check_fit(vectors, facts)
    _tell_vectors(vectors, progress)
    renderer = Renderer(tokenizer, template, context=context_length(folder), end_of_turn=spec.end_of_turn)
    tokens = longest(renderer)
    model, proof = host.load(
        Loading(
            spec.model,
            folder,
            deepest=max(vectors.layers),
            generate=known in (None, "generate", "calibrated"),
            dtype=spec.dtype,
            device=spec.device,
            layers=tuple(sorted(set(vectors.layers))),
            longest=tokens,
        )
    )
    instruments = Instruments(
        renderer=renderer,
        projector=host.projector(vectors.matrix(), vectors.layers, budget_of(spec)),
        vectors=vectors,
        baseline=None,
        traits=vectors.traits,
        identity=_identity(spec, vectors, facts, renderer, proof),
        facts={**_facts(spec, vectors, model, proof, tokens), "worker": host.facts},
        cards={},
        model=model,
        host=host,
        tokenizer=tokenizer,
        sampling=Sampling(max_new_tokens=spec.max_new_tokens, seed=spec.seed, rows=rows_of(spec)),
        endpoint=endpoint,
    )
    if absent := limits_absent():
        progress.note(
            "warning", {"message": f"chat templates run without limits of {', '.join(absent)} on this system"}
        )
    progress.note("mask", {**renderer.facts(), "shape": shape.name, "render": shape.render})
    progress.note("model", instruments.facts["model"])
    if proof.fell_back:
        message = f"the model is run {proof.batching}, which is not the fastest way: {proof.reason}"
        progress.note("warning", {"message": message})
    if known is not None:
        instruments.settle(known, progress, chosen=spec.baseline is not None)
    return instruments


def budget_of(spec: ScanSpec) -> int:
    """Tokens a batch."""
    return spec.token_budget or default_budget(spec.device)


def rows_of(spec: ScanSpec) -> int:
    """Prompts answered at once."""
    return spec.generation_batch_size or rows_at_once(spec.device)


def _known_baseline(spec: ScanSpec, shape: Shape) -> BaselineKind | None:
    """The kind of baseline, where it can be told before the rows are looked at."""
    if spec.baseline in (None, "auto"):
        return "contrast" if shape.preference else None
    return cast(BaselineKind, spec.baseline)


def model_facts(name: str, folder: Path, tokenizer: Tokenizer, template: Template) -> ModelFacts:
    """What a vector's card is checked against (METHOD: vector files)."""
    n_layers, d_model = layer_count(folder)
    return ModelFacts(
        name=name,
        n_layers=n_layers,
        d_model=d_model,
        **model_hashes(folder),
        tokenizer=tokenizer.fingerprint(),
        template=template.sha256,
    )


def _identity(
    spec: ScanSpec, vectors: VectorSet, model: ModelFacts, renderer: Renderer, proof: Proof
) -> dict[str, Any]:
    """What must be equal on resume: content by hash, settings by value; paths do not count."""
    return {
        "format": FORMAT,
        "writer": WRITER,
        "traits": list(vectors.traits),
        "vectors": vectors.identity(),
        "model": {
            "config": model.config,
            "weights": model.weights,
            "tokenizer": model.tokenizer,
            "dtype": spec.dtype,
            "device": spec.device.split(":")[0],
        },
        "rendering": renderer.facts(),
        "settings": {
            "baseline": None,
            "max_new_tokens": spec.max_new_tokens,
            "generation_batch_size": rows_of(spec) if spec.answer_by == "model" else None,
            "calibrate_on": spec.calibrate_on,
            "refine": spec.refine,
            "group_by": spec.group_by,
            "answer_by": spec.answer_by,
            "limit": list(spec.limit),
            "train_on": spec.train_on,
            "shard_rows": spec.shard_rows,
            "token_budget": budget_of(spec),
            "batching": str(proof.batching),
        },
    }


def _facts(spec: ScanSpec, vectors: VectorSet, model: BaseModel, proof: Proof, longest: int) -> dict[str, Any]:
    """What is recorded and not compared: how it came to be, and on what."""
    notes = list(model.notes)
    if model.n_layers in vectors.layers:
        notes.append(f"layer {model.n_layers} is taken after the final norm, as hidden_states[-1] is")
    return {
        "spec": spec.to_json(),
        "model": {
            "name": spec.model,
            "embedded": spec.model == "pocket",
            "device": str(model.device),
            "dtype": spec.dtype,
            "layers": model.n_layers,
            "loaded_layers": model.loaded_layers,
            "context": model.context,
            "batching": str(proof.batching),
            "batching_difference": proof.difference,
            "batching_noise": proof.noise,
            "batching_bound": proof.bound,
            "batching_reason": proof.reason,
            "longest_row": longest,
            "notes": notes,
        },
        "vectors": {
            v.trait: {
                "source": v.source,
                "layer": layer,
                "pooling": v.card.get("pooling"),
                "warnings": list(v.warnings),
            }
            for v, layer in zip(vectors.vectors, vectors.layers, strict=True)
        },
        "versions": versions(),
    }


def _cards(vectors: VectorSet, baseline: str) -> dict[str, dict[str, Any]]:
    """Estimates and the user's answers are compared with the reference of exact differences: they stand for those."""
    kind = "generate" if baseline in ("calibrated", "answers") else baseline
    cards = {}
    for v, layer in zip(vectors.vectors, vectors.layers, strict=True):
        reference = reference_of(v.card, layer, kind)
        known = reference is not None and "controls" in reference
        cards[v.trait] = {"layer": layer, "reference": reference, "directions": v.controls if known else None}
    return cards


def control_keys(cards: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """Trait -> the key of the control directions that its reference brings; None where the run draws its own."""
    return {t: None if card["directions"] is None else key(card["directions"]) for t, card in cards.items()}


def _tell_vectors(vectors: VectorSet, progress: Progress) -> None:
    pairs = list(zip(vectors.vectors, vectors.layers, strict=True))
    rows = [{"trait": v.trait, "layer": layer, "source": v.source} for v, layer in pairs]
    progress.note("vectors", {"traits": rows})
    for v, _ in pairs:
        for message in v.warnings:
            progress.note("warning", {"message": message})


def versions() -> dict[str, str]:
    import tokenizers
    import transformers

    from screen import __version__

    return {
        "screen": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": np.__version__,
    }


def vars_of(sampling: Sampling) -> Mapping[str, Any]:
    return {
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "rows": sampling.rows,
    }
