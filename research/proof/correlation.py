"""Correlations over sets, before training against after it, with intervals and with what length explains taken out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.stats import pearson

Floats = npt.NDArray[np.float64]
DRAWS: Final = 2000
PREDICTORS: Final = ("difference", "estimate", "last-prompt", "projection", "lift")


def correlation(x: Floats, y: Floats, length: Floats) -> dict[str, float | None]:
    """Pearson's r over sets, (n,) each, its 95 % interval (sets drawn anew), and the partial r on `length`.

    None where one of the two does not vary.
    """
    if min(np.ptp(x), np.ptp(y)) == 0.0:
        return dict.fromkeys(("r", "low", "high", "partial"))
    picked = np.random.default_rng(0).integers(len(x), size=(DRAWS, len(x)))
    drawn = rows_pearson(x[picked], y[picked])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    values = {"r": pearson(x, y), "low": low, "high": high, "partial": partial(x, y, length)}
    return {name: round(float(value), 3) for name, value in values.items()}


def partial(x: Floats, y: Floats, z: Floats) -> float:
    """Pearson's r of what a straight line in `z` leaves of `x` and of `y`."""
    if np.ptp(z) == 0.0:
        return pearson(x, y)
    columns = np.stack([np.ones_like(z), z], axis=1)
    rests = [v - columns @ np.linalg.lstsq(columns, v, rcond=None)[0] for v in (x, y)]
    return pearson(*rests)


def rows_pearson(x: Floats, y: Floats) -> Floats:
    """(n,) r of each row of (n, m); NaN for a row that does not vary."""
    a, b = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(norm > 0, (a * b).sum(axis=1) / norm, np.nan)
    return found


def correlations(sets: Mapping[str, JsonObject]) -> JsonObject:
    """Over the sets: every predictor with shift and with the judge's figure, vector by trait; shift with the judge;
    length and random directions beside them."""

    def column(side: str, *path: str | int) -> Floats:
        values = []
        for entry in sets.values():
            value = entry[side]
            for key in path:
                value = value[key]
            values.append(value["value"] if isinstance(value, dict) else value)
        return np.array(values, dtype=np.float64)

    length = column("predicted", "length")
    shift = {t: column("measured", "shift", t) for t in TRAITS}
    shown = {t: column("measured", "shown", t) for t in TRAITS}
    found: dict[str, JsonObject] = {}
    for name in PREDICTORS:
        by = {t: column("predicted", name, t) for t in TRAITS}
        found[name] = {
            "shift": {v: {t: correlation(by[v], shift[t], length) for t in TRAITS} for v in TRAITS},
            "shown": {v: {t: correlation(by[v], shown[t], length) for t in TRAITS} for v in TRAITS},
        }
    found["shift"] = {"shown": {v: {t: correlation(shift[v], shown[t], length) for t in TRAITS} for v in TRAITS}}
    found["length"] = {
        "shift": {t: correlation(length, shift[t], length) for t in TRAITS},
        "shown": {t: correlation(length, shown[t], length) for t in TRAITS},
    }
    random = range(len(next(iter(sets.values()))["predicted"]["random"]))
    along = [(column("predicted", "random", i), column("measured", "random", i)) for i in random]
    found["random"] = {
        "own shift": [correlation(before, after, length)["r"] for before, after in along],
        "shown": {t: [correlation(before, shown[t], length)["r"] for before, _ in along] for t in TRAITS},
    }
    return found
