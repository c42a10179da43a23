"""Validates vector files that are there: the report of a build, anew, on the model that they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from screen.building.judges import JudgeFor
from screen.building.spec import BuildSpec
from screen.building.validation.validate import Candidate, ValidationResult, separate, validate
from screen.building.workshop import Workshop, open_workshop
from screen.errors import UsageError
from screen.judges import Agreement, agreement
from screen.progress import Progress, Silent
from screen.traits.schema import problems
from screen.traits.trait import Trait, library, load_trait, trait_from
from screen.vectors.card import VectorCard
from screen.vectors.files import load_vectors, save_vector
from screen.vectors.fit import check_fit, choose
from screen.vectors.persona import PersonaVector


@dataclass(frozen=True)
class Report:
    """One vector's report. `judge`: its agreement with labels, where some were given."""

    vector: PersonaVector
    result: ValidationResult
    judge: Agreement | None = None


def validate_files(
    paths: Sequence[str],
    spec: BuildSpec,
    work: Path,
    *,
    judge: JudgeFor,
    layers: Mapping[str, int] | None = None,
    labels: Path | None = None,
    progress: Progress | None = None,
) -> list[Report]:
    """Validate every vector under `paths` beside the others.

    spec    its `traits` say what the vectors are of, where card and library do not; the rest as in a build
    work    where answers and judgements are kept; the folder of a build has most of them already
    labels  JSON lines to compare the judge with: see `read_labels`
    """
    vectors = load_vectors(tuple(paths))
    given = {trait.name: trait for trait in spec.traits}
    spec = replace(spec, traits=tuple(trait_of(v, given) for v in vectors))
    rows = read_labels(labels) if labels else []
    chosen = choose(vectors, (), layers or {})
    shop = open_workshop(spec, work, judge, progress or Silent())
    check_fit(chosen, shop.facts)
    directions = {v.trait: rows_of(v, shop.model.n_layers) for v in vectors}
    placed = dict(zip(chosen.traits, chosen.layers, strict=True))
    reports = []
    for vector, trait in zip(vectors, spec.traits, strict=True):
        candidate = Candidate(trait, directions[trait.name])
        result = validate(shop, candidate, separate(shop, candidate, directions), placed, directions)
        reports.append(Report(vector, result, agrees(shop, trait, rows) if labels else None))
    return reports


def trait_of(vector: PersonaVector, given: Mapping[str, Trait]) -> Trait:
    """What a vector is of: as given, else from its card, else from the library by its name."""
    if vector.trait in given:
        return given[vector.trait]
    kept = vector.card.get("artefacts")
    if isinstance(kept, dict) and not problems(kept):
        return trait_from(kept)
    if vector.trait in library():
        return load_trait(vector.trait)
    raise UsageError(
        f"{vector.source}: its card holds no questions for {vector.trait!r}, and the library has no such trait",
        "give the trait's file with --trait FILE",
    )


def rows_of(vector: PersonaVector, n_layers: int) -> npt.NDArray[np.float32]:
    """(n_layers + 1, d_model) float32, zeros where the file has no direction for a layer."""
    whole = np.zeros((n_layers + 1, vector.d_model), dtype=np.float32)
    whole[vector.hs_index] = vector.direction
    return whole


def save_report(report: Report) -> None:
    """Keep the report on the vector's card; the directions stay as they are."""
    vector = report.vector
    card: VectorCard = {**vector.card, "validation": {**report.result.facts, "forced": False}}
    if report.judge is not None:
        card["judge_agreement"] = asdict(report.judge)
    save_vector(replace(vector, card=card), Path(vector.source))


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer that a person has labelled. `trait`: "" where the file does not say."""

    question: str
    answer: str
    shows: bool
    trait: str


def read_labels(path: Path) -> list[Labelled]:
    """JSON lines with `question`, `answer` and `label`: true or false, or 0 to 100 with 50 as the threshold.

    A row with `trait` counts for that trait only.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "check --labels") from None
    rows = [_labelled(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UsageError(f"{path} holds no rows", "check --labels")
    return rows


def _labelled(path: Path, number: int, line: str) -> Labelled:
    try:
        row = json.loads(line)
        question, answer, label = row["question"], row["answer"], row["label"]
        if not (isinstance(question, str) and isinstance(answer, str) and isinstance(label, bool | int | float)):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            f"{path}:{number}: not a labelled answer",
            'each line is {"question": "...", "answer": "...", "label": true}; a label may be 0 to 100 too',
        ) from None
    shows = label if isinstance(label, bool) else label >= 50
    return Labelled(question, answer, shows, str(row.get("trait", "")))


def agrees(shop: Workshop, trait: Trait, rows: Sequence[Labelled]) -> Agreement:
    """How well the judge agrees with the labels of one trait."""
    own = [row for row in rows if row.trait in ("", trait.name)]
    judged = shop.judges[trait.name].judge([(row.question, row.answer) for row in own])
    return agreement(judged, [row.shows for row in own])
