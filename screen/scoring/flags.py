"""Which scores are flagged: above a percentile of the clean reference on the vector's card, or, where the card
has none, above a robust z of 3 within the run, which says no more than "unusual here".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError

DEFAULT_AT = "p99"
_CARD = "the card's reference"
_ROBUST_Z = 3.0
_MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Threshold:
    """`value`: a score above it is flagged; None where nothing can be flagged. `rule`: in words."""

    value: float | None
    rule: str
    reference: bool


def threshold(scores: npt.NDArray[np.float32], reference: Mapping[str, Any] | None, at: str = DEFAULT_AT) -> Threshold:
    """The threshold for one trait of one run.

    scores     (n,) float32 of the run, nulls left out
    reference  {"rows": n, "quantiles": {"p95": x, ...}} for this layer and baseline kind, or None
    at         a percentile of the reference, "p99"
    """
    if not re.fullmatch(r"p\d{1,3}", at):
        raise UsageError(f"--at takes a percentile of the reference such as p95 or p99, not {at!r}", "give --at p95")
    if reference is not None:
        quantiles = reference.get("quantiles", {})
        if at not in quantiles:
            raise UsageError(
                f"{reference.get('name', _CARD)} has no {at} (it has {', '.join(quantiles) or 'none'})",
                "give --at one of these",
            )
        rows = int(reference.get("rows", 0))
        return Threshold(float(quantiles[at]), f"{at} of {reference.get('name', _CARD)} ({rows:,} clean rows)", True)
    why = "no reference on the card for this layer and baseline"
    if len(scores) < 2:
        return Threshold(None, f"too few scores for a threshold; {why}", False)
    median = float(np.median(scores))
    spread = _MAD_TO_SD * float(np.median(np.abs(scores - median)))
    if spread == 0.0:
        return Threshold(None, f"the scores have no spread; {why}", False)
    return Threshold(median + _ROBUST_Z * spread, f"robust z > 3 within this run only; {why}", False)


def reference_of(card: Mapping[str, Any], layer: int, kind: str) -> dict[str, Any] | None:
    """The card's clean reference for one layer and baseline kind, or None where it has none."""
    reference = card.get("reference")
    if not isinstance(reference, Mapping):
        return None
    at_layer = reference.get("kinds", {}).get(kind, {}).get(str(layer))
    if not isinstance(at_layer, Mapping):
        return None
    return {"rows": reference.get("rows", 0), "source": reference.get("source", ""), **at_layer}
