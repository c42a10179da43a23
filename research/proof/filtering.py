"""What to drop: the highest by projection difference, by a judge, by both, by lift, or at random, at equal rows lost.

For each trait a mixture of which a tenth is planted; each way drops as many rows; what is left is trained on, equally
many answer tokens. Beside them: flagged rows (above p99 of clean ones) dropped, as many dropped at random, and clean
rows alone.
Then five cuts by the difference: what they predict and what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from research.pocket.corpus.chats import mixed
from research.proof.plots import point, scatter
from research.proof.subject import Subject
from research.proof.tables import interval, table, told
from research.proof.thirds import scored, some
from research.proof.trained import Bench, Lived, open_bench
from screen.analysis.lift import run_lift
from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.select.selection import select
from screen.stats import Interval, auroc, ranks, spearman
from screen.store import liftfile
from screen.store.scan import Scan

ROWS: Final = 300
PLANTED: Final = 0.1
DROPPED: Final = 0.12  # of the rows, by each way
SEEDS: Final = 3
CALIBRATED_ON: Final = 128
CUTS: Final = (0.0, 0.05, 0.1, 0.2, 0.4)
WAYS: Final = ("nothing", "random", "difference", "judge", "both", "lift", "calibrated", "last-prompt", "projection")

_FILTERS: Final = WAYS[2:]  # that know anything of the rows

Floats = npt.NDArray[np.float64]


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    bench = open_bench(subject)
    base = bench.untrained()
    found = {}
    for number, trait in enumerate(TRAITS):
        found[trait] = _of_trait(subject, bench, trait, 300 + number)
        say(f"{trait}: " + ", ".join(f"{w} {a['shown']['value']:.1f}" for w, a in found[trait]["after"].items()))
    settings = {"rows": ROWS, "planted": PLANTED, "dropped": DROPPED, "seeds": list(range(SEEDS))}
    shown = {trait: round(float(np.mean(base.shown[trait])), 2) for trait in TRAITS}
    return {**settings, "base": {"shown": shown, "loss": base.loss}, "traits": found}


def _of_trait(subject: Subject, bench: Bench, trait: str, seed: int) -> JsonObject:
    made = mixed(ROWS, seed, {trait: PLANTED})
    rows, planted = made.rows, np.array([label == trait for label in made.labels])
    exact = subject.scan(f"filtering-{trait}", rows)
    signals = _signals(subject, bench, exact, trait, made.rows)
    clean = mixed(ROWS, seed, {}).rows
    tokens = sum(len(bench.lesson(row).learnt) for row in rows)

    def after(some_rows: Sequence[Mapping[str, object]]) -> list[Lived]:
        return [bench.after(some_rows, s, tokens=tokens) for s in range(SEEDS)]

    count = round(DROPPED * ROWS)
    lost = {way: _highest(values, count) for way, values in signals.items()}
    lost["nothing"] = np.zeros(ROWS, dtype=bool)
    flagged = np.isin(np.arange(ROWS), select(exact, f"{trait} > reference.p99").rows())
    lived = {way: after(some(rows, np.flatnonzero(~lost[way]))) for way in WAYS}
    lived["flagged"] = after(some(rows, np.flatnonzero(~flagged)))
    lived["random, as many as flagged"] = after(
        some(rows, np.flatnonzero(~_highest(signals["random"], int(flagged.sum()))))
    )
    kept = np.flatnonzero(~flagged)
    lived["clean, as many rows"] = after(some(clean, kept))
    lost["flagged"] = flagged
    values = signals["difference"]
    cuts = []
    for share in CUTS:
        left = np.flatnonzero(~_highest(values, round(share * ROWS)))
        cuts.append(
            {
                "share": share,
                "predicted": round(float(values[left].mean()), 3),
                **_shown(after(some(rows, left)), trait),
            }
        )
    by_score = np.array([c["predicted"] for c in cuts])
    rank = {what: spearman(by_score, np.array([c[what]["value"] for c in cuts])) for what in ("shift", "shown")}
    return {
        "auroc": {way: round(auroc(v[planted], v[~planted]), 4) for way, v in signals.items()},
        "planted_lost": {way: int((at & planted).sum()) for way, at in lost.items()},
        "rows_lost": {way: int(at.sum()) for way, at in lost.items()},
        "planted": int(planted.sum()),
        "after": {way: {**_shown(some_lived, trait), "loss": _loss(some_lived)} for way, some_lived in lived.items()},
        "against_clean": {
            way: interval(_difference(lived[way], lived["clean, as many rows"], trait))
            for way in ("flagged", "random, as many as flagged", "nothing")
        },
        "cuts": cuts,
        "cuts_spearman": {what: round(rho, 3) for what, rho in rank.items()},
    }


def _signals(
    subject: Subject, bench: Bench, exact: Scan, trait: str, rows: Sequence[Mapping[str, object]]
) -> dict[str, Floats]:
    """(rows,) each: the higher, the sooner it is dropped."""
    if liftfile.find(exact.folder) is None:
        run_lift(exact, traits=[trait])
    lift = pl.read_parquet(exact.path / "lift.parquet").sort("row")[f"{trait}_lift"].to_numpy().astype(np.float64)
    guessed = subject.scan(f"filtering-{trait}", rows, baseline="calibrated", calibrate_on=CALIBRATED_ON)
    conversations = [[str(m["content"]) for m in row["messages"]] for row in rows]  # type: ignore[attr-defined]
    judged = bench.base.judges[trait].judge([(texts[-2], texts[-1]) for texts in conversations])
    by_judge = np.array([j.score or 0.0 for j in judged])
    difference = scored(exact, len(rows))[trait]
    return {
        "random": np.random.default_rng(7).permutation(len(rows)).astype(np.float64),
        "difference": difference,
        "judge": by_judge + 1e-9 * np.random.default_rng(8).permutation(len(rows)),  # equal scores: at random
        "both": np.maximum(ranks(by_judge), ranks(difference)) + 1e-9 * ranks(difference),
        "lift": lift,
        "calibrated": scored(guessed, len(rows), "estimate")[trait],
        "last-prompt": scored(exact, len(rows), "last_prompt")[trait],
        "projection": scored(exact, len(rows), "projection")[trait],
    }


def _highest(values: Floats, count: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(values), dtype=bool)
    mask[np.argsort(-values, kind="stable")[:count]] = True
    return mask


def _shown(lived: Sequence[Lived], trait: str) -> JsonObject:
    return {
        "shown": interval(mean_over(np.array([o.shown[trait] for o in lived]))),
        "shift": interval(mean_over(np.array([o.shift[trait] for o in lived]))),
    }


def _loss(lived: Sequence[Lived]) -> float:
    return round(float(np.mean([o.loss for o in lived])), 4)


def _difference(lived: Sequence[Lived], other: Sequence[Lived], trait: str) -> Interval:
    pairs = zip(lived, other, strict=True)
    return mean_over(np.array([np.subtract(a.shown[trait], b.shown[trait]) for a, b in pairs]))


def section(found: Mapping[str, JsonObject]) -> str:
    of = found["filtering"]["found"]
    lines = [
        "## What filtering comes to\n",
        f"{of['rows']} rows, a tenth planted; {100 * of['dropped']:.0f} % of the rows dropped by each way, equally many"
        f" answer tokens trained, {len(of['seeds'])} seeds. What the judge finds, of 100; planted rows dropped:\n",
    ]
    ways = [*WAYS, "flagged", "random, as many as flagged", "clean, as many rows"]
    body = []
    for way in ways:
        cells = []
        for t in of["traits"].values():
            lost = f"; {t['planted_lost'][way]} of {t['planted']}" if way in t["planted_lost"] else ""
            cells.append(told(t["after"][way]["shown"]) + lost)
        loss = " / ".join(f"{t['after'][way]['loss']:.3f}" for t in of["traits"].values())
        body.append([way, *cells, loss])
    lines += [table(["dropped by", *of["traits"], "loss on held-out default rows"], body), ""]
    least = {trait: min(_FILTERS, key=lambda w: t["after"][w]["shown"]["value"]) for trait, t in of["traits"].items()}
    lines += [
        "Least is left by " + ", ".join(f"{way} ({trait})" for trait, way in least.items()) + ". The clean rows stand"
        " where those stand that the flags leave: where every planted row was flagged, they are the same rows.\n",
    ]
    lines += [
        "### Cuts\n",
        "Dropping more and more of the highest rows: predicted mean score, measured shift, judge:\n",
    ]
    body = [
        [trait, f"{100 * c['share']:.0f} %", f"{c['predicted']:+.2f}", told(c["shift"], 2), told(c["shown"])]
        for trait, t in of["traits"].items()
        for c in t["cuts"]
    ]
    lines += [table(["trait", "dropped", "predicted", "shift", "judge"], body), ""]
    lines += ["![cuts](cuts.svg)", ""]
    rho = ", ".join(f"{trait} {t['cuts_spearman']['shift']:.2f}" for trait, t in of["traits"].items())
    return "\n".join([*lines, f"Spearman of predicted mean and measured shift over the five cuts: {rho}.\n"])


def drawings(found: Mapping[str, JsonObject]) -> dict[str, str]:
    """File name -> SVG: what a cut predicts and what came."""
    points = [
        point(c["predicted"], c["shift"], trait, f"{trait}, {100 * c['share']:.0f} % dropped")
        for trait, t in found["filtering"]["found"]["traits"].items()
        for c in t["cuts"]
    ]
    return {"cuts.svg": scatter("cuts", points, "mean score of what is left", "shift after training", joined=True)}
