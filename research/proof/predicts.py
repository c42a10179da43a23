"""Section: what is known of a set before training against what training on it does, over all sets of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from research.proof.correlation import correlations
from research.proof.doses import sets_of
from research.proof.plots import point, scatter
from research.proof.tables import table
from screen.foreign import JsonObject
from screen.pocket import TRAITS

PAPER: Final = {  # Persona Vectors, sections 4 and 5: Pearson's r over 24 sets, evil / sycophancy / hallucination
    "difference with shift, Qwen2.5-7B": (0.84, 0.75, 0.41),
    "difference with shift, Llama-3.1-8B": (0.95, 0.92, 0.59),
    "projection with trait, Qwen2.5-7B": (0.78, 0.54, 0.64),
    "last-prompt difference with trait, Qwen2.5-7B": (0.93, 0.58, 0.69),
}


MODELS: Final = ("embedded", "organism")


def section(found: Mapping[str, JsonObject]) -> str:
    lines = ["## Fine-tunings\n"]
    for model in MODELS:
        if f"matrix-{model}" in found:
            lines += _of_model(model, sets_of(found, model), found[f"matrix-{model}"]["found"])
    body = [[name, *(f"{r:.2f}" for r in values)] for name, values in PAPER.items()]
    lines += ["What the paper reports, on 24 sets of its own:\n", table(["r of", *TRAITS], body), ""]
    return "\n".join(lines)


def _of_model(name: str, sets: Mapping[str, JsonObject], of: JsonObject) -> list[str]:
    by = correlations(sets)
    lines = [
        f"### The {name} model\n",
        f"{len(sets)} sets of {of['rows']} rows, {len(of['seeds'])} seeds each. Pearson's r over sets, with its"
        " 95 % interval (sets drawn anew) and, after the stroke, the partial r with the mean length of answers taken"
        " out:\n",
    ]
    body = [
        [f"{told_as} with {against}", *(_r(by[source][what][t][t]) for t in TRAITS)]
        for source, what, told_as, against in _ROWS_OF_TABLE
    ]
    body += [[f"length with {against}", *(_r(by["length"][what][t], False) for t in TRAITS)] for what, against in _WHAT]
    lines += [table(["r of", *TRAITS], body), ""]
    own = [abs(r) for r in by["random"]["own shift"] if r is not None]
    judged = {t: [abs(r) for r in by["random"]["shown"][t] if r is not None] for t in TRAITS}
    lines += [
        f"Along {len(own)} random directions a set's mean difference goes with the shift along the same direction by"
        f" |r| {min(own):.2f} to {max(own):.2f}: rows move a model along whatever they lie along. With what the judge"
        " finds it goes by |r| of "
        + ", ".join(f"{np.mean(values):.2f} ({t}, at most {max(values):.2f})" for t, values in judged.items())
        + ".\n",
        "Every vector against every trait, r of the difference with what the judge finds:\n",
        table(
            ["vector", *(f"{t}, judged" for t in TRAITS)],
            [[v, *(f"{by['difference']['shown'][v][t]['r']:.2f}" for t in TRAITS)] for v in TRAITS],
        ),
        "",
    ]
    return [*lines, " ".join(f"![{t}](matrix-{name}-{t}.svg)" for t in TRAITS), ""]


def drawings(found: Mapping[str, JsonObject]) -> dict[str, str]:
    """File name -> SVG: what is known of each set before training against what training did."""
    drawn = {}
    for model in (m for m in MODELS if f"matrix-{m}" in found):
        for t in TRAITS:
            points = [
                point(s["predicted"]["difference"][t], s["measured"]["shift"][t], n.partition(",")[0], n)
                for n, s in sets_of(found, model).items()
            ]
            axes = ("mean difference before training", f"shift along {t} after it")
            drawn[f"matrix-{model}-{t}.svg"] = scatter(f"{t}, {model} model", points, *axes)
    return drawn


_WHAT: Final = (("shift", "shift"), ("shown", "the judge"))
_ROWS_OF_TABLE: Final = (
    *(("difference", what, "**difference**", against) for what, against in _WHAT),
    *(("estimate", what, "calibrated difference", against) for what, against in _WHAT),
    *(("last-prompt", what, "last-prompt difference", against) for what, against in _WHAT),
    *(("projection", what, "projection", against) for what, against in _WHAT),
    *(("lift", what, "log-probability lift", against) for what, against in _WHAT),
    ("shift", "shown", "shift", "the judge"),
)


def _r(value: Mapping[str, float | None], partial: bool = True) -> str:
    if value["r"] is None:
        return "-"
    text = f"{value['r']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
    return f"{text} / {value['partial']:.2f}" if partial else text
