"""What two runs were made of, side by side: told before any score is compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from screen.store import identity as identities
from screen.store.folder import RunFolder

Subject = Literal["dataset", "model", "vectors", "baseline", "settings", "thresholds"]
_INSTRUMENTS = ("config", "weights", "tokenizer")  # of the model: what decides the units of its activations
_NEAR = 1e-4  # of a threshold
_OF_DATA = ("limit", "answers")  # settings that are of a dataset
_TOLD = ("baseline", "controls")  # settings that have a line of their own, or follow from vectors


@dataclass(frozen=True, slots=True)
class Fact:
    """Whether the two runs have the same of something; how each calls it, and the fields in which they differ."""

    subject: Subject
    same: bool
    a: str
    b: str
    differences: tuple[str, ...] = ()


def facts_of(a: RunFolder, b: RunFolder, thresholds: Mapping[str, tuple[float | None, float | None]]) -> list[Fact]:
    """A fact a subject, in the order in which they matter."""
    return [
        _dataset(a, b),
        _model(a, b),
        _vectors(a, b),
        _baseline(a, b),
        _settings(a, b),
        _thresholds(thresholds),
    ]


def same_units(a: RunFolder, b: RunFolder, trait: str) -> bool:
    """Whether a trait's scores can be subtracted: one model, vector and layer, and one kind of baseline."""
    vectors = [folder.identity.get("vectors", {}).get(trait) for folder in (a, b)]
    columns = [folder.score_column(trait) for folder in (a, b)]
    alike = vectors[0] == vectors[1] and columns[0] == columns[1] and a.baseline is b.baseline
    return alike and not _differing(a, b)


def same_reading(a: RunFolder, b: RunFolder) -> bool:
    """Whether token counts and prompt keys of one row are equal where it was read the same way."""
    models = [folder.identity.get("model", {}).get("tokenizer") for folder in (a, b)]
    return models[0] == models[1] and a.identity.get("rendering") == b.identity.get("rendering")


def _differing(a: RunFolder, b: RunFolder) -> list[str]:
    models = [folder.identity.get("model", {}) for folder in (a, b)]
    return [f"model.{name}" for name in _INSTRUMENTS if models[0].get(name) != models[1].get(name)]


def _dataset(a: RunFolder, b: RunFolder) -> Fact:
    """Files are compared by their bytes, in any order; how they are read is among the settings."""
    files = [sorted(f["sha256"] for f in folder.identity.get("dataset", {}).get("files", ())) for folder in (a, b)]
    limits = [folder.identity.get("settings", {}).get("limit") for folder in (a, b)]
    names = [_named(folder) for folder in (a, b)]
    return Fact("dataset", files[0] == files[1] and limits[0] == limits[1], names[0], names[1])


def _named(folder: RunFolder) -> str:
    spec = folder.facts.get("spec", {})
    files = list(folder.facts.get("dataset", {}).get("files") or spec.get("dataset", ()))
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    first, end = spec.get("limit") or (0, None)
    part = f", rows {first:,} to {'the end' if end is None else f'{end - 1:,}'}" if first or end is not None else ""
    return f"{files[0] if files else 'unknown'}{more}{part}"


def _model(a: RunFolder, b: RunFolder) -> Fact:
    names = [str(folder.facts.get("spec", {}).get("model", "unknown")) for folder in (a, b)]
    differing = _differing(a, b)
    return Fact("model", not differing, names[0], names[1], tuple(differing))


def _vectors(a: RunFolder, b: RunFolder) -> Fact:
    first, second = (folder.identity.get("vectors", {}) for folder in (a, b))
    differences = [f"{trait}: in the first alone" for trait in a.traits if trait not in b.traits]
    differences += [f"{trait}: in the second alone" for trait in b.traits if trait not in a.traits]
    for trait in (t for t in a.traits if t in b.traits):
        one, other = first.get(trait), second.get(trait)
        if one != other and one and other:
            layers = f"layer {one['layer']} -> {other['layer']}" if one["layer"] != other["layer"] else "another vector"
            differences.append(f"{trait}: {layers}")
    return Fact("vectors", not differences, ", ".join(a.traits), ", ".join(b.traits), tuple(differences))


def _baseline(a: RunFolder, b: RunFolder) -> Fact:
    names = [
        folder.baseline.name + (", refined" if folder.identity.get("settings", {}).get("refine") else "")
        for folder in (a, b)
    ]
    return Fact("baseline", names[0] == names[1], names[0], names[1])


def _settings(a: RunFolder, b: RunFolder) -> Fact:
    """What decides scores beside all that, field by field."""
    differences = [*identities.differences(_decides(a), _decides(b))]
    return Fact("settings", not differences, "", "", tuple(differences))


def _decides(folder: RunFolder) -> dict[str, object]:
    identity = folder.identity
    settings = {k: v for k, v in identity.get("settings", {}).items() if k not in (*_OF_DATA, *_TOLD)}
    reading = {k: v for k, v in identity.get("dataset", {}).items() if k != "files"}
    model = {k: v for k, v in identity.get("model", {}).items() if k not in _INSTRUMENTS}
    return {"settings": settings, "dataset": reading, "model": model, "rendering": identity.get("rendering", {})}


def _thresholds(of: Mapping[str, tuple[float | None, float | None]]) -> Fact:
    differing = [f"{t}: {_number(x)} -> {_number(y)}" for t, (x, y) in of.items() if not _near(x, y)]
    a, b = (", ".join(f"{t} {_number(sides[i])}" for t, sides in of.items()) for i in (0, 1))
    return Fact("thresholds", not differing, a, b, tuple(differing))


def _near(first: float | None, second: float | None) -> bool:
    """Equal but for noise: a run without a reference takes its threshold from its own scores."""
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=_NEAR)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
