"""Estimates of baselines from a few answered prompts: the product's own fit, and other features of prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from research.proof.detecting.seen import Seen
from research.proof.subject import Subject
from screen.baselines.estimates import calibration
from screen.baselines.estimates.calibration import tail_factors
from screen.baselines.estimates.fitting import COMPONENTS
from screen.stats import unit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Features = Callable[[Seen, Subject, Ints], Floats]


class Estimate(NamedTuple):
    """(m, k) baselines of all prompts, those that were answered by fits that did not see them, and standard errors;
    `residual` (k,) what the cross-validated errors spread by."""

    values: Floats
    errors: Floats
    residual: Floats


def estimated(found: Seen, subject: Subject, answered: Ints, targets: Floats, features: Features) -> Estimate:
    """answered (n,) prompts; targets (n, k) their baselines."""
    there = ~np.isnan(targets).any(axis=1)
    answered, targets = answered[there], targets[there]
    given = features(found, subject, answered)
    model = calibration.fit(given[answered], targets)
    values, errors = model.predict(given)
    values[answered] = model.out_of_fold
    return Estimate(values, errors, model.residual)


def widened(found: Seen, made: Estimate, answered: Ints, limits: Floats) -> Floats:
    """(m, k) standard errors of an estimate of greedy baselines, widened as a run does where tails are heavy."""
    first = np.array([np.flatnonzero(found.prompt == p)[0] for p in answered])
    exact, guess = found.exact[first], found.projection[first] - made.values[answered]
    return made.errors * tail_factors(exact, guess, made.errors[answered], (exact > limits).sum(axis=0))


def as_in_a_run(found: Seen, subject: Subject, answered: Ints) -> Floats:
    """What a run goes by: the last prompt token along traits, control directions and principal components."""
    return np.concatenate([_directions(found.last, subject), _components(found.last, subject, answered, COMPONENTS)], 1)


def more_components(found: Seen, subject: Subject, answered: Ints) -> Floats:
    """The same with four times as many principal components."""
    parts = _directions(found.last, subject), _components(found.last, subject, answered, 4 * COMPONENTS)
    return np.concatenate(parts, 1)


def all_layers(found: Seen, subject: Subject, answered: Ints) -> Floats:
    """The same, with the traits' vectors and components at every layer."""
    layers = range(1, found.last.shape[1] - 1)
    parts = [as_in_a_run(found, subject, answered), *(_along(found.last, subject, layer) for layer in layers)]
    return np.concatenate([*parts, _components(found.last, subject, answered, COMPONENTS, layers)], 1)


def mean_prompt(found: Seen, subject: Subject, answered: Ints) -> Floats:
    """The same, and the same of the mean over the prompt's tokens."""
    other = _directions(found.mean, subject), _components(found.mean, subject, answered, COMPONENTS)
    return np.concatenate([as_in_a_run(found, subject, answered), *other], 1)


FEATURES: Final[Mapping[str, Features]] = {
    "as in a run": as_in_a_run,
    "128 components": more_components,
    "every layer": all_layers,
    "mean of the prompt too": mean_prompt,
}


def _screened(subject: Subject) -> list[int]:
    return sorted({axis.layer for axis in subject.axes.values()})


def _along(states: npt.NDArray[np.float32], subject: Subject, layer: int) -> Floats:
    rows = np.stack([unit(v.at(layer)) for v in subject.persona.values()])
    return np.asarray(states[:, layer] @ rows.T, dtype=np.float64)


def _directions(states: npt.NDArray[np.float32], subject: Subject) -> Floats:
    """Along each trait's vector at its layer, at the embeddings and at lower layers, and along its controls."""
    parts, seen = [], set()
    for trait, axis in subject.axes.items():
        vector = subject.persona[trait]
        for layer in (axis.layer, 0, axis.layer // 4, axis.layer // 2, 3 * axis.layer // 4):
            parts.append(states[:, layer] @ unit(vector.at(layer)).astype(np.float32)[:, None])
        if axis.layer not in seen and vector.controls is not None:
            seen.add(axis.layer)
            parts.append(states[:, axis.layer] @ vector.controls.T)
    return np.concatenate(parts, 1).astype(np.float64)


def _components(
    states: npt.NDArray[np.float32], subject: Subject, answered: Ints, many: int, layers: range | None = None
) -> Floats:
    """Along the principal components of the answered prompts' states."""
    parts = []
    for layer in layers or _screened(subject):
        of_layer = states[:, layer].astype(np.float64)
        centre = of_layer[answered].mean(0)
        _, spread, rows = np.linalg.svd(of_layer[answered] - centre, full_matrices=False)
        parts.append((of_layer - centre) @ rows[:many][spread[:many] > 1e-5 * spread[0]].T)
    return np.concatenate(parts, 1)
