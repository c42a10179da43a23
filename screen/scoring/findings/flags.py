"""Which scores are flagged: above a percentile of the clean reference on the vector's card, or, where the card
has none, above a robust z of 3 within the run, which says no more than "unusual here".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError
from screen.stats import ROBUST_Z, ScoreSummary, robust_spread, share_below
from screen.vectors.card import ControlDistribution, VectorCard

DEFAULT_AT = "p99"
BEYOND_LEAST = 5  # clean rows that must lie above a percentile for it to be known at all
_CARD = "the card's reference"


class TraitControls(ControlDistribution, total=False):
    """How clean rows score along a trait's control directions. `key`: of the directions; `source`: who brings them."""

    key: str
    source: str


class TraitReference(ScoreSummary, total=False):
    """How clean rows score on one trait, at one layer and of one kind of baseline. `source`, `name`: which they are."""

    rows: int
    source: str
    name: str
    controls: TraitControls


class Flagging(TypedDict, total=False):
    """What rows of one trait are flagged by, in summary.json: `column` of the scores above `threshold` (below
    `threshold_away`, for rows that are trained away from), and how much of a score is length."""

    threshold: float | None
    threshold_away: float | None
    rule: str
    column: str
    length_slope: float | None
    length_mean: float | None


class TraitCard(TypedDict, total=False):
    """What a run goes by for one trait. `directions` (m, d_model): the control directions that its reference brings."""

    layer: int
    reference: TraitReference | None
    directions: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """`value`: a score above it is flagged; None where nothing can be flagged. `rule`: in words.

    away       for rows that are trained away from: a score below it is flagged; None where that cannot be told
    at         the percentile of the reference that it is, None where it is none
    low, high  a 95 % interval of that percentile; None where the reference does not tell
    """

    value: float | None
    rule: str
    reference: bool
    away: float | None = None
    at: str | None = None
    low: float | None = None
    high: float | None = None


def threshold(scores: npt.NDArray[np.float32], reference: TraitReference | None, at: str = DEFAULT_AT) -> Threshold:
    """The threshold for one trait of one run.

    scores     (n,) float32 of the run, nulls left out
    reference  {"rows": n, "quantiles": {"p95": x, ...}} for this layer and baseline kind, or None
    at         a percentile of the reference, "p99"; a reference too small for it gives the highest that it supports
    """
    if reference is not None:
        return _of_reference(reference, percentile(at))
    why = "no reference on the card for this layer and baseline"
    if len(scores) < 2:
        return Threshold(None, f"too few scores for a threshold; {why}", False)
    median = float(np.median(scores))
    spread = float(robust_spread(scores, median))
    if spread == 0.0:
        return Threshold(None, f"the scores have no spread; {why}", False)
    reach = ROBUST_Z * spread
    return Threshold(median + reach, f"robust z > 3 within this run only; {why}", False, away=median - reach)


def percentile(at: str) -> str:
    """ "p5" -> "p05", "p99" as it is. Raises UsageError for what is no percentile."""
    if not re.fullmatch(r"p\d{1,3}", at) or not 0 < share_below(at) < 1:
        raise UsageError(f"--at takes a percentile of the reference such as p95 or p99, not {at!r}", "give --at p95")
    return at if len(at) > 2 else f"p0{at[1:]}"


def _of_reference(reference: TraitReference, at: str) -> Threshold:
    quantiles, rows = reference.get("quantiles", {}), int(reference.get("rows", 0))
    name = reference.get("name", _CARD)
    if at not in quantiles:
        raise UsageError(f"{name} has no {at} (it has {', '.join(quantiles) or 'none'})", "give --at one of these")
    used = supported(quantiles, rows, at)
    if used is None:
        why = f"{name} has {rows:,} rows, too few to tell what is rare among clean ones"
        return Threshold(None, why, True)
    rule = f"{used} of {name} ({rows:,} clean rows)"
    if used != at:
        rule += f": they are too few for {at}, which {BEYOND_LEAST} rows at least must lie above"
    value = float(quantiles[used])
    low, high = reference.get("intervals", {}).get(used, (None, None))
    away = quantiles.get(opposite(used))
    return Threshold(value, rule, True, None if away is None else float(away), used, low, high)


def opposite(at: str) -> str:
    """The percentile as far from the other end: p99 -> p01, p999 -> p001."""
    digits = len(at) - 1
    return f"p{10**digits - int(at[1:]):0{digits}d}"


def supported(quantiles: Mapping[str, float], rows: int, at: str) -> str | None:
    """`at`, or the highest percentile below it that BEYOND_LEAST of the rows lie above; None where that is none
    above the median."""
    wanted = share_below(at)
    fits = [q for q in quantiles if share_below(q) <= wanted and rows * (1 - share_below(q)) >= BEYOND_LEAST - 1e-6]
    best = max(fits, key=share_below, default=None)
    return best if best is not None and (best == at or share_below(best) > 0.5) else None


def reference_of(card: VectorCard, layer: int, kind: str) -> TraitReference | None:
    """The card's clean reference for one layer and baseline kind, or None where it has none; with its control
    directions' distribution under "controls" where it has that for this layer."""
    reference = card.get("reference")
    if not isinstance(reference, Mapping):
        return None
    at_layer = reference.get("kinds", {}).get(kind, {}).get(str(layer))
    if not isinstance(at_layer, Mapping):
        return None
    fields = {"rows": reference.get("rows", 0), "source": reference.get("source", ""), **at_layer}
    made = cast(TraitReference, fields)  # a card of somebody else's may hold more, or less: nothing is left out
    known = reference.get("controls")
    if isinstance(known, Mapping) and known.get("layer") == layer and kind in known.get("kinds", {}):
        made["controls"] = {"key": known.get("key"), "source": "card", **known["kinds"][kind]}
    return made
