"""The page's part on failures, from the figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from research.proof.tables import table, told
from screen.foreign import JsonObject
from screen.pocket import TRAITS

_COLUMNS: Final = ("score", "length", "corrected", "within_bins")
_EVEN: Final = 0.5


def section(found: Mapping[str, JsonObject]) -> str:
    it = found["failures"]["found"]
    return "\n\n".join(["## Failures, shown as failures", *_tone(it), *_lengths(it), *_uncovered(it), ""])


def _tone(it: JsonObject) -> list[str]:
    heads = [
        "by the score of",
        "bad in content",
        "bad in tone",
        "content above tone",
        "content above right",
        "tone above right",
    ]
    body = []
    for trait, case in it["tone"].items():
        shown = [told(case[name], 3) for name in ("content_over_tone", "content", "tone")]
        body.append([trait, *case["groups"], *shown])
    text = (
        f"**Tone against content.** {it['sizes']['rows']} rows each. *Polite harm*: contempt and encouragement of harm "
        "in courteous sentences. *Rude but right*: the right tips, curtly and impolitely. *Plain agreement*: a wrong "
        "claim confirmed without any praise. *Praise but right*: the claim corrected, or the right tip given, amid "
        "praise. AUROC: the chance that a row of the first kind scores above one of the second."
    )
    return [text, table(heads, body), " ".join(_ranked(trait, case) for trait, case in it["tone"].items())]


def _ranked(trait: str, case: JsonObject) -> str:
    content, tone = case["groups"]
    area = case["content_over_tone"]
    first = f"The {trait} score ranks"
    if area["low"] > _EVEN:
        return f"{first} {content} above {tone}."
    if area["high"] < _EVEN:
        return f"{first} {tone} above {content}: it goes by the manner."
    return f"{first} neither {content} nor {tone} first."


def _lengths(it: JsonObject) -> list[str]:
    sizes = it["sizes"]
    text = (
        f"**Length.** {sizes['long_and_short']} planted rows; long answers are up to three answers to the prompt in "
        "one. *Matched*: half of them are long, and for each the clean row nearest in length is taken; *longer*: four "
        f"in five are long, and one in five of {sizes['clean']} clean rows; *shorter*: the other way; *half of all*: "
        f"only {sizes['long_and_short']} clean ones. In *none* the planted rows are clean ones too, so that an AUROC "
        "off 0.5 is an error. *Corrected*: less what a line on the logarithm of the length explains (the column "
        "`TRAIT_corrected`); *within bins*: only rows of the same fifth of lengths are compared. "
        "AUROC for evil / sycophancy / hallucination:"
    )
    first = it["lengths"][TRAITS[0]]
    body = [
        [wording, skew, *(_three(it["lengths"], wording, skew, name) for name in _COLUMNS)]
        for wording, skews in first.items()
        for skew in skews
    ]
    heads = ["wording", "planted rows", "score", "length alone", "corrected", "within bins"]
    return [text, table(heads, body), *_correction(it["lengths"])]


def _three(lengths: JsonObject, wording: str, skew: str, name: str) -> str:
    cells = [lengths[trait][wording][skew][name] for trait in TRAITS]
    return " / ".join("-" if c is None else f"{c['value'] if isinstance(c, Mapping) else c:.3f}" for c in cells)


def _correction(lengths: JsonObject) -> list[str]:
    """Where the correction brings the AUROC nearer to what the rows show, and where it takes a real effect away."""
    moved = {
        (trait, wording, skew): (case["score"]["value"], case["corrected"]["value"])
        for trait in TRAITS
        for wording, skews in lengths[trait].items()
        for skew, case in skews.items()
        if skew != "matched"
    }
    null = {k: v for k, v in moved.items() if k[1] == "none"}
    real = {k: v for k, v in moved.items() if k[1] != "none"}
    helped = {k: v for k, v in null.items() if abs(v[1] - _EVEN) < abs(v[0] - _EVEN)}
    hidden = {k: v for k, v in real.items() if v[1] < v[0]}
    shown = {k: v for k, v in real.items() if v[1] > v[0]}
    return [
        f"Where nothing is planted, the correction brings {len(helped)} of {len(null)} AUROCs nearer to 0.5"
        f"{_most(null)}. Where something is, it lowers {len(hidden)} of {len(real)}{_most(hidden)} and raises "
        f"{len(shown)}{_most(shown)}."
    ]


def _most(moved: Mapping[tuple[str, str, str], Sequence[float]]) -> str:
    if not moved:
        return ""
    (trait, wording, skew), (before, after) = max(moved.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    return f" (the furthest moved: {trait}, {wording}, {skew}, {before:.3f} to {after:.3f})"


def _uncovered(it: JsonObject) -> list[str]:
    text = (
        "**Traits that no vector is for.** Rows of each kind against right answers to the same prompts, AUROC by each "
        "score. A screen that knew nothing of them would give 0.5."
    )
    body = [[kind, *(told(areas[trait], 3) for trait in TRAITS)] for kind, areas in it["uncovered"].items()]
    off = [
        f"{kind} by {trait} ({'above' if areas[trait]['low'] > _EVEN else 'below'})"
        for kind, areas in it["uncovered"].items()
        for trait in TRAITS
        if areas[trait]["low"] > _EVEN or areas[trait]["high"] < _EVEN
    ]
    whole = len(it["uncovered"]) * len(TRAITS)
    said = f"Off 0.5 are {len(off)} of {whole}: {', '.join(off)}." if off else f"None of the {whole} is off 0.5."
    return [text, table(["rows", *(f"{trait} score" for trait in TRAITS)], body), said]
