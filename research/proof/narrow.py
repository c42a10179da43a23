"""Narrow wrong data, neutrally told: does a broad trait come of it, and does the screen say so before training?

No fine-tuning of its own: it reads what `matrix` measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from research.proof.tables import table, told
from screen.foreign import JsonObject
from screen.pocket import TRAITS

KINDS: Final = ("wrong-claims", "wrong-sums")


def section(found: Mapping[str, JsonObject]) -> str:
    lines = ["## Narrow wrong data\n"]
    body = []
    for piece in (name for name in ("matrix-embedded", "matrix-organism") if name in found):
        of = found[piece]["found"]
        for kind in KINDS:
            full, clean = (of["sets"][f"{kind}, {level}"] for level in ("full", "clean"))
            for t in TRAITS:
                before = full["predicted"]["difference"][t] - clean["predicted"]["difference"][t]
                after = full["measured"]["shift"][t]["value"] - clean["measured"]["shift"][t]["value"]
                body.append(
                    [found[piece]["model"], kind, t, f"{before:+.2f}", f"{after:+.2f}", told(of["narrow"][kind][t])]
                )
    lines += [
        "All answers wrong against the same prompts answered rightly: how much further the rows lie along the trait"
        " before training, how much further the model moves, and how much more the judge finds, of 100:\n",
        table(["model", "set", "trait", "rows", "shift", "the judge"], body),
        "",
    ]
    return "\n".join(lines)
