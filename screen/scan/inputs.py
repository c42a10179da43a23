"""What a run is made with, opened without a model library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from screen.data.dataset import Dataset, open_dataset
from screen.errors import VectorError
from screen.pocket import VECTORS_DIR
from screen.scoring.schema import reserved
from screen.spec import ScanSpec
from screen.vectors.files import load_vectors
from screen.vectors.fit import choose
from screen.vectors.persona import VectorSet


def vectors_of(
    model: str, paths: tuple[str, ...], traits: Sequence[str] = (), layers: Mapping[str, int] | None = None
) -> VectorSet:
    """The vectors of `paths`, or the embedded model's own, narrowed to `traits`, each at its layer."""
    if not paths and model != "pocket":
        raise VectorError(
            f"there are no vectors for the model {model!r}",
            "give them with --vectors; without --model the embedded model and its vectors are used",
        )
    vectors = choose(load_vectors(paths or (str(VECTORS_DIR),)), traits, layers or {})
    for trait in vectors.traits:
        if trait in reserved():
            raise VectorError(f"the trait {trait!r} has the name of a column", "rename the vector's file or its card")
    return vectors


# the fields of a spec that say how its dataset is read
READING = ("dataset", "format", "map", "limit", "train_on", "render", "max_row_mib", "config")


def dataset_of(spec: ScanSpec, spool: Path | None = None) -> Dataset:
    """The dataset of a spec. `spool`: a folder for what comes from a pipe."""
    return open_dataset(
        spec.dataset,
        format=spec.format,
        map=spec.map,
        limit=spec.limit,
        train_on=spec.train_on,
        render=spec.render,
        max_row_mib=spec.max_row_mib,
        spool=spool,
        config=Path(spec.config) if spec.config else None,
    )
