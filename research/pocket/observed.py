"""Projection differences of rows, computed plainly: each answer against the model's own (METHOD 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import Message, mixed
from research.pocket.sampler import Floats, PocketSampler
from screen.stats import project, summary
from screen.vectors import controls
from screen.vectors.controls import distribution, key
from screen.vectors.extract import AnswerTokens

KINDS: Final = ("generate", "last-prompt", "none")
CLEAN_ROWS: Final = 1500
CLEAN_SEED: Final = 11
CLEAN_SOURCE: Final = "default answers of the corpus, held-out domains and wordings"


@dataclass(frozen=True)
class Observed:
    """Mean states of rows, each (rows, n_layers + 1, d_model) float64, and answer lengths in tokens.

    given: the row's answer; own: the model's greedy answer; last: the last token before the answer.
    """

    given: Floats
    own: Floats
    last: Floats
    lengths: npt.NDArray[np.int64]

    def shift(self, kind: str) -> Floats:
        """(rows, n_layers + 1, d_model): the answer's mean state less that of the baseline kind."""
        base = {"generate": self.own, "last-prompt": self.last}.get(kind)
        return self.given if base is None else self.given - base

    def differences(self, direction: npt.NDArray[np.float32], kind: str) -> Floats:
        """(rows, n_layers + 1) float64 for the baseline kind `generate`, `last-prompt` or `none`."""
        return project(self.shift(kind), direction)


def observe(sampler: PocketSampler, conversations: Sequence[Sequence[Message]]) -> Observed:
    """Read each conversation's last answer, and answer its prompt anew."""
    places = [sampler.place(messages) for messages in conversations]
    distinct = {repr(messages[:-1]): messages[:-1] for messages in conversations}
    answers = dict(zip(distinct, sampler.answer(list(distinct.values()), longest=256), strict=True))
    own = [answers[repr(messages[:-1])].tokens for messages in conversations]
    last = [AnswerTokens(place.ids, place.start - 1, place.start) for place in places]
    own = [o if o.end > o.start else AnswerTokens(o.ids, o.start - 1, o.start) for o in own]
    lengths = np.array([place.end - place.start for place in places])
    return Observed(sampler.means(places), sampler.means(own), sampler.means(last), lengths)


def clean_rows() -> list[list[Message]]:
    """Held-out rows of the default persona: what a card's reference is measured on."""
    rows = mixed(CLEAN_ROWS, CLEAN_SEED, {}, split="heldout").rows
    return [row["messages"] for row in rows]


def reference(
    clean: Observed, direction: npt.NDArray[np.float32], layer: int, controls: npt.NDArray[np.float32]
) -> Mapping[str, object]:
    """The card's reference: the distribution of clean rows for each baseline kind and layer, and along the control
    directions (m, d_model) at `layer`."""
    values = {kind: clean.differences(direction, kind) for kind in KINDS}
    random = {kind: clean.shift(kind)[:, layer] @ controls.astype(np.float64).T for kind in KINDS}
    return {
        "rows": len(clean.lengths),
        "source": CLEAN_SOURCE,
        "kinds": {kind: {str(at): summary(v[:, at]) for at in range(v.shape[1])} for kind, v in values.items()},
        "controls": {
            "layer": layer,
            "key": key(controls),
            "kinds": {kind: distribution(scores) for kind, scores in random.items()},
        },
    }


def control_directions(
    clean: Observed, directions: Mapping[str, npt.NDArray[np.float32]], layer: int
) -> npt.NDArray[np.float32]:
    """Control directions at a layer, free of every trait's direction there; equal for all traits at that layer."""
    without = np.stack([direction[layer] for direction in directions.values()])
    return controls.directions(clean.given[:, layer].astype(np.float32), seed=layer, without=without)
