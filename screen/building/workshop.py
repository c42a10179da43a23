"""What a build works with: model, sampler, judge and the listener. Knows how they fit, not what is made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from screen.building.judges import JudgeFor
from screen.building.means import BatchedMeans
from screen.building.sampler import SampledResponse, Sampler
from screen.building.spec import BuildSpec
from screen.endpoint.client import Endpoint
from screen.endpoint.remote import RemoteGenerator
from screen.endpoint.same_model import SameModel, proof_prompts
from screen.errors import ModelError
from screen.judges import CachedJudge, Judge, Judgement
from screen.model.forward.proof import Proof, prove
from screen.model.generate import Generator, Sampling, eos_ids, logits_after
from screen.model.load import BaseModel, load_model, resolve
from screen.pocket import MODEL_DIR
from screen.progress import ANSWER, Progress, Tally
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.scan.instruments import model_facts
from screen.scan.plan import versions
from screen.store.cache.answers import AnswerCache
from screen.store.cache.judgements import JudgementCache
from screen.traits.trait import Trait
from screen.vectors.fit import ModelFacts

FOLDER = ".build"


@dataclass(frozen=True)
class Workshop:
    """`facts` are the model's, for cards and locks; `sampling` is the rollouts'."""

    spec: BuildSpec
    sampler: Sampler
    judges: Mapping[str, Judge]
    proof: Proof
    means: BatchedMeans
    facts: ModelFacts
    revision: str
    sampling: Sampling
    versions: dict[str, str]
    progress: Progress

    @property
    def model(self) -> BaseModel:
        return self.sampler.model

    @property
    def steerable(self) -> range:
        """Layers that can be steered and read: not the embeddings, nor the last, which is taken after a norm."""
        return range(1, max(2, self.model.n_layers))

    def judge(self, trait: Trait, responses: Sequence[SampledResponse]) -> list[Judgement]:
        """One judgement an answer, in order; what was judged before is not judged again."""
        return self.judges[trait.name].judge([(s.ask.question, s.text) for s in responses])

    @contextmanager
    def meter(self, stage: str, total: int) -> Iterator[BuildMeter]:
        meter = BuildMeter(stage, total, self.progress)
        yield meter
        meter.tick()


class BuildMeter:
    """Counts the answers of one stage and tells the listener."""

    def __init__(self, stage: str, total: int, progress: Progress) -> None:
        self._stage, self._total, self._progress = stage, total, progress
        self._began = time.monotonic()
        self._done = self._partial = self._fresh = self._tokens = 0

    def generated(self, answers: int, tokens: int) -> None:
        """A batch was generated; it counts until `done` says that its chunk is through."""
        self._partial += answers
        self._fresh += answers
        self._tokens += tokens
        self.tick()

    def done(self, answers: int) -> None:
        self._done += answers
        self._partial = 0
        self.tick()

    def tick(self) -> None:
        seconds = time.monotonic() - self._began
        rows = min(self._done + self._partial, self._total)
        self._progress.tick(Tally(rows, self._total, 0, self._tokens, seconds, self._stage, self._fresh, unit=ANSWER))


def open_workshop(
    spec: BuildSpec, out: Path, judge: JudgeFor, progress: Progress, answers_from: Endpoint | None = None
) -> Workshop:
    """Load everything, cheap failures first. Answers and judgements are kept under `out`/.build.

    `answers_from`: an endpoint that serves the same model, to make the rollouts.
    """
    folder = resolve(spec.model, MODEL_DIR)
    tokenizer = load_tokenizer(str(folder))
    template = load_template(tokenizer, spec.template)
    facts = model_facts(_name(spec.model, folder), folder, tokenizer, template)
    if facts.n_layers < 2:
        raise ModelError("a model of one block has no layer to choose", "use a deeper --model")
    model = load_model(spec.model, folder, deepest=None, generate=True, dtype=spec.dtype, device=spec.device)
    identity = {
        "config": facts.config,
        "weights": facts.weights,
        "tokenizer": facts.tokenizer,
        "dtype": spec.dtype,
        "device": spec.device.split(":")[0],
    }
    cache = AnswerCache([], write_to=out / FOLDER / "answers", flag="--out")
    if cache.damaged:
        names = ", ".join(p.name for p in cache.damaged)
        progress.note("warning", {"message": f"answers in damaged places of {names} are generated again"})
    eos = eos_ids(model, tokenizer.hf.eos_token_id)
    remote = None
    if answers_from:
        prompts = proof_prompts(tokenizer, template)
        same = SameModel(
            lambda sampling, prompts: Generator(model, eos, sampling).answer(prompts),
            lambda ids: logits_after(model, ids),
            tokenizer,
            eos,
            prompts,
            lambda text: progress.note("warning", {"message": text}),
        )
        remote = RemoteGenerator(answers_from, tokenizer, eos, model.context, same)
    sampler = Sampler(model, tokenizer, template, eos, cache, identity, remote)
    judgements = JudgementCache(out / FOLDER / "judgements")
    proof = prove(model, range(model.n_layers + 1))
    return Workshop(
        spec=spec,
        sampler=sampler,
        judges={t.name: CachedJudge(judge(t, sampler, judgements), judgements) for t in spec.traits},
        proof=proof,
        means=BatchedMeans(model, proof.batching),
        facts=facts,
        revision=_revision(folder),
        sampling=Sampling(spec.longest(model.context), spec.temperature, spec.seed),
        versions=versions(),
        progress=progress,
    )


def _name(given: str, folder: Path) -> str:
    """The embedded model, a hub id, or a folder's own name: a card does not tell where somebody keeps a model."""
    return folder.name if Path(given).expanduser().is_dir() else given


def _revision(folder: Path) -> str:
    """The commit of a model from the hub's cache, "" elsewhere."""
    return folder.name if folder.parent.name == "snapshots" else ""
