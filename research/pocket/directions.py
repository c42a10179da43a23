"""The layer of the embedded model's vectors: by steering, among the layers that separate planted rows."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from research.pocket.workshop import Floats
from screen.building.validation.separation import aurocs
from screen.building.validation.steering import Point
from screen.stats import project


def separation(vector: npt.NDArray[np.float32], planted: Floats, default: Floats) -> list[float]:
    """AUROC of planted over default answers at every layer, from their (answers, n_layers + 1, d_model) differences."""
    values = project(np.concatenate([planted, default]), vector)
    shows = np.arange(len(values)) < len(planted)
    return [0.5, *(float(value) for value in aurocs(values[:, 1:], shows))]


def best_layer(curve: Sequence[Point], separated: Sequence[float], coherence: float) -> Point:
    """The strongest steering at `coherence` or above, among layers that separate within 0.01 of the best.

    Steering alone would often choose an early layer that barely reads the answer it is to score.
    """
    layers = sorted({point.layer for point in curve})
    limit = max(separated[layer] for layer in layers) - 0.01
    able = [p for p in curve if separated[p.layer] >= limit and p.coherence >= coherence]
    pool = able or [p for p in curve if separated[p.layer] >= limit]
    return max(pool, key=lambda p: (p.shown, p.score, -math.fabs(p.coefficient)))
