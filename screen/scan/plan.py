"""What is decided before the first row is scored: the kind of baseline, references, thresholds, and what must match on
resume. Made whole by `plan_scan`; nothing changes it later."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch

from screen.baselines import table
from screen.baselines.answers_file import GivenAnswers
from screen.baselines.estimates.estimator import prompt_hashes
from screen.baselines.kind import Baseline
from screen.baselines.response import BaselineResponse
from screen.data.dataset import Dataset
from screen.data.files import FileIdentity, Fingerprint
from screen.errors import UsageError
from screen.model.forward.items import Item
from screen.progress import Progress
from screen.rendering.rendered import Sequence as TokenSequence
from screen.rendering.renderer import Renderer
from screen.scan.instruments import Instruments, budget_of, rows_of
from screen.scan.read import read_window
from screen.scan.since.carry import check_same_instruments
from screen.scan.since.earlier import EarlierRun
from screen.scoring.findings.flags import DEFAULT_AT, Threshold, TraitCard, TraitReference, reference_of, threshold
from screen.spec import ScanSpec
from screen.store.identity import Identity, Settings
from screen.store.reference import Reference
from screen.store.scanfile import DatasetFacts, Facts, ModelFactsRecord
from screen.vectors.controls import key
from screen.vectors.persona import VectorSet

_ROWS = 256
Cards = Mapping[str, TraitCard]


@dataclass(frozen=True)
class ScanPlan:
    """A run, decided.

    cards       trait -> {"layer", "reference": scores of clean rows, "directions": the control directions they bring}
    reference   the set of --reference, in place of the cards' own
    thresholds  trait -> the score above which rows are flagged, as far as it is known before any is scored
    identity    what must be equal on resume; facts  what is on record beside it
    since       the run whose rows are carried over, made with the same instruments
    """

    spec: ScanSpec
    dataset: Dataset
    instruments: Instruments
    baseline: Baseline
    cards: Cards
    reference: Reference | None
    given: GivenAnswers | None
    thresholds: Mapping[str, Threshold]
    identity: Identity
    facts: Facts
    since: EarlierRun | None = None

    def shown(self) -> dict[str, float]:
        """Score column -> the threshold that is known before the pass, to count flagged rows by as they come."""
        return {
            self.baseline.column(trait, self.spec.refine): limit.value
            for trait, limit in self.thresholds.items()
            if limit.value is not None
        }


def plan_scan(
    spec: ScanSpec,
    dataset: Dataset,
    instruments: Instruments,
    progress: Progress,
    *,
    reference: Reference | None = None,
    at: str | None = None,
    since: EarlierRun | None = None,
) -> ScanPlan:
    """Decide a run. Raises UsageError and InputError for what does not go together."""
    known = known_baseline(spec, dataset)
    baseline = known or table.by_prompts(distinct_prompts(dataset, instruments.renderer, table.AUTO_MOST + 1))
    cards = cards_of(instruments.vectors, baseline)
    identity = instruments.identity(spec)
    _tell(spec, dataset, instruments, progress)
    progress.note("baseline", {"kind": baseline.name, "chosen": known is not None and spec.baseline is not None})
    if reference is not None:
        reference.check(identity, baseline)
        cards = {trait: _by_reference(card, reference, trait) for trait, card in cards.items()}
    given = _given(spec, dataset, baseline, progress)
    if spec.refine:
        table.check_refine(baseline)
    settings = _settings(spec, instruments, baseline, cards)
    if reference is not None:
        settings["reference"] = reference.sha256
    if given is not None:
        settings["answers"] = given.sha256
    if spec.refine:
        settings["at"] = at or DEFAULT_AT  # here it decides which rows are answered
    whole = cast(Identity, {**identity, "settings": settings, "dataset": _by_content(dataset.fingerprint())})
    facts: Facts = {
        **_facts(spec, instruments),
        "baseline": baseline.name,
        "references": _references(cards),
        "dataset": describe(dataset),
    }
    if since is not None:
        check_same_instruments(since, whole)
        whole["since"], facts["since"] = since.identity, since.facts(str(spec.since))
        progress.note("since", facts["since"])
    return ScanPlan(
        spec,
        dataset,
        instruments,
        baseline,
        cards,
        reference,
        given,
        thresholds=_thresholds(cards, at),
        identity=whole,
        facts=facts,
        since=since,
    )


def _tell(spec: ScanSpec, dataset: Dataset, instruments: Instruments, progress: Progress) -> None:
    shape, proof = dataset.shape, instruments.proof
    progress.note("mask", {**instruments.renderer.facts(), "shape": shape.name, "render": shape.render})
    progress.note("model", model_record(spec, instruments))
    if proof.fell_back:
        message = f"the model is run {proof.batching}, which is not the fastest way: {proof.reason}"
        progress.note("warning", {"message": message})


def known_baseline(spec: ScanSpec, dataset: Dataset) -> Baseline | None:
    """The kind of baseline, where it can be told before the rows are looked at."""
    if spec.baseline in (None, table.AUTO):
        return table.for_pairs() if dataset.shape.preference else None
    return table.kind_of(str(spec.baseline))


class DataPrompt(NamedTuple):
    """A prompt of the dataset: the turn before which it stands, and its file."""

    sequence: TokenSequence
    number: int
    file: str

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        return self.sequence.ids[: self.sequence.turns[self.number].prompt_end]

    def item(self, response: BaselineResponse) -> Item:
        """The dataset's answer, the prompt's last token, and the baseline response as a branch, to be measured."""
        turn = self.sequence.turns[self.number]
        tokens, at = turn.tokens, turn.prompt_end
        positions = np.concatenate([tokens, np.array([at - 1], dtype=np.int32)])
        lengths = np.array([len(tokens), 1], dtype=np.int32)
        branch = response.branch(at)
        return Item(self.sequence.ids[: int(tokens[-1]) + 1], positions, lengths, (branch,) if branch else ())


def prompts_of(
    dataset: Dataset, renderer: Renderer, skip: AbstractSet[int] = frozenset()
) -> Iterator[tuple[int, list[DataPrompt]]]:
    """(a window's number, the prompts in it), without the windows of `skip`."""
    for window in dataset.windows(_ROWS, skip=skip):
        yield (
            window.number,
            [
                DataPrompt(sequence, number, sample.place.file)
                for sample, rendered in read_window(window, dataset, renderer).samples
                for sequence in rendered.sequences
                for number in range(len(sequence.turns))
            ],
        )


def distinct_prompts(dataset: Dataset, renderer: Renderer, most: int) -> int:
    """How many there are; counted up to `most`."""
    seen: set[int] = set()
    for _, prompts in prompts_of(dataset, renderer):
        seen.update(prompt_hashes([p.ids for p in prompts]).tolist())
        if len(seen) >= most:
            break
    return len(seen)


def cards_of(vectors: VectorSet, baseline: Baseline) -> Cards:
    """Of each trait its layer, and the clean scores of the baseline's kind that its vector's card brings."""
    cards: dict[str, TraitCard] = {}
    for v, layer in zip(vectors.vectors, vectors.layers, strict=True):
        reference = reference_of(v.card, layer, baseline.reference)
        known = reference is not None and "controls" in reference
        cards[v.trait] = {"layer": layer, "reference": reference, "directions": v.controls if known else None}
    return cards


def _by_reference(card: TraitCard, reference: Reference, trait: str) -> TraitCard:
    return {**card, "reference": reference.as_card(trait), "directions": reference.directions(trait)}


def _references(cards: Cards) -> dict[str, TraitReference | None]:
    return {trait: card["reference"] for trait, card in cards.items()}


def _given(spec: ScanSpec, dataset: Dataset, baseline: Baseline, progress: Progress) -> GivenAnswers | None:
    """The user's answers, checked against the rows: those without one are named."""
    if not baseline.from_file:
        return None
    if not spec.answers:
        raise UsageError("--baseline answers names no file", "give --baseline answers:FILE")
    given = GivenAnswers(Path(spec.answers))
    lost, first = given.check(dataset)
    if lost:
        message = (
            f"{spec.answers} has no answer to {lost:,} samples, which get no difference (first: {', '.join(first)})"
        )
        progress.note("warning", {"message": message})
    return given


def _thresholds(cards: Cards, at: str | None) -> dict[str, Threshold]:
    """Those of the references. Raises UsageError for a percentile that a reference does not have."""
    none = np.zeros(0, dtype=np.float32)
    limits = {trait: threshold(none, card["reference"], at or DEFAULT_AT) for trait, card in cards.items()}
    return {trait: t for trait, t in limits.items() if t.reference and t.value is not None}


def _settings(spec: ScanSpec, instruments: Instruments, baseline: Baseline, cards: Cards) -> Settings:
    """What decides the scores beside model and data, by value."""
    generates = baseline.generates
    by_model = generates and spec.answer_by == "model"
    return {
        "baseline": baseline.name,
        "max_new_tokens": spec.max_new_tokens if generates else None,
        "generation_batch_size": rows_of(spec) if by_model else None,
        "calibrate_on": spec.calibrate_on if baseline.calibrates else None,
        "refine": spec.refine,
        "group_by": spec.group_by,
        "answer_by": spec.answer_by,
        "limit": list(spec.limit),
        "train_on": spec.train_on,
        "shard_rows": spec.shard_rows,
        "token_budget": budget_of(spec),
        "batching": str(instruments.proof.batching),
        # trait -> the key of the control directions that its reference brings; None where the run draws its own
        "controls": {t: None if c["directions"] is None else key(c["directions"]) for t, c in cards.items()},
    }


def _facts(spec: ScanSpec, instruments: Instruments) -> Facts:
    """What is recorded and not compared: how it came to be, and on what."""
    vectors = instruments.vectors
    return {
        "spec": spec.to_json(),
        "model": model_record(spec, instruments),
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
        "worker": instruments.host.facts,
    }


def model_record(spec: ScanSpec, instruments: Instruments) -> ModelFactsRecord:
    """The model and how it is run, for the record and the listener."""
    model, proof = instruments.model, instruments.proof
    notes = list(model.notes)
    if model.n_layers in instruments.vectors.layers:
        notes.append(f"layer {model.n_layers} is taken after the final norm, as hidden_states[-1] is")
    return {
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
        "longest_row": instruments.longest,
        "notes": notes,
    }


def describe(dataset: Dataset) -> DatasetFacts:
    """What was found, for people and for scan.json."""
    return {
        "files": [f.path if isinstance(f.path, str) else str(f.path) for f in dataset.files],
        "shape": dataset.shape.name,
        "evidence": dataset.shape.evidence,
        "rows": dataset.count(),
        "rendered": dataset.rendering(),
        "notes": list(dataset.notes),
    }


def _by_content(fingerprint: Fingerprint) -> Fingerprint:
    """A dataset's fingerprint without its paths: a file that was moved is the same file."""
    files: list[FileIdentity] = [{"bytes": f["bytes"], "sha256": f["sha256"]} for f in fingerprint["files"]]
    return {**fingerprint, "files": files}


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
