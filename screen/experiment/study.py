"""The experiment: read this first. Scores -> arms -> fine-tuned copies -> what they show -> what the ranking meant.

Each fine-tuning that is done is kept as one file of OUT/arms, by what decides it; a study that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from screen.analysis.rescore import reopen
from screen.building.judges import JudgeFor
from screen.building.spec import BuildSpec
from screen.building.validation.vector_files import rows_of as directions_of
from screen.building.validation.vector_files import trait_of
from screen.building.workshop import Workshop, open_workshop
from screen.data.dataset import Dataset
from screen.disk import scratch_folder, write_atomically
from screen.errors import UsageError
from screen.experiment import measure, memory
from screen.experiment.arms import ARMS, Arm, ArmName, Ints, Trainable, above, arms, lessons, rows_of
from screen.experiment.command import train_by_command
from screen.experiment.cuts import measured_cuts
from screen.experiment.finetune import fine_tune
from screen.experiment.outcome import ArmOutcome, findings
from screen.experiment.recipe import Recipe
from screen.experiment.results import RESULTS, Study, identity
from screen.experiment.trainable import Lessons, read_rows
from screen.foreign import JsonObject
from screen.jsonl import dump
from screen.model.load import resolve
from screen.pocket import MODEL_DIR
from screen.progress import Progress, Silent, Tally
from screen.scan.inputs import vectors_of
from screen.seal import Broken, open_json, sealed_json
from screen.spec import ScanSpec
from screen.store.scan import Scan
from screen.traits.trait import Trait

ARMS_FOLDER, WORK, BASE = "arms", "work", "base"
TRAINING = "fine-tuning"
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class StudySpec:
    """What decides a study beside the run.

    traits    that rows are ranked by; `given`: trait files, where card and library do not hold them
    arms      which sets of rows; seeds: fine-tunings of each
    answers   to each evaluation question; tokens: of an answer at most
    drop      the expression of the arm `filtered`
    held_out  rows kept out of every arm, for the loss
    command   that trains instead of the recipe
    shuffled  a control: what the screen says of each row is dealt to the rows anew, for each seed
    """

    traits: tuple[str, ...] = ()
    given: tuple[Trait, ...] = ()
    arms: tuple[ArmName, ...] = ARMS
    seeds: int = 3
    recipe: Recipe = field(default_factory=Recipe)
    answers: int = 5
    tokens: int = 200
    drop: str = "flagged"
    held_out: int = 64
    command: str | None = None
    shuffled: bool = False

    def to_json(self) -> JsonObject:
        plain = {"traits": self.traits, "answers": self.answers, "tokens": self.tokens, "drop": self.drop}
        how = {"command": self.command} if self.command else {"recipe": self.recipe.to_json()}
        return {**plain, "held_out": self.held_out, **({"ranking": SHUFFLED} if self.shuffled else {}), **how}


@dataclass(frozen=True)
class _Plan:
    """What one fine-tuning trains on: `chosen`, positions in `ranked`, by which the arm was chosen."""

    chosen: Ints
    ranked: Trainable
    above: float | None


@dataclass(frozen=True)
class _Bench:
    """What every arm is measured with, and against: the model as it was."""

    base: Workshop
    traits: tuple[Trait, ...]
    axes: Mapping[str, measure.TraitAxis]
    questions: Sequence[str]  # held out, of all traits
    before: Mapping[str, measure.Floats]
    rows: Lessons
    spec: StudySpec
    scanned: ScanSpec
    folder: Path  # of the base model
    dataset: Dataset

    def outcome(self, shop: Workshop, arm: Arm | None, plan: _Plan | None, tokens: int, began: float) -> ArmOutcome:
        """Everything that is measured of the model in `shop`; of the base model without an arm and a plan."""
        now = self.before if arm is None else measure.at_last_prompt(shop, self.questions, self.axes)
        shown, coherence = {}, {}
        for trait in self.traits:
            scores, coherent = measure.shown(self.base, shop, trait, self.spec.answers, self.spec.tokens)
            shown[trait.name], coherence[trait.name] = scores.tolist(), float(coherent.mean())
        predicted = {t: float(s[plan.chosen].mean()) for t, s in plan.ranked.scores.items()} if plan else {}
        kept_out = [lesson for row in self.rows.kept_out for lesson in self.rows.lessons[row]]
        return ArmOutcome(
            arm=arm.name if arm else BASE,
            by=arm.by if arm else None,
            seed=arm.seed if arm else None,
            rows=len(plan.chosen) if plan else 0,
            tokens=tokens,
            predicted={trait.name: predicted.get(trait.name) for trait in self.traits},
            shift={t: (now[t] - self.before[t]).tolist() for t in self.axes},
            shown=shown,
            coherence=coherence,
            loss=measure.loss(shop, kept_out),
            seconds=time.monotonic() - began,
            above=plan.above if plan else None,
        )


def perform(run: Path, out: Path, spec: StudySpec, judge: JudgeFor, progress: Progress | None = None) -> Study:
    """Fine-tune and measure every arm of a finished run. Raises UsageError and ModelError before any training, where
    the rows, the judge, the memory or the vectors do not suffice."""
    progress = progress or Silent()
    scan = Scan.open(run)
    bench = _bench(scan, out, spec, judge, progress)
    wanted = arms(spec.arms, spec.traits, spec.seeds)
    plans = {arm: _plan(arm, bench) for arm in wanted}  # too few rows are told now
    budget = int(bench.rows.rows.tokens.sum() * spec.recipe.passes)
    (out / ARMS_FOLDER).mkdir(parents=True, exist_ok=True)
    decided = _decided(scan, bench, budget)
    began, reused = time.monotonic(), 0
    outcomes = [bench.outcome(bench.base, None, None, 0, began)]
    for number, arm in enumerate(wanted):
        place = out / ARMS_FOLDER / f"{arm}.json"
        rows = bench.rows.rows.row[plans[arm].chosen].tolist()
        key = key_of({**decided, "arm": str(arm), "rows": rows})
        if (kept := _kept(place, key)) is not None:
            outcomes.append(kept)
            reused += 1
            continue
        order = list(lessons(plans[arm].chosen, bench.rows.rows.tokens, budget, arm.seed))
        outcome = _one(bench, arm, plans[arm], order, judge)
        write_atomically(place, sealed_json({"key": key, "outcome": asdict(outcome)}))
        outcomes.append(outcome)
        progress.tick(
            Tally(number + 1, len(wanted), 0, 0, time.monotonic() - began, TRAINING, number + 1 - reused, unit=TRAINING)
        )
    found = findings(outcomes, spec.traits, f"{SHUFFLED} ranking" if spec.shuffled else "ranking")
    cuts = measured_cuts(outcomes, spec.traits)
    study = Study(identity(scan), spec.to_json(), outcomes, found, cuts, reused, bench.rows.away)
    write_atomically(out / RESULTS, sealed_json(study.to_json()))
    return study


def _plan(arm: Arm, bench: _Bench) -> _Plan:
    ranked = bench.rows.rows.dealt(arm.seed) if bench.spec.shuffled else bench.rows.rows
    return _Plan(rows_of(arm, ranked), ranked, above(arm, ranked))


def _bench(scan: Scan, out: Path, spec: StudySpec, judge: JudgeFor, progress: Progress) -> _Bench:
    stored = ScanSpec.from_json(scan.folder.facts["spec"])
    vectors = vectors_of(stored.model, stored.vectors, stored.traits, stored.layers)
    given = {trait.name: trait for trait in spec.given}
    if unknown := [name for name in spec.traits if name not in vectors.traits]:
        raise UsageError(f"the run has no trait {unknown[0]!a}", f"its traits are {', '.join(vectors.traits)}")
    traits = tuple(trait_of(v, given) for v in vectors.vectors if v.trait in spec.traits)
    folder = resolve(stored.model, MODEL_DIR)
    if spec.command is None:
        memory.check(folder, stored.device, spec.recipe.lora is not None)
    base = workshop_of(stored, stored.model, traits, out / WORK / BASE, judge, progress)
    n = base.model.n_layers
    axes = {
        v.trait: measure.TraitAxis(layer, directions_of(v, n)[layer])
        for v, layer in zip(vectors.vectors, vectors.layers, strict=True)
    }
    again = reopen(scan, progress=progress)
    rows = read_rows(scan, again, spec.traits, spec.drop, spec.held_out)
    questions = [question for trait in traits for question in trait.evaluate]
    before = measure.at_last_prompt(base, questions, axes)
    return _Bench(base, traits, axes, questions, before, rows, spec, stored, folder, again.dataset)


def workshop_of(
    stored: ScanSpec, model: str, traits: tuple[Trait, ...], work: Path, judge: JudgeFor, progress: Progress
) -> Workshop:
    """A model of a run, or a copy of it that was fine-tuned, to be measured as that run has it."""
    built = BuildSpec(traits=traits, model=model, template=stored.template, dtype=stored.dtype, device=stored.device)
    return open_workshop(built, work, judge, progress)


def _one(bench: _Bench, arm: Arm, plan: _Plan, order: Sequence[int], judge: JudgeFor) -> ArmOutcome:
    """Train, measure, and throw the model away."""
    began = time.monotonic()
    rows, stored = bench.rows.rows, bench.scanned
    with scratch_folder("screen-study-") as folder:
        model = folder / "model"
        numbers = [int(rows.row[at]) for at in order]
        if bench.spec.command is not None:
            train_by_command(bench.spec.command, bench.dataset, numbers, arm.seed, model)
        else:
            learnt = [lesson for row in numbers for lesson in bench.rows.lessons[row]]
            recipe = bench.spec.recipe
            fine_tune(bench.folder, learnt, recipe, arm.seed, model, dtype=stored.dtype, device=stored.device)
        shop = workshop_of(stored, str(model), bench.traits, folder / "work", judge, Silent())
        tokens = int(rows.tokens[np.asarray(order, dtype=np.int64)].sum())
        return bench.outcome(shop, arm, plan, tokens, began)


def _decided(scan: Scan, bench: _Bench, budget: int) -> JsonObject:
    """What decides every outcome alike. A trait's name says neither its questions nor who judges it."""
    return {
        "run": identity(scan),
        "study": bench.spec.to_json(),
        "budget": budget,
        "traits": {trait.name: trait.sha256 for trait in bench.traits},
        "judges": {name: judge.identity for name, judge in bench.base.judges.items()},
    }


def key_of(decides: JsonObject) -> str:
    """By which an outcome is known again."""
    return hashlib.sha256(dump(decides).encode()).hexdigest()


def _kept(place: Path, key: str) -> ArmOutcome | None:
    """The outcome of an earlier call, where it was decided by the same; a damaged file is measured again."""
    try:
        stored = open_json(place.read_bytes())
    except (OSError, Broken):
        return None
    return ArmOutcome(**stored["outcome"]) if stored.get("key") == key else None
