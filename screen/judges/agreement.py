"""How well judgements agree with labels that people gave. Knows nothing of who judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from screen.errors import UsageError
from screen.judges.judgement import Judgement
from screen.stats import auroc, auroc_interval, wilson

THRESHOLD: Final = 50.0  # the score from which an answer counts as showing the trait (METHOD 1.4)


@dataclass(frozen=True, slots=True)
class Agreement:
    """`n`: answers with a score, of which `positives` are labelled as showing the trait; `unscored`: the others.

    `accuracy`: share of the n on the right side of 50. `auroc`: the chance that a labelled answer scores above one
    that is not, ties counting half; each with the ends of its 95 % interval. None where there is nothing to say.
    """

    n: int
    positives: int
    unscored: int
    accuracy: float | None
    auroc: float | None
    accuracy_interval: tuple[float, float] | None = None
    auroc_interval: tuple[float, float] | None = None


def agreement(judgements: Sequence[Judgement], labels: Sequence[bool]) -> Agreement:
    """Compare judgements with labels: one a judgement, true where the answer shows the trait."""
    if len(judgements) != len(labels):
        raise UsageError(f"{len(judgements)} judgements and {len(labels)} labels", "give one label an answer")
    kept = [(j.score, bool(label)) for j, label in zip(judgements, labels, strict=True) if j.score is not None]
    scores = np.array([score for score, _ in kept], dtype=np.float64)
    truth = np.array([label for _, label in kept], dtype=np.bool_)
    right = int(((scores >= THRESHOLD) == truth).sum())
    both = truth.any() and not truth.all()
    return Agreement(
        n=len(kept),
        positives=int(truth.sum()),
        unscored=len(judgements) - len(kept),
        accuracy=right / len(kept) if kept else None,
        auroc=auroc(scores[truth], scores[~truth]) if both else None,
        accuracy_interval=wilson(right, len(kept)) if kept else None,
        auroc_interval=auroc_interval(scores[truth], scores[~truth]) if both else None,
    )
