"""Small fine-tunings with vectors added in training and not when measured: read this first.

Rows of a run -> plain fine-tuning, and one a coefficient and choice of layers -> what each shows -> plan.json. Each
fine-tuning that is done is kept as one file of WORK/trials, by what decides it; a sweep that was stopped goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from screen.analysis.rescore import reopen
from screen.building.judges import JudgeFor
from screen.building.validation.vector_files import trait_of
from screen.building.workshop import Workshop
from screen.disk import scratch_folder, write_atomically
from screen.errors import UsageError
from screen.experiment import measure, memory
from screen.experiment.arms import lessons
from screen.experiment.finetune import fine_tune
from screen.experiment.recipe import Recipe
from screen.experiment.results import identity
from screen.experiment.study import BASE, TRAINING, WORK, key_of, workshop_of
from screen.experiment.trainable import Lessons, read_rows
from screen.experiment.vaccine.choice import (
    WITHIN,
    How,
    VaccineOption,
    VaccineOutcome,
    VaccineTrial,
    choose,
    options,
    sentence,
)
from screen.foreign import JsonObject
from screen.model.load import resolve
from screen.pocket import MODEL_DIR
from screen.progress import Progress, Silent, Tally
from screen.scan.inputs import vectors_of
from screen.seal import Broken, open_json, sealed_json
from screen.spec import ScanSpec
from screen.steering.given import SteeringVectors
from screen.steering.plan_file import SteeringPlan, directions_sha256, write_plan
from screen.store.scan import Scan
from screen.training import PreventativeSteering
from screen.traits.trait import Trait
from screen.vectors.fit import lock_of

TRIALS = "trials"


@dataclass(frozen=True)
class VaccineSpec:
    """What decides a sweep beside the run.

    traits       that are held down; given: trait files, where card and library do not hold them
    sweep        coefficients, in units of each trait's own mean difference, above 0
    layers       one, all, or both
    seeds        fine-tunings of each
    answers      to each evaluation question; tokens: of an answer at most
    drop         which rows the held-out loss is not taken of
    held_out     rows kept out of training, for the loss
    within       points of 100
    """

    traits: tuple[str, ...] = ()
    given: tuple[Trait, ...] = ()
    sweep: tuple[float, ...] = (0.5, 1.0, 2.0)
    layers: tuple[How, ...] = ("one", "all")
    seeds: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    answers: int = 5
    tokens: int = 200
    drop: str = "flagged"
    held_out: int = 64
    within: float = WITHIN

    def trials(self) -> list[VaccineTrial]:
        """Those of one seed together, so that a sweep that is stopped has whole seeds."""
        each: list[tuple[How | None, float]] = [(None, 0.0), *((how, c) for c in self.sweep for how in self.layers)]
        return [VaccineTrial(how, c, seed) for seed in range(self.seeds) for how, c in each]

    def to_json(self) -> JsonObject:
        """What decides a single fine-tuning's outcome."""
        plain = {"traits": self.traits, "answers": self.answers, "tokens": self.tokens, "drop": self.drop}
        return {**plain, "held_out": self.held_out, "recipe": self.recipe.to_json()}


@dataclass(frozen=True)
class Vaccine:
    """What came of it. `chosen`: None where no coefficient holds; `reused`: fine-tunings of an earlier call."""

    base: VaccineOutcome
    outcomes: tuple[VaccineOutcome, ...]
    options: tuple[VaccineOption, ...]
    chosen: VaccineOption | None
    sentence: str
    rows: int
    held_out: int
    reused: int

    def to_json(self) -> JsonObject:
        return {
            "sentence": self.sentence,
            "chosen": None if self.chosen is None else self.chosen.to_json(),
            "options": [option.to_json() for option in self.options],
            "base": asdict(self.base),
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "rows": self.rows,
            "held_out": self.held_out,
        }


@dataclass(frozen=True)
class _Bench:
    """What every fine-tuning is made of and measured with."""

    base: Workshop
    traits: tuple[Trait, ...]
    vectors: SteeringVectors  # coefficients of 1, at one layer
    rows: Lessons
    spec: VaccineSpec
    scanned: ScanSpec
    folder: Path
    budget: int

    def outcome(self, shop: Workshop, trial: VaccineTrial | None, began: float) -> VaccineOutcome:
        """Of the base model without a trial."""
        shown: dict[str, Sequence[float]] = {}
        coherence: dict[str, Sequence[float]] = {}
        for trait in self.traits:
            scores, coherent = measure.shown(self.base, shop, trait, self.spec.answers, self.spec.tokens)
            shown[trait.name], coherence[trait.name] = scores.tolist(), coherent.tolist()
        kept_out = [lesson for row in self.rows.kept_out for lesson in self.rows.lessons[row]]
        return VaccineOutcome(
            layers=trial.layers if trial else None,
            coefficient=trial.coefficient if trial else 0.0,
            seed=trial.seed if trial else None,
            shown=shown,
            coherence=coherence,
            loss=measure.loss(shop, kept_out),
            seconds=time.monotonic() - began,
        )


def perform(
    run: Path, plan: Path, work: Path, spec: VaccineSpec, judge: JudgeFor, progress: Progress | None = None
) -> Vaccine:
    """Fine-tune and measure, and write `plan` where a coefficient holds. Raises UsageError, VectorError and ModelError
    before any training, where rows, judge, memory or vectors do not suffice."""
    progress = progress or Silent()
    scan = Scan.open(run)
    bench = _bench(scan, work, spec, judge, progress)
    (work / TRIALS).mkdir(parents=True, exist_ok=True)
    decided = _decided(scan, bench)
    wanted, began, reused = spec.trials(), time.monotonic(), 0
    base = bench.outcome(bench.base, None, began)
    outcomes = []
    for number, trial in enumerate(wanted):
        place = work / TRIALS / f"{trial}.json"
        key = key_of({**decided, "trial": asdict(trial)})
        if (kept := _kept(place, key)) is not None:
            outcomes.append(kept)
            reused += 1
            continue
        outcome = _one(bench, trial, judge, _step(progress, number, reused, len(wanted), began))
        write_atomically(place, sealed_json({"key": key, "outcome": asdict(outcome)}))
        outcomes.append(outcome)
    found = options(base, outcomes, spec.within)
    rows = bench.rows
    made = Vaccine(
        base,
        tuple(outcomes),
        tuple(found),
        choose(found),
        sentence(found, spec.within),
        len(rows.rows.row),
        len(rows.kept_out),
        reused,
    )
    if made.chosen is not None:
        _write(plan, bench, made, made.chosen)
    return made


def _write(plan: Path, bench: _Bench, made: Vaccine, chosen: VaccineOption) -> None:
    spec = bench.spec
    steering = SteeringPlan(_steering(bench.vectors, chosen.layers, chosen.coefficient), lock_of(bench.base.facts))
    recipe = {
        **spec.to_json(),
        "within": spec.within,
        "sweep": spec.sweep,
        "layers": spec.layers,
        "seeds": spec.seeds,
        "tokens_learnt": bench.budget,
        "sentence": made.sentence,
        "judges": {name: judge.identity for name, judge in bench.base.judges.items()},
    }
    write_plan(plan, steering, [asdict(outcome) for outcome in (made.base, *made.outcomes)], recipe)


def _bench(scan: Scan, work: Path, spec: VaccineSpec, judge: JudgeFor, progress: Progress) -> _Bench:
    stored = ScanSpec.from_json(scan.folder.facts["spec"])
    unit = _unit(stored, spec)
    given = {trait.name: trait for trait in spec.given}
    traits = tuple(trait_of(v, given) for v in unit.vectors)
    folder = resolve(stored.model, MODEL_DIR)
    memory.check(folder, stored.device, spec.recipe.lora is not None)
    base = workshop_of(stored, stored.model, traits, work / WORK / BASE, judge, progress)
    again = reopen(scan, progress=progress)
    rows = read_rows(scan, again, spec.traits, spec.drop, spec.held_out)
    budget = int(rows.rows.tokens.sum() * spec.recipe.passes)
    return _Bench(base, traits, unit, rows, spec, stored, folder, budget)


def check_additions(scanned: ScanSpec, spec: VaccineSpec) -> None:
    """Raises UsageError and VectorError for a trait, a layer or a coefficient that can be added to no model."""
    unit = _unit(scanned, spec)
    for trial in spec.trials():
        _steering(unit, trial.layers, trial.coefficient).additions()


def _unit(stored: ScanSpec, spec: VaccineSpec) -> SteeringVectors:
    """The vectors of the traits at their layers, with coefficients of 1."""
    chosen = vectors_of(stored.model, stored.vectors, stored.traits, stored.layers)
    if unknown := [name for name in spec.traits if name not in chosen.traits]:
        raise UsageError(f"the run has no trait {unknown[0]!a}", f"its traits are {', '.join(chosen.traits)}")
    placed = [(v, n) for v, n in zip(chosen.vectors, chosen.layers, strict=True) if v.trait in spec.traits]
    for vector, layer in placed:
        if layer < 1 and "one" in spec.layers:
            raise UsageError(
                f"layer 0 of {vector.trait!r} is the embeddings, which no block gives", "choose --layers all"
            )
    vectors = tuple(v for v, _ in placed)
    return SteeringVectors(vectors, (1.0,) * len(vectors), "one", {v.trait: n for v, n in placed})


def _steering(unit: SteeringVectors, layers: How | None, coefficient: float) -> SteeringVectors:
    """All vectors with one coefficient."""
    at = {} if layers == "all" else unit.at
    return replace(unit, coefficients=(coefficient,) * len(unit.vectors), layers=layers or "one", at=at)


def _preventative(bench: _Bench, trial: VaccineTrial) -> PreventativeSteering:
    """What a user puts into a trainer."""
    given = _steering(bench.vectors, trial.layers, trial.coefficient)
    return PreventativeSteering(given.vectors, trial.coefficient, layers=given.layers, layer=given.at)


def _one(bench: _Bench, trial: VaccineTrial, judge: JudgeFor, step: Callable[[int, int], None]) -> VaccineOutcome:
    """Train with the vectors added, measure without them, and throw the model away."""
    began = time.monotonic()
    rows, stored = bench.rows.rows, bench.scanned
    order = list(lessons(np.arange(len(rows.row)), rows.tokens, bench.budget, trial.seed))
    learnt = [lesson for at in order for lesson in bench.rows.lessons[int(rows.row[at])]]
    with scratch_folder("screen-vaccine-") as folder:
        model, device = folder / "model", stored.device
        fine_tune(
            bench.folder,
            learnt,
            bench.spec.recipe,
            trial.seed,
            model,
            dtype=stored.dtype,
            device=device,
            step=step,
            callbacks=[] if trial.layers is None else [_preventative(bench, trial)],
        )
        shop = workshop_of(stored, str(model), bench.traits, folder / "work", judge, Silent())
        return bench.outcome(shop, trial, began)


def _step(progress: Progress, number: int, reused: int, of: int, began: float) -> Callable[[int, int], None]:
    """Tells steps of training over all fine-tunings; what was kept from before counts as done, not for the speed."""

    def step(done: int, steps: int) -> None:
        all_done, fresh = number * steps + done, (number - reused) * steps + done
        progress.tick(Tally(all_done, of * steps, 0, 0, time.monotonic() - began, TRAINING, fresh, unit="step"))

    return step


def _decided(scan: Scan, bench: _Bench) -> JsonObject:
    """What decides every outcome alike."""
    vectors: Mapping[str, JsonObject] = {
        v.trait: {"sha256": directions_sha256(v), "layer": bench.vectors.layer_of(v)} for v in bench.vectors.vectors
    }
    return {
        "run": identity(scan),
        "vaccine": bench.spec.to_json(),
        "budget": bench.budget,
        "vectors": vectors,
        "traits": {trait.name: trait.sha256 for trait in bench.traits},
        "judges": {name: judge.identity for name, judge in bench.base.judges.items()},
    }


def _kept(place: Path, key: str) -> VaccineOutcome | None:
    """The outcome of an earlier call, where it was decided by the same; a damaged file is measured again."""
    try:
        stored = open_json(place.read_bytes())
    except (OSError, Broken):
        return None
    return VaccineOutcome(**stored["outcome"]) if stored.get("key") == key else None
