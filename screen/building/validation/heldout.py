"""Held-out answers: contrastive prompts on the evaluation questions, which no direction was made from.

They are read after their question alone, as they would stand in a dataset; the system prompt that brought them
about is left out, so that it cannot be what is told apart. Only projections are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.building.rollouts import RolloutSide, asks, check, counts, kept
from screen.building.workshop import Workshop
from screen.stats import unit
from screen.traits.trait import Trait
from screen.vectors.card import SideCounts

Float64 = npt.NDArray[np.float64]
LEAST = 10  # answers a side, below which an AUROC says nothing


@dataclass(frozen=True)
class HeldOut:
    """Projections of one trait's held-out answers on unit directions.

    values   name -> (answers, n_layers + 1) float64 for one direction, or (answers, k, n_layers + 1) for k of them
    shows    (answers,) true for the positive side; lengths  (answers,) tokens
    """

    values: Mapping[str, Float64]
    shows: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]
    counts: SideCounts


def held_out(shop: Workshop, trait: Trait, directions: Mapping[str, npt.NDArray[np.float32]]) -> HeldOut:
    """Answer, judge, filter and project. Each of `directions`: (n_layers + 1, d_model) or (k, n_layers + 1, d_model).

    Raises VectorError where a side keeps fewer than LEAST answers.
    """
    names = list(directions)
    stacked = [d if d.ndim == 3 else d[None] for d in directions.values()]
    units = unit(np.concatenate(stacked))
    values, lengths, shows = [], [], []
    sides = []
    for positive, systems in ((True, trait.positives), (False, trait.negatives)):
        side = RolloutSide()
        wanted = asks(systems, trait.evaluate, shop.spec.held_out)
        stage = f"held-out answers, {'positive' if positive else 'negative'}"
        for chunk in kept(shop, trait, wanted, positive, side, stage):
            places = [shop.sampler.alone(response) for response in chunk]
            lengths += [place.end - place.start for place in places]
            shows += [positive] * len(places)
            values += [np.einsum("ld,kld->kl", mean, units) for mean in shop.means.answer_means(places)]
        sides.append(side)
    check(trait, sides[0], sides[1], LEAST, held_out=True)
    whole = np.stack(values)  # (answers, all directions, n_layers + 1)
    edges = np.cumsum([0, *(len(s) for s in stacked)])
    split = {
        name: whole[:, edges[i]] if directions[name].ndim == 2 else whole[:, edges[i] : edges[i + 1]]
        for i, name in enumerate(names)
    }
    return HeldOut(split, np.array(shows), np.array(lengths), counts(sides[0], sides[1]))
