"""What scores: a window's rows -> its tables. Made whole by `prepare_scorer`, from a plan and a run folder.

What is fixed before the first shard, control directions and what the kind of baseline fits, is kept in the run folder
(`screen.store.context`), so that a resumed run and every worker go by the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.baselines.answers_file import GivenAnswers
from screen.baselines.estimates.estimator import Arrays, BaselineEstimator, ControlSetFacts, KeptFacts
from screen.baselines.kind import Baseline, Fitted, Preparing, ResponseSource
from screen.baselines.response import BaselineResponse
from screen.data.dataset import Dataset, Window
from screen.errors import StoreError
from screen.model.faults import MemoryRanOut
from screen.model.forward.items import Item, Measured
from screen.model.forward.projector import Step
from screen.model.host import Measuring
from screen.progress import Progress
from screen.rendering.rendered import Sequence as TokenSequence
from screen.scan.instruments import Instruments
from screen.scan.plan import DataPrompt, ScanPlan, prompts_of
from screen.scan.read import read_window
from screen.scan.since.carry import Carrier, Sources, renamed_sources
from screen.scan.since.earlier import EarlierRun
from screen.scoring.context import ControlSet, Directions, ScoringContext
from screen.scoring.findings.flags import threshold
from screen.scoring.passes import item_of
from screen.scoring.shard import ShardInput, Tables, score_shard
from screen.store import context as kept
from screen.store.folder import RunFolder
from screen.vectors import controls
from screen.vectors.persona import VectorSet

STATES = 64  # rows whose activations the control directions are drawn from where no reference brings any
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scorer:
    """What a shard is scored with. `projector` measures on the vectors, the controls and the features of prompts."""

    dataset: Dataset
    instruments: Instruments
    baseline: Baseline
    projector: Measuring
    context: ScoringContext
    responses: ResponseSource | None
    given: GivenAnswers | None
    group_by: str | None

    def read(self, window: Window) -> ShardInput:
        """The window's rows, rendered."""
        return read_window(window, self.dataset, self.instruments.renderer, group_by=self.group_by, given=self.given)

    def score(self, shard: ShardInput, budget: int, step: Step = lambda _tokens, _of: None) -> tuple[Tables, int]:
        """The shard's tables, and the tokens a batch that they were made with: `budget`, or less where memory ran out.

        A shard is scored with one budget from its first row to its last: what is on record with it makes it again.
        """
        traits, within = self.instruments.traits, Within(self.projector, budget)
        try:
            return score_shard(shard, traits, within, self.responses, self.baseline, step, self.context), budget
        except MemoryRanOut:
            return self.score(shard, max(1, budget // 2), step)


class Within(NamedTuple):
    """A projector with so many tokens a batch, all of which must fit."""

    projector: Measuring
    budget: int

    def measure(self, items: Sequence[Item], step: Step = lambda _tokens, _of: None) -> list[Measured | str]:
        return self.projector.measure(items, step, budget=self.budget)


def prepare_scorer(
    plan: ScanPlan, folder: RunFolder, cache: Path, answering: Callable[[int, int, int], None], progress: Progress
) -> Scorer:
    """What is fixed before the first shard: read where the run folder has it, made and kept there where it does not.

    cache  where generated answers are kept; answering  told (answers done, answers wanted, tokens just generated)
    """
    instruments = plan.instruments
    responses: ResponseSource | None = None
    if plan.baseline.generates:
        responses = instruments.responses(plan.identity["model"], cache, answering, progress, since=plan.spec.since)
    prepared = _kept(folder, progress)
    if prepared is None:
        made = _make(plan, responses, progress) if plan.since is None else _standards_of(plan.since, plan.dataset)
        kept.save(folder.path, folder.run, *made)
        prepared = kept.load(folder.path, folder.run)
        assert prepared is not None
    if prepared[1].get("calibration"):
        progress.note("calibration", prepared[1]["calibration"])
    references = plan.reference.scores if plan.reference else {}
    context = context_of(*prepared, instruments.vectors, references, plan.spec.refine)
    projector = with_directions(instruments.projector, context.directions)
    return Scorer(
        plan.dataset, instruments, plan.baseline, projector, context, responses, plan.given, plan.spec.group_by
    )


def context_of(
    arrays: Arrays,
    facts: KeptFacts,
    vectors: VectorSet,
    references: Mapping[str, Float32] | None = None,
    refine: bool = False,
) -> ScoringContext:
    """What scores are compared with, as the run folder keeps it, with the scores of a reference set."""
    drawn = tuple(facts.get("drawn", (0, 0)))
    return ScoringContext(
        _directions(arrays, facts, vectors),
        BaselineEstimator.from_kept(arrays, facts),
        references or {},
        refine,
        (drawn[0], drawn[1]),
    )


def with_directions(projector: Measuring, directions: Directions) -> Measuring:
    """The same projector, which also measures the control and feature directions."""
    return projector.with_controls(directions.vectors, directions.layers)


def _kept(folder: RunFolder, progress: Progress) -> tuple[Arrays, KeptFacts] | None:
    """What is on the disk. Damaged, it is made anew as long as no shard is on record that was scored by it."""
    try:
        return kept.load(folder.path, folder.run)
    except StoreError as error:
        if folder.published or folder.damaged:
            raise
        progress.note("warning", {"message": f"{error.message}: no shard was scored by it yet, so it is made anew"})
        return None


def _standards_of(earlier: EarlierRun, dataset: Dataset) -> tuple[Arrays, KeptFacts]:
    """What the earlier run's scores were compared with, for the rows that stand beside them."""
    arrays, facts = earlier.standards
    return arrays, renamed_sources(facts, [file.path for file in dataset.files])


def carrier_of(plan: ScanPlan, scorer: Scorer) -> Carrier | None:
    """What carries rows over from the plan's earlier run; None without one."""
    if plan.since is None:
        return None
    calibration = scorer.context.calibration
    then = plan.since.standards[1].get("sources", ())
    sources = Sources(then, () if calibration is None else calibration.sources)
    return Carrier(
        plan.since, plan.dataset, plan.instruments.renderer,
        group_by=plan.spec.group_by, given=plan.given, sources=sources,
    )  # fmt: skip


def _make(plan: ScanPlan, responses: ResponseSource | None, progress: Progress) -> tuple[Arrays, KeptFacts]:
    sets, controls_of = _control_sets(plan)
    arrays: Arrays = {f"random.{key}": rows for key, rows in sets.items()}
    screened = sorted(set(plan.instruments.vectors.layers))
    facts: KeptFacts = {**controls_of, "screened": screened, "components": 0}
    fitted: Fitted = plan.baseline.prepare(_ForBaseline(plan, responses, progress, arrays, facts))
    return {**arrays, **fitted.arrays}, {**facts, **fitted.facts}


class _ForBaseline(Preparing):
    """What a kind of baseline is given of the run."""

    def __init__(
        self,
        plan: ScanPlan,
        responses: ResponseSource | None,
        progress: Progress,
        arrays: Arrays,
        facts: KeptFacts,
    ) -> None:
        self._plan, self._responses, self._arrays, self._facts = plan, responses, arrays, facts
        self._projector = plan.instruments.projector
        self._progress = progress
        self.traits, self.layers = plan.instruments.traits, plan.instruments.vectors.layers
        self.files = tuple(str(file.path) for file in plan.dataset.files)
        self.calibrate_on, self.seed = plan.spec.calibrate_on, plan.spec.seed

    def prompts(self, skip: AbstractSet[int] = frozenset()) -> Iterator[tuple[int, Sequence[DataPrompt]]]:
        return prompts_of(self._plan.dataset, self._plan.instruments.renderer, skip)

    def respond(self, prompts: Sequence[npt.NDArray[np.int32]]) -> Sequence[BaselineResponse | str | None]:
        assert self._responses is not None, "the kind says that it generates nothing"
        return self._responses.baseline_responses(prompts)

    def states(self, items: Sequence[Item], layers: Sequence[int]) -> Sequence[Float32 | str]:
        return self._projector.states(items, layers)

    def measure(self, items: Sequence[Item], arrays: Arrays, facts: KeptFacts) -> tuple[Sequence[Measured | str], int]:
        vectors = self._plan.instruments.vectors
        directions = _directions({**self._arrays, **arrays}, {**self._facts, **facts}, vectors)
        return with_directions(self._projector, directions).measure(items), directions.controls

    def note(self, kind: str, facts: Mapping[str, object]) -> None:
        self._progress.note(kind, facts)

    def limits(self, trait: str, scores: Float32) -> tuple[float | None, float | None]:
        limit = self._plan.thresholds.get(trait) or threshold(scores, None)
        return limit.value, limit.away


def _directions(arrays: Arrays, facts: KeptFacts, vectors: VectorSet) -> Directions:
    """The embedding layer a trait, control directions, then features: traits at other layers, principal components."""
    d = vectors.vectors[0].d_model
    zero = [v.unit(0) if 0 in v.hs_index else np.zeros(d, dtype=np.float32) for v in vectors.vectors]
    columns: list[tuple[npt.NDArray[np.generic], int]] = [(row, 0) for row in zero]
    sets = tuple(ControlSet(**s) for s in facts["sets"])
    for s in sets:
        columns += [(row, s.layer) for row in arrays[f"random.{s.key}"]]
    if facts["components"]:
        for vector, layer in zip(vectors.vectors, vectors.layers, strict=True):
            columns += [(vector.unit(lower), lower) for lower in _lower(layer) if lower in vector.hs_index]
        for layer in facts["screened"]:
            columns += [(row, layer) for row in arrays[f"components.{layer}"]]
    return Directions(
        np.stack([row for row, _ in columns]).astype(np.float32),
        tuple(layer for _, layer in columns),
        len(vectors.vectors),
        sets,
        tuple(facts["set_of"][v.trait] for v in vectors.vectors),
        tuple(0 in v.hs_index for v in vectors.vectors),
    )


def _control_sets(plan: ScanPlan) -> tuple[dict[str, Float32], KeptFacts]:
    """(key -> control directions; "sets", "drawn" and, trait -> key, "set_of"): those that the reference was measured
    along, for the traits that have them; for the others directions of the first rows' activations, a set a layer."""
    directions_of: dict[str, Float32] = {}
    sets: dict[str, ControlSetFacts] = {}
    set_of: dict[str, str] = {}
    lacking: dict[int, list[str]] = {}
    for trait, card in plan.cards.items():
        directions, reference = card["directions"], card["reference"]
        if directions is None or reference is None:
            lacking.setdefault(card["layer"], []).append(trait)
            continue
        key = controls.key(directions)
        directions_of[key] = directions
        sets[key] = {"key": key, "layer": card["layer"], "source": reference["controls"]["source"]}
        set_of[trait] = key
    states, drawn = _answer_states(plan) if lacking else ({}, (0, 0))
    for layer in sorted(lacking):
        without = _traits_at(plan.instruments.vectors, layer)
        rows = controls.directions(states[layer], seed=plan.spec.seed + layer, without=without)
        key = controls.key(rows)
        directions_of[key] = rows
        sets[key] = {"key": key, "layer": layer, "source": "run"}
        set_of |= dict.fromkeys(lacking[layer], key)
    return directions_of, {"sets": list(sets.values()), "set_of": set_of, "drawn": drawn}


def _traits_at(vectors: VectorSet, layer: int) -> Float32:
    """(k, d_model): every trait's direction at a layer, of those whose vectors have it."""
    return np.stack([v.unit(layer) for v in vectors.vectors if layer in v.hs_index])


def _lower(layer: int) -> list[int]:
    return sorted({layer // 4, layer // 2, 3 * layer // 4} - {layer})


def _answer_states(plan: ScanPlan) -> tuple[dict[int, Float32], tuple[int, int]]:
    """(layer -> (n, d_model) mean hidden states of the first rows' answers, `ScoringContext.drawn`). Where the model
    answers nothing the first shard runs the same sequences again: in batches of their own, whose states are kept."""
    instruments = plan.instruments
    window = next(plan.dataset.windows(STATES))
    shard = read_window(window, plan.dataset, instruments.renderer)
    sequences = [s for _, rendered in shard.samples for s in rendered.sequences][:STATES]
    layers = sorted({0, *instruments.vectors.layers})  # those that are measured then
    again = not plan.baseline.generates
    states = instruments.projector.states([item_of(s) for s in sequences], layers, keep=again)
    means = [_answer_mean(f, s) for f, s in zip(states, sequences, strict=True) if not isinstance(f, str)]
    good = [m for m in means if np.isfinite(m).all()]
    none = np.zeros((0, instruments.model.d_model), dtype=np.float32)
    by_layer = {n: np.stack([m[i] for m in good]) if good else none for i, n in enumerate(layers)}
    return by_layer, (STATES, window.end_row) if again else (0, 0)


def _answer_mean(means: Float32, sequence: TokenSequence) -> Float32:
    """(layers, d_model) over all tokens of a sequence's answers, of means over each of its segments."""
    lengths = [len(turn.tokens) for turn in sequence.turns]
    mean: Float32 = np.average(means[: len(lengths)], axis=0, weights=lengths).astype(np.float32)
    return mean
