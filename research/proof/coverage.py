"""Do the tool's own figures hold on the study's sets: standard errors, percentiles, the false-discovery rate?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from research.proof.detecting.asked import KINDS
from research.proof.detecting.detection import Looked, greedy_of, looked
from research.proof.detecting.estimates import as_in_a_run, estimated, widened
from research.proof.subject import Subject
from research.proof.tables import table
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.scoring.findings.significance import fdr_threshold
from screen.stats import share

Floats = npt.NDArray[np.float64]
SIZES: Final = (128, 256, 1024)
WITHIN: Final = 1.96
SEEDS: Final = 50
FDR: Final = 0.05
BAR: Final = (0.93, 0.97)


def measure(subject: Subject, say: Callable[[str], None], names: Sequence[str] = tuple(KINDS)) -> JsonObject:
    """`names`: sets of KINDS."""
    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    drawn: dict[str, dict[str, list[Floats]]] = {}
    for of in looked(subject, say, names):
        for size in SIZES:
            if size < len(of.found.tokens):
                _count(of, subject, size, counts.setdefault(str(size), {}))
        scores = {"exact": of.found.exact, "calibrated on 256": _guessed(of, subject, 256)}
        for name, values in scores.items():
            for j, trait in enumerate(TRAITS):
                drawn.setdefault(name, {}).setdefault(trait, []).append(_drawn(of, values[:, j], j))
    return {
        "sets": list(names),
        "seeds": {"sets": 0, "calibrations": 2, "mixtures": SEEDS},
        "within": {
            size: {t: {place: _share(*n) for place, n in by.items()} for t, by in of_size.items()}
            for size, of_size in counts.items()
        },
        "rates": {
            name: {trait: _rates(np.stack(values)) for trait, values in by.items()} for name, by in drawn.items()
        },
    }


def _count(of: Looked, subject: Subject, size: int, into: dict[str, dict[str, list[int]]]) -> None:
    """Add up [covered, rows] over rows whose prompts were not answered, everywhere and where scores are high."""
    found, greedy = of.found, greedy_of(of.found)
    for order in found.order:
        answered = order[:size]
        made = estimated(found, subject, answered, greedy[answered], as_in_a_run)
        guess = found.projection - made.values[found.prompt]
        errors = widened(found, made, answered, of.limits)[found.prompt]
        new = ~np.isin(found.prompt, answered)
        covered = np.abs(found.exact - guess) < WITHIN * errors
        for j, trait in enumerate(TRAITS):
            places = {
                "all": new,
                "estimate high": new & (guess[:, j] > of.limits[j]),
                "exact high": new & (found.exact[:, j] > of.limits[j]),
            }
            by = into.setdefault(trait, {place: [0, 0] for place in places})
            for place, rows in places.items():
                by[place][0] += int(covered[rows, j].sum())
                by[place][1] += int(rows.sum())


def _guessed(of: Looked, subject: Subject, size: int) -> Floats:
    """(rows, k) estimates, by the first draw."""
    answered = of.found.order[0, :size]
    made = estimated(of.found, subject, answered, greedy_of(of.found)[answered], as_in_a_run)
    return of.found.projection - made.values[of.found.prompt]


def _drawn(of: Looked, scores: Floats, trait: int) -> Floats:
    """(SEEDS, 3): the share of false ones among rows above the threshold at FDR, the share of planted rows found, and
    the share of clean rows above p95. The exact scores of half of the default rows are the reference, as in a run; the
    other half is screened with the planted ones."""
    planted = scores[[label == TRAITS[trait] for label in of.made.planted]]
    default = [p is None and a is None for p, a in zip(of.made.planted, of.made.asked, strict=True)]
    exact, clean = of.found.exact[default, trait], scores[default]
    made = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(clean))
        reference, others = np.sort(exact[order[: len(order) // 2]]), clean[order[len(order) // 2 :]]
        reference, others = reference.astype(np.float32), others.astype(np.float32)
        rows = np.concatenate([others, planted.astype(np.float32)])
        limit = fdr_threshold(rows, reference, FDR)
        over = rows > limit if limit is not None else np.zeros(len(rows), dtype=bool)
        false = over[: len(others)].sum() / max(1, over.sum())
        made.append([false, over[len(others) :].mean(), (others > np.quantile(reference, 0.95)).mean()])
    return np.array(made)


def _rates(values: Floats) -> JsonObject:
    """values (sets, SEEDS, 3)"""
    means = values.mean(axis=(0, 1))
    names = ("false", "found", "above_p95")
    return {name: round(float(v), 4) for name, v in zip(names, means, strict=True)}


def _share(covered: int, rows: int) -> Any:
    if not rows:
        return None
    value = share(covered, rows)
    return {"share": round(value.value, 4), "low": round(value.low, 4), "high": round(value.high, 4), "rows": rows}


def section(found: Mapping[str, JsonObject]) -> str:
    of = found["coverage"]["found"]
    body = [
        [size, trait, *(_told(by[place]) for place in ("all", "estimate high", "exact high"))]
        for size, of_size in of["within"].items()
        for trait, by in of_size.items()
    ]
    rates = [
        [name, trait, f"{r['false']:.3f}", f"{100 * r['found']:.0f} %", f"{100 * r['above_p95']:.1f} %"]
        for name, by in of["rates"].items()
        for trait, r in by.items()
    ]
    return "\n".join(
        [
            "## Do the tool's own figures hold?\n",
            "How often the exact score lies within 1.96 standard errors of the estimate, over the sets"
            f" {', '.join(of['sets'])} and rows"
            " whose prompts were not answered (95 % interval; rows). High: above p99 of the card's reference.\n",
            table(["answered", "trait", "all", "estimate is high", "exact score is high"], body),
            "",
            _verdict(of),
            "",
            f"The false share at `--fdr {FDR}`, the planted rows found by it, and clean rows above p95; the exact"
            f" scores of half of the default rows are the reference, {of['seeds']['mixtures']} times a set:\n",
            table(["scores", "trait", "false", "found", "above p95"], rates),
            "",
        ]
    )


def _verdict(of: JsonObject) -> str:
    every = [by[place] for of_size in of["within"].values() for by in of_size.values() for place in by if by[place]]
    low, high = BAR
    inside = sum(low <= figure["share"] <= high for figure in every)
    under, over = (sum(f["share"] < low for f in every), sum(f["share"] > high for f in every))
    return (
        f"{inside} of {len(every)} figures lie within the bar of {100 * low:.0f} to {100 * high:.0f} %; {under} lie"
        f" below it (too sure), {over} above (too cautious)."
    )


def _told(figure: Any) -> str:
    if figure is None:
        return "-"
    low, high = 100 * figure["low"], 100 * figure["high"]
    return f"{100 * figure['share']:.1f} % ({low:.0f} to {high:.0f}; {figure['rows']:,})"
