"""Is a vector any good? Held-out separation, steering curve, neighbours, and the controls that it must beat.

Used when a vector is built, and by `screen vectors validate` on one that is there. METHOD 4 names the controls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.building.extraction import cosines
from screen.building.validation.heldout import HeldOut, held_out
from screen.building.validation.separation import aurocs, chance, effects, shuffled
from screen.building.validation.steering import Point, steer
from screen.building.workshop import Workshop
from screen.stats import auroc, auroc_interval
from screen.traits.trait import Trait
from screen.vectors.card import ChanceCard, Validation

RANDOM = 32
_RANDOM, _PERMUTED = ":random", ":permuted"  # no trait's name
_CEILING = 0.99  # a control above this leaves a vector nothing to be better by
_TOP = 10


@dataclass(frozen=True)
class Candidate:
    """A direction to validate, zero where a file has none for a layer. `permuted`: (k, n_layers + 1, d_model), where
    the answers it came from are known."""

    trait: Trait
    direction: npt.NDArray[np.float32]
    permuted: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ValidationResult:
    """`facts` go on the card. `failed` says which controls are as good; `warnings` what else to know."""

    facts: Validation
    failed: tuple[str, ...]
    warnings: tuple[str, ...]


def separate(shop: Workshop, candidate: Candidate, directions: Mapping[str, npt.NDArray[np.float32]]) -> HeldOut:
    """Held-out answers of one trait, projected on every vector, on random ones and on those of permuted labels."""
    rng = np.random.default_rng([shop.spec.seed, RANDOM])
    compared = {
        **directions,
        _RANDOM: rng.standard_normal((RANDOM, *candidate.direction.shape)).astype(np.float32),
    }
    if candidate.permuted is not None:
        compared[_PERMUTED] = candidate.permuted
    return held_out(shop, candidate.trait, compared)


def curve(held: HeldOut, trait: str) -> tuple[list[float], list[float]]:
    """(AUROC, effect size) of the trait's own direction at each layer."""
    values = held.values[trait]
    return aurocs(values, held.shows).tolist(), effects(values, held.shows).tolist()


def validate(
    shop: Workshop,
    candidate: Candidate,
    held: HeldOut,
    layers: Mapping[str, int],
    directions: Mapping[str, npt.NDArray[np.float32]],
) -> ValidationResult:
    """The whole report on one vector at its layer. `layers`: the layer of every vector in `directions`."""
    name, layer = candidate.trait.name, layers[candidate.trait.name]
    auroc_layers, effect_layers = curve(held, name)
    has = np.asarray(candidate.direction.any(axis=1))
    control_figures = controls(held, name, layer, bool(has[0]))
    points = steer(
        shop, candidate.trait, candidate.direction, [(layer, c) for c in shop.spec.steer.curve], "steering curve"
    )
    failed, warnings = compare(auroc_layers[layer], control_figures)
    others = [other for other in directions if other != name]
    cosine = {o: float(cosines(candidate.direction, directions[o])[layer]) for o in others}
    crossed = {o: auroc(*_split(held, held.values[o][:, layers[o]])) for o in others}
    warnings += _warnings(points, crossed, auroc_layers[layer])
    facts: Validation = {
        "layer": layer,
        "held_out": {
            "questions": "evaluate",
            "read": "after the question alone, without the system prompt",
            "sides": held.counts,
        },
        "auroc": _rounded(auroc_layers, has),
        "effect": _rounded(effect_layers, has),
        "auroc_at_layer": round(auroc_layers[layer], 4),
        "auroc_interval": [round(end, 4) for end in auroc_interval(*_split(held, held.values[name][:, layer]))],
        "controls": control_figures,
        "steering": [p.to_json() for p in points],
        "cosine": {o: round(v, 4) for o, v in cosine.items()},
        "cross_auroc": {o: round(v, 4) for o, v in crossed.items()},
        "top_ten_share": _rounded(top_share(candidate.direction), has),
        "failed": failed,
        "warnings": warnings,
    }
    return ValidationResult(facts, tuple(failed), tuple(warnings))


def controls(held: HeldOut, trait: str, layer: int, embeddings: bool) -> dict[str, float | ChanceCard]:
    """AUROC of what should not tell the answers apart: METHOD 4. `embeddings`: the vector has a layer 0."""
    values, shows = held.values[trait], held.shows
    length = auroc(*_split(held, held.lengths.astype(np.float64)))
    figures: dict[str, float | ChanceCard] = (
        {"layer_0": round(auroc(*_split(held, values[:, 0])), 4)} if embeddings else {}
    )
    figures |= {
        "random": chance(aurocs(held.values[_RANDOM][:, :, layer], shows)).to_json(),
        "permuted_labels": shuffled(values[:, layer], shows).to_json(),
        "length": round(max(length, 1.0 - length), 4),
    }
    if _PERMUTED in held.values:
        figures["permuted_vectors"] = chance(aurocs(held.values[_PERMUTED][:, :, layer], shows)).to_json()
    return figures


def compare(value: float, figures: Mapping[str, float | ChanceCard]) -> tuple[list[str], list[str]]:
    """(controls that the AUROC `value` does not beat, warnings). A control at the ceiling fails nobody: both are
    perfect then, and the answers are too easy to tell by it."""
    failed, warnings = [], []
    for name, control in figures.items():
        bar = control["p95"] if isinstance(control, Mapping) else control
        named = f"{name.replace('_', ' ')} ({'95th percentile ' if isinstance(control, Mapping) else ''}{bar:.3f})"
        if bar >= _CEILING and value >= _CEILING:
            warnings.append(f"{named} tells the held-out answers apart as well: the figure says little")
        elif value <= bar:
            failed.append(named)
    return failed, warnings


def top_share(direction: npt.NDArray[np.float32]) -> list[float]:
    """Share of the squared norm in the ten largest dimensions, at each layer; 0 for a zero row."""
    squares = direction.astype(np.float64) ** 2
    whole = squares.sum(axis=1)
    top = np.sort(squares, axis=1)[:, -_TOP:].sum(axis=1)
    return [float(v) for v in top / np.where(whole > 0, whole, 1.0)]


def _warnings(points: list[Point], crossed: Mapping[str, float], own: float) -> list[str]:
    warnings = []
    still = next((p for p in points if p.coefficient == 0.0), None)
    pushed = [p for p in points if p.coefficient > 0 and p.coherence >= 50.0]
    if still and not any(p.score > still.score for p in pushed):
        warnings.append("steering with it does not raise the trait at any coefficient that leaves the answers coherent")
    better = [f"{o} ({v:.3f})" for o, v in crossed.items() if v > own]
    if better:
        warnings.append(f"the vector of another trait separates these answers better: {', '.join(better)}")
    return warnings


def _split(held: HeldOut, values: npt.NDArray[np.float64]) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    return values[held.shows], values[~held.shows]


def _rounded(values: list[float], present: npt.NDArray[np.bool_]) -> list[float | None]:
    return [round(v, 4) if has else None for v, has in zip(values, present, strict=True)]
