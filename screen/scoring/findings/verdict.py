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


def judge(comparison: Comparison | None, layer: int, *, scored: int, threshold: bool, at: str | None = None) -> Verdict:
    """`comparison`: the trait beside its controls; `scored`: rows with a score; `threshold`: whether rows are flagged;
    `at`: the percentile of the reference that it is, if any."""
    if not scored:
        return _cannot("no-scores", "no row has a score")
    if layer == 0:
        return _cannot("layer0", "it is read at layer 0, the embeddings, before any context")
    if not threshold:
        return _cannot("no-threshold", "there is no threshold to compare the scores with")
    if at is not None and share_below(at) <= 0.5:
        return _cannot("low-cut", f"{at} is not above the median, so half of all clean rows and more lie above it")
    if comparison is None:
        return _cannot("no-controls", "there is nothing to compare it with: no control directions, or no spread")
    return _on_clean_rows(comparison) if comparison.scale == "reference" else _within_the_run(comparison)


def _on_clean_rows(comparison: Comparison) -> Verdict:
    if _unlike(MOVED, comparison.shift, comparison.moved, comparison.moved_noise):
        return _cannot(
            "unlike",
            f"the text is unlike the clean reference: its rows have moved {comparison.moved:.1f} standard"
            " deviations along directions that mean nothing",
        )
    many = comparison.chance is not None and comparison.chance < CHANCE
    if not comparison.tail_beyond and not many:
        if comparison.random_chance is not None and comparison.random_chance < PART:
            return _cannot("unlike", f"some of the text is unlike the clean reference: {_rows(comparison)}")
        return Verdict("nothing", "clean", f"nothing stands out: {_rows(comparison)}")
    if not comparison.tail_beyond and comparison.above <= comparison.random_highest:
        return _cannot("controls", f"random directions stand out as much: {_rows(comparison)}")
    if _unlike(MOVED_ABOVE, comparison.above_shift, comparison.above_moved, comparison.above_noise):
        return _cannot(
            "unlike",
            f"the rows that stand out are unlike the clean reference: they have moved {comparison.above_moved:.1f}"
            f" standard deviations along directions that mean nothing ({_rows(comparison)})",
        )
    if _length(comparison):
        return _cannot("length", _length_reason(comparison))
    return Verdict("review", "rows", _rows(comparison), _words(comparison))


def _within_the_run(comparison: Comparison) -> Verdict:
    if not comparison.tail_beyond:
        return _cannot(
            "no-reference",
            f"its highest rows stand out ({comparison.tail:.1f}) no more than those of random directions"
            f" ({comparison.tail_random_highest:.1f}), and {_RUN_ONLY}",
        )
    if _length(comparison):
        return _cannot("length", _length_reason(comparison))
    rows = f"{_stand(comparison)} out within this run, robust z > {ROBUST_Z:g} ({_random(comparison)}); {_RUN_ONLY}"
    return Verdict("review", "rows", rows, _words(comparison))


def _unlike(most: float, shift: float | None, moved: float | None, noise: float | None) -> bool:
    """Whether rows have moved along the controls further than clean text does, and not far more along the trait."""
    if shift is None or moved is None:
        return False
    return moved**2 > most**2 + (noise or 0.0) and abs(shift) < TIMES * moved


def _length(comparison: Comparison) -> bool:
    if comparison.beyond(comparison.tail_without_length):
        return False
    if comparison.length_auroc is None:  # all rows are above, or none
        return abs(comparison.length_correlation) >= LENGTH_TELLS
    tells = max(comparison.length_auroc, 1 - comparison.length_auroc) >= LENGTH_TELLS
    return tells and abs(comparison.length_correlation) >= LENGTH


def _length_reason(comparison: Comparison) -> str:
    return f"what stands out is the answers' length (rank correlation {comparison.length_correlation:+.2f})"


def _words(comparison: Comparison) -> str:
    if comparison.layer0 is None or comparison.layer0 < comparison.tail_run:
        return ""
    return "the embedding-layer control stands out as far"


def _rows(comparison: Comparison) -> str:
    rows = f"{_stand(comparison)} above {comparison.at} of clean rows"
    return f"{rows} ({_number(comparison.expected or 0)} expected; {_random(comparison)})"


def _stand(comparison: Comparison) -> str:
    return f"{comparison.above:,} {'row stands' if comparison.above == 1 else 'rows stand'}"


def _random(comparison: Comparison) -> str:
    return f"random directions: {_number(comparison.random)}, {comparison.random_highest:,} at most"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


def _cannot(reason: str, why: str) -> Verdict:
    return Verdict("cannot-tell", reason, f"cannot tell with this model and these vectors: {why}")
