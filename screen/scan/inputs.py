"""What a run is made with, opened without a model library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from screen.errors import VectorError
from screen.pocket import VECTORS_DIR
from screen.scoring.schema import reserved
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
