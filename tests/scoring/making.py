"""Made-up scores: a trait and its control directions on clean rows, and a reference measured on other clean rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from screen.stats import summary
from screen.vectors.controls import distribution

RNG = np.random.default_rng
CONTROLS = 32


def clean(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) scores of a trait and (n, CONTROLS) along its controls, of clean rows: standard normal, uncorrelated."""
    rng = RNG(seed)
    return rng.normal(size=n), rng.normal(size=(n, CONTROLS))


def reference(rows: int = 1500, seed: int = 99, controls: bool = True) -> dict[str, Any]:
    scores, random = clean(rows, seed)
    made: dict[str, Any] = {"rows": rows, **summary(scores)}
    return made | ({"controls": distribution(random)} if controls else {})


def lengths(n: int, seed: int = 7) -> np.ndarray:
    return RNG(seed).integers(20, 400, n)
