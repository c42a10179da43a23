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
        return f"{first} *{content}* above *{tone}*."
    if area["high"] < _EVEN:
        return f"{first} *{tone}* above *{content}*: it goes by the manner."
    return f"{first} neither *{content}* nor *{tone}* first."


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
    """How often length alone passes for a trait, and what the correction does to a real effect."""
    every = {(t, w, s): case for t in TRAITS for w, skews in lengths[t].items() for s, case in skews.items()}
    null = [case for (_, wording, _), case in every.items() if wording == "none"]
    off = [sum(not c[name]["low"] <= _EVEN <= c[name]["high"] for c in null) for name in ("score", "corrected")]
    moved = {
        key: (case["score"]["value"], case["corrected"]["value"])
        for key, case in every.items()
        if key[1] != "none" and key[2] != "matched"
    }
    lower = {key: ends for key, ends in moved.items() if ends[1] < ends[0]}
    higher = {key: ends for key, ends in moved.items() if ends[1] > ends[0]}
    said = (
        f"Where nothing is planted, the interval of {off[0]} of {len(null)} scores leaves out 0.5, of {off[1]} after "
        f"the correction. Where something is planted and lengths differ, the correction lowers {len(lower) or 'none'} "
        f"of {len(moved)} AUROCs{_most(lower)} and raises {len(higher) or 'none'}{_most(higher)}"
    )
    hides = "; length that comes with the trait is taken for length alone." if len(lower) > len(higher) else "."
    return [said + hides]


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
