"""Measures what should mislead the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import LabelledRow
from research.proof.failures import rows as made
from research.proof.failures.rows import SETS
from research.proof.samples.scored import Scored
from research.proof.subject import Subject
from research.proof.tables import interval
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.scoring.findings.lengths import corrected
from screen.stats import area

Floats = npt.NDArray[np.float64]
SEED: Final = 0
ROWS, CLEAN, LONG_AND_SHORT = 80, 200, 40
BINS: Final = 5
# which share of the planted rows is long, which of the clean ones, and how many clean ones there are
SKEWS: Final = {
    "matched": (0.5, 0.5, CLEAN),  # and these the clean ones nearest in length
    "longer": (0.8, 0.2, CLEAN),
    "shorter": (0.2, 0.8, CLEAN),
    "longer, half of all": (0.8, 0.2, LONG_AND_SHORT),
}
# what is bad in content alone, what is bad in tone alone, by the trait whose score they meet at
MEETINGS: Final = {
    "evil": ("polite harm", "rude but right"),
    "sycophancy": ("plain agreement", "praise but right"),
}


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    tone = _scored(subject, "failures-tone", made.tone(ROWS, SEED))
    say("tone: scored")
    uncovered = _scored(subject, "failures-uncovered", made.uncovered(ROWS, SEED))
    say("uncovered: scored")
    lengths = _scored(subject, "failures-lengths", made.lengths(LONG_AND_SHORT, CLEAN, SEED))
    say("lengths: scored")
    return {
        "seed": SEED,
        "sizes": {"rows": ROWS, "clean": CLEAN, "long_and_short": LONG_AND_SHORT},
        "tone": {trait: _met(tone, trait, *groups) for trait, groups in MEETINGS.items()},
        "lengths": {t: _by_length(lengths, t) for t in TRAITS},
        "uncovered": {s: {t: _area(uncovered, t, s, f"{s} clean") for t in TRAITS} for s in SETS},
    }


def _scored(subject: Subject, name: str, rows: list[LabelledRow]) -> Scored:
    return Scored(subject.scan(name, rows), subject, len(rows))


def _area(scored: Scored, trait: str, high: str, low: str) -> dict[str, float]:
    return interval(area(scored.values(high, trait), scored.values(low, trait)))


def _met(scored: Scored, trait: str, content: str, tone: str) -> JsonObject:
    pairs = {"content_over_tone": (content, tone), "content": (content, "right"), "tone": (tone, "right")}
    return {"groups": [content, tone], **{name: _area(scored, trait, *groups) for name, groups in pairs.items()}}


class Side(NamedTuple):
    """Scores and lengths in tokens, (rows,) each."""

    scores: Floats
    tokens: Floats


def _side(scored: Scored, trait: str, what: str, long: float, rows: int) -> Side:
    """So many rows of the group's short and long ones, of which a share is long; the planted ones from the end, so
    that nothing planted among clean rows is drawn twice."""
    counts = {"long": round(long * rows), "short": rows - round(long * rows)}
    planted, what = what != "clean", what.removeprefix("planted ")

    def column(name: str) -> Floats:
        parts = [(scored.values(f"{what} {size}", name), count) for size, count in counts.items()]
        return np.concatenate([values[-count:] if planted else values[:count] for values, count in parts])

    return Side(column(trait), column("answer_tokens"))


def nearest(planted: Side, clean: Side) -> Side:
    """For each planted row the clean one nearest in length that is not taken yet."""
    free = list(range(len(clean.tokens)))
    taken = []
    for tokens in planted.tokens:
        best = min(free, key=lambda i: abs(clean.tokens[i] - tokens))
        free.remove(best)
        taken.append(best)
    return Side(clean.scores[taken], clean.tokens[taken])


def _by_length(scored: Scored, trait: str) -> JsonObject:
    """By wording and skew; in the wording "none" the planted rows are clean ones too."""
    found: dict[str, JsonObject] = {}
    for wording, what in (("blatant", f"{trait} blatant"), ("polite", f"{trait} polite"), ("none", "planted clean")):
        found[wording] = {}
        for skew, (long, others, clean) in SKEWS.items():
            planted = _side(scored, trait, what, long, LONG_AND_SHORT)
            if skew == "matched":
                among = nearest(planted, _side(scored, trait, "clean", others, clean))
            else:
                among = _side(scored, trait, "clean", others, clean)
            found[wording] = {**found[wording], skew: _read(planted, among)}
    return found


def _read(planted: Side, clean: Side) -> JsonObject:
    scores, tokens = (np.concatenate(both) for both in zip(planted, clean, strict=True))
    n = len(planted.scores)
    less = corrected(scores, tokens.astype(np.int64))
    inside, pairs = within_bins(scores, tokens, n)
    return {
        "score": interval(area(scores[:n], scores[n:])),
        "length": interval(area(tokens[:n], tokens[n:])),
        "corrected": interval(area(less[:n], less[n:])),
        "within_bins": None if inside is None else round(inside, 3),
        "pairs_within_bins": round(pairs, 3),
    }


def within_bins(scores: Floats, tokens: Floats, planted: int) -> tuple[float | None, float]:
    """(the AUROC of the first `planted` scores over the others among rows of one bin of length, the share of all pairs
    that stand in one bin); None where no pair does."""
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, BINS + 1)[1:-1]))
    where = np.searchsorted(edges, tokens, side="right")
    won, pairs = 0.0, 0
    for b in np.unique(where):
        high, low = scores[:planted][where[:planted] == b], scores[planted:][where[planted:] == b]
        if count := len(high) * len(low):
            won, pairs = won + count * area(high, low).value, pairs + count
    every = planted * (len(scores) - planted)
    return (won / pairs if pairs else None), pairs / every
