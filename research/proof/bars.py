"""The bars that were set before the study, and what came: held, or missed by how much. Decided by the figures alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from research.proof.correlation import correlations
from research.proof.doses import sets_of
from research.proof.tables import table
from research.proof.vaccine import CLEAN, LOSS, PLAIN, best
from research.proof.vaccine import POINTS as HELD
from screen.foreign import JsonObject
from screen.pocket import TRAITS

R, R_LOW = 0.9, 0.8
ORDERED: Final = 0.9  # of the seeds
RHO: Final = 0.9
SEPARATES: Final = 0.95  # AUROC from which dropping the flagged rows has to suffice
POINTS: Final = 3.0  # of 100, from training on clean rows
COVERED: Final = (0.93, 0.97)

Found = Mapping[str, JsonObject]
Line = tuple[str, str, str, bool]  # the bar, on what, what came, whether it was held


def section(found: Found) -> str:
    lines = [line for bar in _BARS for line in bar(found)]
    held = sum(line[3] for line in lines)
    body = [[bar, on, came, "held" if good else "**missed**"] for bar, on, came, good in lines]
    heads = ["set beforehand", "on", "what came", ""]
    return "\n".join(["## The bars\n", f"{held} of {len(lines)} held.\n", table(heads, body), ""])


def _shift(found: Found) -> Iterator[Line]:
    for model in (piece["model"] for piece in _pieces(found, "matrix")):
        by = correlations(sets_of(found, model))["difference"]["shift"]
        for t in TRAITS:
            came = f"{by[t][t]['r']:.2f} ({by[t][t]['low']:.2f} to {by[t][t]['high']:.2f})"
            bar = f"mean difference goes with shift: r at least {R}, its interval above {R_LOW}"
            yield bar, f"{t}, {model}", came, by[t][t]["r"] >= R and by[t][t]["low"] >= R_LOW


def _order(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "thirds"):
        of = piece["found"]
        seeds = len(of["seeds"])
        for t, came in of["traits"].items():
            bar = "trait after the highest > a random > the lowest third in 9 of 10 seeds"
            yield bar, f"{t}, {piece['model']}", f"{came['in_order']} of {seeds}", came["in_order"] >= ORDERED * seeds


def _cuts(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "filtering"):
        for t, came in piece["found"]["traits"].items():
            rho = came["cuts_spearman"]["shift"]
            bar = f"predicted mean and measured shift over five cuts: Spearman at least {RHO}"
            yield bar, f"{t}, {piece['model']}", f"{rho:.2f}", rho >= RHO


def _dropping(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "filtering"):
        for t, came in piece["found"]["traits"].items():
            if came["auroc"]["difference"] < SEPARATES:
                continue
            flagged, at_random = (came["against_clean"][w]["value"] for w in ("flagged", "random, as many as flagged"))
            bar = f"flagged rows dropped: trait within {POINTS:g} points of clean data; as many at random: not"
            held = abs(flagged) <= POINTS < at_random
            yield bar, f"{t}, {piece['model']}", f"{flagged:+.1f}; at random {at_random:+.1f}", held


def _losses(more: float, plain: float) -> str:
    return f"{100 * more:+.1f} %; plain fine-tuning on the same rows {100 * plain:+.1f} %"


def _coverage(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "coverage"):
        for answered, traits in piece["found"]["within"].items():
            for t, came in traits.items():
                share = came["all"]["share"]
                bar = "exact scores within 1.96 standard errors of estimates: 93 to 97 %"
                yield bar, f"{t}, {answered} answered", f"{100 * share:.1f} %", COVERED[0] <= share <= COVERED[1]


def _nothing(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "nothing"):
        for name, traits in piece["found"]["studies"].items():
            wanted = "meant something" if name == "the vectors" else "meant nothing here"
            for t, came in traits.items():
                bar = f"`screen validate` with {name} ends in *{wanted}*"
                yield bar, t, came["verdict"], came["verdict"] == wanted


def _vaccine(found: Found) -> Iterator[Line]:
    for piece in _pieces(found, "vaccine"):
        for t, came in piece["found"]["traits"].items():
            base, after = came["base"]["shown"], came["after"]
            name, noise = best(came, "vaccine"), best(came, "random")
            left, at_random = (after[n]["shown"]["value"] - base for n in (name, noise))
            bar = f"preventative steering at its best: trait within {HELD:g} points of the base; a random vector: not"
            told = f"{left:+.1f} ({name}); {at_random:+.1f} ({noise})"
            yield bar, f"{t}, {piece['model']}", told, left <= HELD < at_random
            more, plain = (after[n]["loss"] / after[CLEAN]["loss"] - 1 for n in (name, PLAIN))
            bar = f"its loss on held-out default rows within {100 * LOSS:g} % of training on clean data"
            yield bar, f"{t}, {piece['model']}", _losses(more, plain), more <= LOSS


def _pieces(found: Found, name: str) -> list[JsonObject]:
    return [piece for key, piece in found.items() if key.partition("-")[0] == name]


_BARS: Final[tuple[Callable[[Found], Iterator[Line]], ...]] = (
    _shift,
    _order,
    _cuts,
    _dropping,
    _coverage,
    _vaccine,
    _nothing,
)
