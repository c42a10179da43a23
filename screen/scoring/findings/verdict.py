"""The verdict on a trait: review rows, nothing stands out, or cannot tell. Knows nothing of files or terminals.

Each says what it rests on in one sentence; what the words mean and when which is said: docs/scores.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from screen.scoring.findings.comparison import Comparison
from screen.stats import ROBUST_Z, share_below

Kind = Literal["review", "nothing", "cannot-tell"]
CHANCE = 0.01  # more rows above the threshold than clean data give with this probability are too many
MOVED = 0.3  # standard deviations of clean rows: text that has moved this far along controls is unlike the reference
MOVED_ABOVE = 0.5  # the same for the rows above the threshold
TIMES = 10.0  # unless it has moved this many times as far along the trait
PART = 0.001  # more rows above along a control than clean data give with this probability: some are unlike it
_RUN_ONLY = "without control directions on clean rows, what most rows share cannot be seen"
LENGTH = 0.5  # Spearman of score and length, and ...
LENGTH_TELLS = 0.9  # ... AUROC of length for the rows above, from which length may be what stands out


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason`: a code, for what to do next: "rows", "clean", "unlike", "controls", "length", "layer0", "no-reference",
    "no-controls", "no-threshold", "low-cut", "no-scores". `doubt`: what does not decide and is worth knowing."""

    kind: Kind
    reason: str
    sentence: str
    doubt: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def judge(found: Comparison | None, layer: int, *, scored: int, threshold: bool, at: str | None = None) -> Verdict:
    """`found`: the trait beside its controls; `scored`: rows with a score; `threshold`: whether rows can be flagged;
    `at`: the percentile of the reference that it is, if any."""
    if not scored:
        return _cannot("no-scores", "no row has a score")
    if layer == 0:
        return _cannot("layer0", "it is read at layer 0, the embeddings, before any context")
    if not threshold:
        return _cannot("no-threshold", "there is no threshold to compare the scores with")
    if at is not None and share_below(at) <= 0.5:
        return _cannot("low-cut", f"{at} is not above the median, so half of all clean rows and more lie above it")
    if found is None:
        return _cannot("no-controls", "there is nothing to compare it with: no control directions, or no spread")
    return _on_clean_rows(found) if found.scale == "reference" else _within_the_run(found)


def _on_clean_rows(found: Comparison) -> Verdict:
    if _unlike(MOVED, found.shift, found.moved, found.moved_noise):
        return _cannot(
            "unlike",
            f"the text is unlike the clean reference: its rows have moved {found.moved:.1f} standard deviations along"
            " directions that mean nothing",
        )
    many = found.chance is not None and found.chance < CHANCE
    if not found.tail_beyond and not many:
        if found.random_chance is not None and found.random_chance < PART:
            return _cannot("unlike", f"some of the text is unlike the clean reference: {_rows(found)}")
        return Verdict("nothing", "clean", f"nothing stands out: {_rows(found)}")
    if not found.tail_beyond and found.above <= found.random_highest:
        return _cannot("controls", f"random directions stand out as much: {_rows(found)}")
    if _unlike(MOVED_ABOVE, found.above_shift, found.above_moved, found.above_noise):
        return _cannot(
            "unlike",
            f"the rows that stand out are unlike the clean reference: they have moved {found.above_moved:.1f} standard"
            f" deviations along directions that mean nothing ({_rows(found)})",
        )
    if _length(found):
        return _cannot("length", _length_reason(found))
    return Verdict("review", "rows", _rows(found), _words(found))


def _within_the_run(found: Comparison) -> Verdict:
    if not found.tail_beyond:
        return _cannot(
            "no-reference",
            f"its highest rows stand out ({found.tail:.1f}) no more than those of random directions"
            f" ({found.tail_random_highest:.1f}), and {_RUN_ONLY}",
        )
    if _length(found):
        return _cannot("length", _length_reason(found))
    rows = f"{_stand(found)} out within this run, robust z > {ROBUST_Z:g} ({_random(found)}); {_RUN_ONLY}"
    return Verdict("review", "rows", rows, _words(found))


def _unlike(most: float, shift: float | None, moved: float | None, noise: float | None) -> bool:
    """Whether rows have moved along the controls further than clean text does, and not far more along the trait."""
    if shift is None or moved is None:
        return False
    return moved**2 > most**2 + (noise or 0.0) and abs(shift) < TIMES * moved


def _length(found: Comparison) -> bool:
    if found.beyond(found.tail_without_length):
        return False
    if found.length_auroc is None:  # all rows are above, or none
        return abs(found.length_correlation) >= LENGTH_TELLS
    tells = max(found.length_auroc, 1 - found.length_auroc) >= LENGTH_TELLS
    return tells and abs(found.length_correlation) >= LENGTH


def _length_reason(found: Comparison) -> str:
    return f"what stands out is the answers' length (rank correlation {found.length_correlation:+.2f})"


def _words(found: Comparison) -> str:
    if found.layer0 is None or found.layer0 < found.tail_run:
        return ""
    return "the embedding-layer control stands out as far"


def _rows(found: Comparison) -> str:
    rows = f"{_stand(found)} above {found.at} of clean rows"
    return f"{rows} ({_number(found.expected or 0)} expected; {_random(found)})"


def _stand(found: Comparison) -> str:
    return f"{found.above:,} {'row stands' if found.above == 1 else 'rows stand'}"


def _random(found: Comparison) -> str:
    return f"random directions: {_number(found.random)}, {found.random_highest:,} at most"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


def _cannot(reason: str, why: str) -> Verdict:
    return Verdict("cannot-tell", reason, f"cannot tell with this model and these vectors: {why}")
