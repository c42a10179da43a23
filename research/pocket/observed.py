"""Projection differences of rows, computed plainly: each answer less the baseline response (METHOD 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import Message, mixed
from research.pocket.workshop import Floats, baseline_responses, mean_states, place
from screen.building.extraction import AnswerTokens
from screen.building.reference import distributions
from screen.building.workshop import Workshop
from screen.stats import project
from screen.vectors import controls
from screen.vectors.card import CleanReference

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


def observe(shop: Workshop, conversations: Sequence[Sequence[Message]]) -> Observed:
    """Read each conversation's last answer, and answer its prompt anew."""
    given = [place(shop, messages) for messages in conversations]
    distinct = {repr(messages[:-1]): messages[:-1] for messages in conversations}
    answers = dict(zip(distinct, baseline_responses(shop, list(distinct.values())), strict=True))
    own = [answers[repr(messages[:-1])] for messages in conversations]
    own = [o if o.end > o.start else AnswerTokens(o.ids, o.start - 1, o.start) for o in own]
    last = [AnswerTokens(tokens.ids, tokens.start - 1, tokens.start) for tokens in given]
    lengths = np.array([tokens.end - tokens.start for tokens in given])
    return Observed(mean_states(shop, given), mean_states(shop, own), mean_states(shop, last), lengths)


def clean_rows() -> list[list[Message]]:
    """Held-out rows of the default persona: what a card's reference is measured on."""
    rows = mixed(CLEAN_ROWS, CLEAN_SEED, {}, split="heldout").rows
    return [row["messages"] for row in rows]


def reference(
    clean: Observed, direction: npt.NDArray[np.float32], layer: int, random: npt.NDArray[np.float32]
) -> CleanReference:
    """The card's reference: the distribution of clean rows for each baseline kind and layer, and along the control
    directions (m, d_model) at `layer`."""
    differences = {kind: clean.differences(direction, kind) for kind in KINDS}
    states_apart = {kind: clean.shift(kind)[:, layer] for kind in KINDS}
    measured = distributions(differences, states_apart, layer, random)
    return {
        "rows": len(clean.lengths),
        "source": CLEAN_SOURCE,
        "kinds": measured["kinds"],
        "controls": measured["controls"],
    }


def control_directions(
    clean: Observed, directions: Mapping[str, npt.NDArray[np.float32]], layer: int
) -> npt.NDArray[np.float32]:
    """Control directions at a layer, free of every trait's direction there; equal for all traits at that layer."""
    without = np.stack([direction[layer] for direction in directions.values()])
    return controls.directions(clean.given[:, layer].astype(np.float32), seed=layer, without=without)
