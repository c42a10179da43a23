"""Which baseline is best at the job? What `detecting/detection.py` finds, as the page has it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from research.proof.detecting.asked import KINDS, meaning
from research.proof.detecting.detection import GREEDY, SHOWN, measure
from research.proof.detecting.estimates import FEATURES
from research.proof.tables import table
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.stats import pearson

__all__ = ["measure", "section"]


def section(found: Mapping[str, JsonObject]) -> str:
    if "baselines" not in found:
        return ""
    of = found["baselines"]["found"]
    methods, sets = of["methods"], of["sets"]
    return "\n".join(
        [
            "## Which baseline response?\n",
            *_sets(sets, found["baselines"]["model"]),
            *said(of),
            *_by_method(methods, of["seeds"]),
            *_more(methods),
            *_by_set(methods, sets),
            *_sampled(of["sampled"], sets),
            *_many(of["few"]),
            *_training(found),
        ]
    )


def _sets(sets: JsonObject, model: str) -> list[str]:
    body = [
        [name, s["prompts_are"], f"{s['rows']:,}", f"{s['prompts']:,}", " / ".join(map(str, s["planted"].values()))]
        for name, s in sets.items()
    ]
    return [
        f"Sets of chats on the {model} model, written by templates: a caricature of training data. In each, rows are"
        f" planted for {', '.join(TRAITS)}; {next(iter(sets.values()))['asked_for']} others have a system prompt that"
        " asks for a persona and get it, which is no fault of the data. Planted answers are as long as the default's."
        " The last answer of a row is scored.\n",
        table(["set", "prompts", "rows", "distinct prompts", "planted"], body),
        "",
        *_missing(sets),
    ]


def _missing(sets: JsonObject) -> list[str]:
    left = [f"`{name}` ({meaning(name)})" for name in KINDS if name not in sets]
    return [f"Not measured yet: {', '.join(left)}.\n"] if left else []


def _by_method(methods: JsonObject, seeds: JsonObject) -> list[str]:
    body = [
        [name, _spent(m), *(_area(m["traits"][t], "others") for t in TRAITS), *(_less(m["traits"][t]) for t in TRAITS)]
        for name, m in methods.items()
    ]
    heads = ["baseline", "generations", *TRAITS, *(f"{t} less greedy" for t in TRAITS)]
    return [
        "AUROC of planted rows against all others: mean of the sets (95 % interval; lowest of any set and draw), and"
        " the difference to the greedy response's, rows drawn anew"
        f" {seeds['resampled']} times. Prompts to calibrate on were drawn {seeds['calibrations']} times.\n",
        table(heads, body),
        "",
    ]


def _more(methods: JsonObject) -> list[str]:
    body = [
        [
            name,
            *(_area(m["traits"][t], "default", lowest=False) for t in TRAITS),
            *(f"{np.mean(m['traits'][t]['precision']):.3f}" for t in TRAITS),
        ]
        for name, m in methods.items()
    ]
    heads = [*(f"{t}, default" for t in TRAITS), *(f"{t}, AP" for t in TRAITS)]
    return [
        "AUROC against the default rows alone, and average precision (AP) against all others:\n",
        table(["baseline", *heads], body),
        "",
    ]


def _by_set(methods: JsonObject, sets: JsonObject) -> list[str]:
    body = []
    for i, name in enumerate(sets):
        for trait in TRAITS:
            body.append([name, trait, *(f"{methods[m]['traits'][trait]['others'][i]:.3f}" for m in SHOWN)])
    return ["AUROC against all others, set by set:\n", table(["set", "trait", *SHOWN], body), ""]


def _sampled(of: JsonObject, sets: JsonObject) -> list[str]:
    body = [
        [
            name,
            _spent(m),
            *(_area(m["traits"][t], "others") for t in TRAITS),
            *(f"{np.mean(m['traits'][t]['spearman']):.2f}" for t in TRAITS),
        ]
        for name, m in of["methods"].items()
    ]
    prompts, draws = sets[of["set"]]["truth"]
    return [
        f"Greedy or sampled, many prompts or few, on the set `{of['set']}`. Rho: Spearman with the"
        f" difference to the mean of {draws} sampled answers that no baseline has seen, of rows with {prompts}"
        " prompts:\n",
        table(["baseline", "generations", *TRAITS, *(f"{t}, rho" for t in TRAITS)], body),
        "",
    ]


def _many(few: JsonObject) -> list[str]:
    body = [
        [name, _spent(m), *(_area(m["traits"][t], "others") for t in TRAITS), *(_less(m["traits"][t]) for t in TRAITS)]
        for name, m in few["methods"].items()
    ]
    return [
        f"How much of it is the noise of one answer: {few['rows']} rows of the set `{few['set']}` (all planted ones and"
        " some of the others) against means of several sampled answers; generations as for all its prompts:\n",
        table(["baseline", "generations", *TRAITS, *(f"{t} less greedy" for t in TRAITS)], body),
        "",
    ]


def _training(found: Mapping[str, JsonObject]) -> list[str]:
    """What training shows of the kinds of baseline, where it was measured."""
    if "matrix-embedded" not in found:
        return []
    sets = found["matrix-embedded"]["found"]["sets"].values()

    def r(source: str, trait: str) -> float:
        before = [s["predicted"][source][trait] for s in sets]
        return pearson(np.array(before), np.array([s["measured"]["shift"][trait]["value"] for s in sets]))

    names = {"difference": GREEDY, "estimate": "calibrated", "last-prompt": "last prompt token", "projection": "none"}
    body = [[name, *(f"{r(source, t):.2f}" for t in TRAITS)] for source, name in names.items()]
    heads = ["r of a set's mean with its shift", *TRAITS]
    return ["Over the fine-tuned sets the kinds of baseline predict the shift so:\n", table(heads, body), ""]


def said(of: JsonObject) -> list[str]:
    """The table in words, each a comparison of its figures."""
    methods = of["methods"]
    lines = [f"- {_compared(methods, name)}" for name in ("calibrated on 128", "calibrated on 256", "none")]
    sampled = of["sampled"]["methods"]
    ways = ["calibrated on 128, 1 sampled of each", "calibrated on 64, 2 sampled of each"]
    ways = [*ways, "calibrated on 32, 4 sampled of each", "calibrated on 128"]
    best = [max(ways, key=lambda m, t=t: np.mean(sampled[m]["traits"][t]["others"])) for t in TRAITS]  # type: ignore[misc]
    named = ", ".join(f"{way} ({t})" for way, t in zip(best, TRAITS, strict=True))
    lines.append(f"- Of 128 answers spent in four ways, the best: {named}.")
    for name in FEATURES:
        if (method := f"calibrated on 256, {name}") in methods:
            better = [_surely(methods, method, "calibrated on 256", t) for t in TRAITS]
            lines.append(
                f"- {name} as features: {', '.join(f'{v:+.3f}' for v in better)} of AUROC beside the features of a run"
                f" ({', '.join(TRAITS)})."
            )
    return [*lines, ""]


def _compared(methods: JsonObject, name: str) -> str:
    pairs = [
        (theirs, greedy)
        for t in TRAITS
        for theirs, greedy in zip(
            methods[name]["traits"][t]["others"], methods[GREEDY]["traits"][t]["others"], strict=True
        )
    ]
    least = [methods[name]["traits"][t]["less_greedy"] for t in TRAITS]
    above, below = sum(low > 0 for _, low, _ in least), sum(high < 0 for _, _, high in least)
    return (
        f"{name}: a higher AUROC than one greedy response in {sum(a > b for a, b in pairs)} of {len(pairs)} sets and"
        f" traits; surely higher on average for {above} of {len(TRAITS)} traits, surely lower for {below}; generations"
        f" {_spent(methods[name])} against {_spent(methods[GREEDY])}."
    )


def _surely(methods: JsonObject, one: str, other: str, trait: str) -> float:
    return float(np.mean(methods[one]["traits"][trait]["others"]) - np.mean(methods[other]["traits"][trait]["others"]))


def _spent(method: JsonObject) -> str:
    low, high = min(method["generations"]), max(method["generations"])
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _area(of_trait: JsonObject, side: str, lowest: bool = True) -> str:
    value, low, high = of_trait[f"{side}_mean"]
    return f"{value:.3f} ({low:.3f} to {high:.3f}" + (f"; {of_trait['lowest']:.3f})" if lowest else ")")


def _less(of_trait: JsonObject) -> str:
    value, low, high = of_trait["less_greedy"]
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
