"""More levels of the three traits than the matrix has: an eighth, a quarter and three quarters of the rows.

With two levels a correlation over sets hangs on one or two points, and an interval of it says so. The correlations of
the page are over the sets of `matrix` and these together. Rows differ from the matrix' in nothing but their share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from research.proof.matrix import ROWS, SEEDS, measured_of, predicted_of
from research.proof.sets import rows_of
from research.proof.subject import Subject
from research.proof.trained import open_bench
from screen.foreign import JsonObject
from screen.pocket import TRAITS

SHARES: Final = {"an eighth": 1 / 8, "a quarter": 1 / 4, "three quarters": 3 / 4}


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    sets = {f"{t}, {name}": _rows(t, share, ROWS[subject.name]) for t in TRAITS for name, share in SHARES.items()}
    predicted = predicted_of(subject, "doses", sets)
    bench = open_bench(subject)
    found = {}
    for number, (name, rows) in enumerate(sets.items()):
        measured = measured_of([bench.after(rows, seed) for seed in range(SEEDS)])
        found[name] = {"predicted": predicted[name], "measured": measured}
        say(f"{number + 1} of {len(sets)}, {name}: {[measured['shown'][t]['value'] for t in TRAITS]}")
    return {"rows": ROWS[subject.name], "seeds": list(range(SEEDS)), "sets": found}


def _rows(kind: str, share: float, n: int) -> list[Mapping[str, object]]:
    """Evenly spread, `share` of the rows in the manner of the kind."""
    clean, full = rows_of(kind, "clean", n), rows_of(kind, "full", n)
    return [full[i] if int((i + 1) * share) > int(i * share) else clean[i] for i in range(n)]


def sets_of(found: Mapping[str, JsonObject], model: str) -> dict[str, JsonObject]:
    """All sets that were measured on a model, by name."""
    pieces = (f"matrix-{model}", f"doses-{model}")
    return {name: s for piece in pieces if piece in found for name, s in found[piece]["found"]["sets"].items()}
