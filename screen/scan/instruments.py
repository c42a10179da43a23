"""What is loaded before the first row: vectors and model, checked against each other, batching proved.

Nothing is decided and nothing is scored here; `plan.py` and `scorer.py` do that with what this gives.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from screen.baselines.kind import Baseline
from screen.baselines.responses import CachedAnswers
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
from screen.scoring.schema import FORMAT
from screen.spec import ScanSpec
from screen.store.cache.answers import AnswerCache
from screen.store.identity import InstrumentsIdentity, ModelIdentity
from screen.store.tables import WRITER
from screen.vectors.fit import ModelFacts, check_fit
from screen.vectors.persona import VectorSet

ANSWERS = "baselines"  # of a run folder: where answers are kept that no cache was named for


@dataclass(frozen=True)
class Instruments:
    """What is loaded, and was checked against each other.

    projector  measures on the vectors alone
    model      without its weights, where they are with another process
    longest    tokens of the row that the batching was proved on
    endpoint   what answers prompts in place of the model here
    """

    renderer: Renderer
    projector: Measuring
    vectors: VectorSet
    model: BaseModel
    host: Host
    tokenizer: Tokenizer
    sampling: Sampling
    proof: Proof
    fit: ModelFacts
    longest: int
    endpoint: Endpoint | None = None

    @property
    def traits(self) -> tuple[str, ...]:
        return self.vectors.traits

    def identity(self, spec: ScanSpec) -> InstrumentsIdentity:
        """What of them must be equal on resume: content by hash; paths do not count."""
        return {
            "format": FORMAT,
            "writer": WRITER,
            "traits": list(self.traits),
            "vectors": self.vectors.identity(),
            "model": {
                "config": self.fit.config,
                "weights": self.fit.weights,
                "tokenizer": self.fit.tokenizer,
                "dtype": spec.dtype,
                "device": spec.device.split(":")[0],
            },
            "rendering": self.renderer.facts(),
        }

    def responses(
        self,
        identity: ModelIdentity,
        cache: Path,
        step: Callable[[int, int, int], None],
        progress: Progress,
        *,
        since: str | None = None,
        read_only: bool = False,
    ) -> CachedAnswers:
        """What answers prompts, each once: the model, or a server of it, with its answers kept in `cache`.

        identity   the "model" of a run's identity; step  told (answers done, answers wanted, tokens just generated)
        since      a run whose own answers are read as well
        read_only  to ask which answers are known: none can be made
        """
        eos = eos_ids(self.model, self.tokenizer.hf.eos_token_id)
        key: dict[str, object] = {"model": identity, "sampling": _sampling_facts(self.sampling), "eos": sorted(eos)}
        remote = None
        if self.endpoint is not None:
            remote = RemoteGenerator(self.endpoint, self.tokenizer, eos, self.model.context, self._same(eos, progress))
            key |= {"endpoint": remote.name, "held_against": 1}  # answers of servers that were not are others
        earlier = [] if since is None else [Path(since) / ANSWERS]
        answer_cache = AnswerCache([*earlier, cache], write_to=None if read_only else cache)
        if answer_cache.damaged:
            files = ", ".join(p.name for p in answer_cache.damaged)
            progress.note("warning", {"message": f"answers in damaged places of {files} are generated again"})
        return CachedAnswers(
            remote.greedy(self.sampling) if remote is not None else self.host.generator(eos, self.sampling),
            self.tokenizer.decode,
            answer_cache,
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
    baseline: Baseline | None,
    progress: Progress,
    host: Host | None = None,
    longest: Callable[[Renderer], int] = lambda _renderer: 0,
) -> Instruments:
    """Load vectors, tokenizer, template and model, in the order in which they can fail cheaply.

    baseline  the kind, where it is known by now: decides whether the model must be able to answer
    host      what runs the model; None: this process
    longest   of the rows at hand, in tokens, asked before the model is loaded: its batching is proved on such ones
    """
    host = host or Here()
    endpoint = Endpoint.from_env() if spec.answer_by == "endpoint" else None
    folder = resolve(spec.model, MODEL_DIR)
    vectors = vectors_of(spec.model, spec.vectors, spec.traits, spec.layers)
    tokenizer = load_tokenizer(str(folder))
    template = load_template(tokenizer, spec.template)
    fit = model_facts(spec.model, folder, tokenizer, template)
    check_fit(vectors, fit)
    _tell_vectors(vectors, progress)
    renderer = Renderer(tokenizer, template, context=context_length(folder), end_of_turn=spec.end_of_turn)
    tokens = longest(renderer)
    loading = Loading(
        spec.model,
        folder,
        deepest=max(vectors.layers),
        generate=baseline is None or baseline.generates,
        dtype=spec.dtype,
        device=spec.device,
        layers=tuple(sorted(set(vectors.layers))),
        longest=tokens,
    )
    model, proof = host.load(loading)
    if absent := limits_absent():
        message = f"chat templates run without limits of {', '.join(absent)} on this system"
        progress.note("warning", {"message": message})
    return Instruments(
        renderer=renderer,
        projector=host.projector(vectors.matrix(), vectors.layers, budget_of(spec)),
        vectors=vectors,
        model=model,
        host=host,
        tokenizer=tokenizer,
        sampling=Sampling(max_new_tokens=spec.max_new_tokens, seed=spec.seed, rows=rows_of(spec)),
        proof=proof,
        fit=fit,
        longest=tokens,
        endpoint=endpoint,
    )


def budget_of(spec: ScanSpec) -> int:
    """Tokens a batch."""
    return spec.token_budget or default_budget(spec.device)


def rows_of(spec: ScanSpec) -> int:
    """Prompts answered at once."""
    return spec.generation_batch_size or rows_at_once(spec.device)


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


def _tell_vectors(vectors: VectorSet, progress: Progress) -> None:
    pairs = list(zip(vectors.vectors, vectors.layers, strict=True))
    rows = [{"trait": v.trait, "layer": layer, "source": v.source} for v, layer in pairs]
    progress.note("vectors", {"traits": rows})
    for v, _ in pairs:
        for message in v.warnings:
            progress.note("warning", {"message": message})


def _sampling_facts(sampling: Sampling) -> dict[str, int | float | None]:
    return {
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "rows": sampling.rows,
    }
