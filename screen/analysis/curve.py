"""The what-if curve of a trait: what is lost, and what is left, when rows above a score are dropped.

Rows are dropped whole, from the highest score down, as `screen filter --drop "evil > x"` does. Samples that are trained
away from (KTO's false rows, rejected sides) are never dropped for a high score and do not count in the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from screen.errors import UsageError
from screen.scoring.findings.flags import TraitReference
from screen.store import index
from screen.store.scan import Scan
from screen.store.unfinished import unfinished

Refused = Literal["only", "without"]  # rows whose baseline response refuses, or does not; unknown is neither
POINTS = 40  # of a curve, the named ones not counted
FLOOR = "p90"  # of clean rows: no suggestion drops rows that clean data have in numbers


@dataclass(frozen=True)
class CutPoint:
    """A threshold: rows with a score above it are dropped. mean: of the samples that are left, nan where none is.

    tokens  of the dropped rows' scored answers
    """

    threshold: float
    rows: int
    tokens: int
    mean: float


@dataclass(frozen=True)
class CutCurve:
    """A trait's curve over one run, from nothing dropped to everything.

    expression      for `screen filter --drop`, with {} for the threshold
    rows, tokens    that have a score, in the whole run
    reference_mean  of clean rows; None where the run has no reference, or one without a mean
    flagged         the point of the run's own threshold; None without one
    suggested       None where nothing is suggested; reason says why, in either case
    """

    trait: str
    expression: str
    rows: int
    tokens: int
    points: tuple[CutPoint, ...]
    reference_mean: float | None
    flagged: CutPoint | None
    suggested: CutPoint | None
    reason: str


class _Rows:
    """The rows of a run that may be dropped, from the highest score down, with what goes with them."""

    def __init__(self, table: pa.Table, column: str, refused: Refused | None = None) -> None:
        scores = table[column].to_numpy(zero_copy_only=False).astype(np.float32)
        signs = table["sign"].fill_null(1).to_numpy()
        toward = (signs >= 0) & ~np.isnan(scores)
        if refused is not None:
            toward &= table["base_refused"].fill_null(refused != "only").to_numpy() == (refused == "only")
        row, tokens = table["row"].to_numpy(), table["answer_tokens"].to_numpy().astype(np.int64)
        self.away = bool((signs < 0).any())
        numbers, of = np.unique(row[toward], return_inverse=True)
        highest = np.full(len(numbers), -np.inf, dtype=np.float32)
        np.maximum.at(highest, of, scores[toward])
        order = np.argsort(-highest, kind="stable")
        self.scores: npt.NDArray[np.float32] = highest[order]
        sums = np.bincount(of, weights=scores[toward].astype(np.float64), minlength=len(numbers))[order]
        counts = np.bincount(of, minlength=len(numbers))[order]
        mine = np.isin(row, numbers)  # every sample of these rows goes with them
        at = np.searchsorted(numbers, row[mine])
        lost = np.bincount(at, weights=tokens[mine].astype(np.float64), minlength=len(numbers))[order]
        self.sums = np.concatenate([[0.0], np.cumsum(sums)])
        self.counts = np.concatenate([[0], np.cumsum(counts)])
        self.tokens = np.concatenate([[0], np.cumsum(lost)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.scores)

    def point(self, threshold: float) -> CutPoint:
        """The point of a threshold: `dropped` rows lie above it."""
        dropped = int(np.searchsorted(-self.scores, -np.float32(threshold), side="left"))
        return self.after(dropped, threshold)

    def after(self, dropped: int, threshold: float | None = None) -> CutPoint:
        """The point at which `dropped` rows, whose scores lie above those of the others, are gone."""
        if threshold is None:
            above = float(self.scores[dropped - 1]) if dropped else np.inf
            below = float(self.scores[dropped]) if dropped < len(self) else above - 1.0
            threshold = shortest(below, above)
        left = int(self.counts[-1] - self.counts[dropped])
        mean = float((self.sums[-1] - self.sums[dropped]) / left) if left else float("nan")
        return CutPoint(threshold, dropped, int(self.tokens[dropped]), mean)

    def boundaries(self) -> npt.NDArray[np.intp]:
        """Every number of rows that a threshold can drop: equal scores go together."""
        steps = np.flatnonzero(np.diff(self.scores) < 0) + 1
        return np.concatenate([[0], steps, [len(self)]])


def shortest(low: float, high: float) -> float:
    """A number of few decimals from `low` on and below `high`."""
    for digits in range(16):
        value = math.ceil(low * 10.0**digits) / 10.0**digits
        if low <= value < high:
            return value
    return low


def samples(scan: Scan, traits: Sequence[str]) -> pa.Table:
    """What `curve` needs of the run, for these traits: read once for all of them."""
    columns = {scan.folder.score_column(trait): None for trait in traits}
    return index.read(scan.folder, ["row", "sign", "answer_tokens", "base_refused", *columns])


def curve(scan: Scan, trait: str, read: pa.Table | None = None, refused: Refused | None = None) -> CutCurve:
    """The curve of a finished run, or of those of its rows that the base model refused, or did not. `read`: what
    `samples` gives for the trait, where it is at hand.

    Raises UsageError for an unfinished run, or a trait without scores."""
    if not scan.folder.finished:
        raise UsageError(*unfinished(scan.folder))
    if trait not in scan.traits:
        raise UsageError(f"the run has no trait {trait!a}", f"its traits are {', '.join(scan.traits)}")
    rows = _Rows(samples(scan, [trait]) if read is None else read, scan.folder.score_column(trait), refused)
    if not len(rows):
        which = {None: "", "only": " that the base model refused", "without": " that the base model did not refuse"}
        raise UsageError(
            f"no row of {scan.path}{which[refused]} has a score of {trait}", "see why: `screen status RUN`"
        )
    found = scan.summary["traits"][trait]
    reference: TraitReference | None = scan.folder.facts["references"].get(trait)
    mean = None if reference is None else reference.get("mean")
    suggested, reason = suggest(rows, trait, found, reference, mean)
    if refused is not None:
        suggested, reason = (
            None,
            "nothing is suggested: the rule is for the whole dataset, and these are some of its rows",
        )
    expression = f"{trait} > {{}}" + (" and sign >= 0" if rows.away else "")
    expression += {None: "", "only": " and base_refused", "without": " and not base_refused"}[refused]
    limit = found.get("threshold")
    flagged = None if limit is None else rows.point(float(limit))
    return CutCurve(trait, expression, len(rows), int(rows.tokens[-1]), _points(rows), mean, flagged, suggested, reason)


@dataclass(frozen=True, slots=True)
class RefusedApart:
    """Rows of a trait by whether the base model refused or asked back: counts and mean scores; `unknown` have no
    baseline response of their own."""

    refused: int
    refused_mean: float | None
    answered: int
    answered_mean: float | None
    unknown: int


def refused_apart(read: pa.Table, column: str) -> RefusedApart:
    """Of what `samples` gives."""
    scores = read[column].to_numpy(zero_copy_only=False).astype(np.float64)
    fine = (read["sign"].fill_null(1).to_numpy() >= 0) & ~np.isnan(scores)
    known = read["base_refused"].is_valid().to_numpy()
    refused = read["base_refused"].fill_null(False).to_numpy()
    parts = [scores[fine & known & which] for which in (refused, ~refused)]
    means = [float(part.mean()) if len(part) else None for part in parts]
    return RefusedApart(len(parts[0]), means[0], len(parts[1]), means[1], int((fine & ~known).sum()))


def points_at(scan: Scan, trait: str, thresholds: Sequence[float | None]) -> list[CutPoint]:
    """The points of these thresholds; of None that at which nothing is dropped."""
    rows = _Rows(samples(scan, [trait]), scan.folder.score_column(trait))
    return [rows.after(0) if limit is None else rows.point(limit) for limit in thresholds]


def suggest(
    rows: _Rows, trait: str, found: dict[str, object], reference: TraitReference | None, mean: float | None
) -> tuple[CutPoint | None, str]:
    """The one rule: drop as few rows as bring the mean of what is left down to that of clean rows, and none that lies
    below the FLOOR of clean rows; only where the verdict is to review. (the point or None, the reason in a sentence)"""
    verdict = found["verdict"]
    assert isinstance(verdict, dict)
    if verdict["kind"] != "review":
        return None, f"nothing is suggested: {verdict['sentence']}"
    if reference is None or mean is None:
        return None, "nothing is suggested: the run has no clean reference with a mean to come down to"
    whole = rows.after(0)
    if whole.mean <= mean:
        return None, f"nothing is suggested: the dataset's mean, {whole.mean:.2f}, is not above clean rows' {mean:.2f}"
    quantiles = reference["quantiles"]
    floor = float(quantiles[FLOOR]) if FLOOR in quantiles else float("-inf")
    steps = rows.boundaries()
    left = rows.counts[-1] - rows.counts[steps]
    means = (rows.sums[-1] - rows.sums[steps])[left > 0] / left[left > 0]
    enough = np.flatnonzero(means <= mean)
    point = rows.after(int(steps[enough[0]])) if len(enough) else None
    if point is not None and point.threshold >= floor:
        return point, f"the fewest rows whose loss brings the mean of {trait} down to clean rows' {mean:.2f}"
    last = rows.point(floor)
    return None, (
        f"nothing is suggested: without all {last.rows:,} rows above {FLOOR} of clean rows the mean is still"
        f" {last.mean:.2f}, above clean rows' {mean:.2f}: it is not high rows alone that lie high"
    )


def _points(rows: _Rows) -> tuple[CutPoint, ...]:
    """Some of all the points: closer together where few rows are dropped."""
    steps = rows.boundaries()
    if len(steps) > POINTS:
        wanted = np.unique(np.geomspace(1, len(rows), POINTS - 1).round().astype(np.int64))
        at = np.minimum(np.searchsorted(steps, wanted), len(steps) - 1)
        steps = np.unique(np.concatenate([[0], steps[at], [len(rows)]]))
    return tuple(rows.after(int(n)) for n in steps)
