"""What can be told of a study before a row is scored: a slip costs a second and not an hour.

Everything here is checked again where it is used.
"""

from __future__ import annotations

from screen.building.judges import Kind, check_judge
from screen.building.validation.vector_files import trait_of
from screen.data.from_spec import dataset_of
from screen.errors import UsageError
from screen.experiment import memory
from screen.experiment.study import StudySpec
from screen.experiment.trainable import LEAST_ROWS, no_pairs, too_few
from screen.model.load import resolve
from screen.pocket import MODEL_DIR
from screen.scan.inputs import vectors_of
from screen.spec import ScanSpec


def check(scanned: ScanSpec, study: StudySpec, judge: Kind) -> None:
    """The traits have vectors, questions and a judge, and the model can be trained. Raises UsageError, ModelError."""
    vectors = vectors_of(scanned.model, scanned.vectors, scanned.traits, scanned.layers)
    if unknown := [name for name in study.traits if name not in vectors.traits]:
        raise UsageError(f"the run has no trait {unknown[0]!a}", f"its traits are {', '.join(vectors.traits)}")
    given = {trait.name: trait for trait in study.given}
    check_judge(judge, scanned.model, [trait_of(v, given) for v in vectors.vectors if v.trait in study.traits])
    if study.command is None:
        memory.check(resolve(scanned.model, MODEL_DIR), scanned.device, study.recipe.lora is not None)


def check_rows(scanned: ScanSpec) -> None:
    """Of a dataset that is not scored yet. Raises UsageError for preference pairs, and for rows too few for an arm."""
    if "-" in scanned.dataset:  # what comes from a pipe is read once
        return
    dataset, name = dataset_of(scanned), scanned.dataset[0]
    if dataset.shape.preference:
        raise no_pairs(name)
    first = next(dataset.windows(LEAST_ROWS), None)
    if first is None or len(first.entries) < LEAST_ROWS:
        raise too_few(name, len(first.entries) if first else 0)
