"""The vaccine: a vector added in training, so that the weights need not move along it; what it holds, what it costs.

For each trait half of the rows are planted. Beside plain fine-tuning: preventative steering by coefficient, at one
layer and at all; the same with a random vector of the same norm; flagged rows (above p99 of clean ones) dropped;
planted rows behind a system prompt that asks for the trait (inoculation); clean rows alone; and the plainly trained
copy steered away when it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from research.pocket.corpus.chats import mixed
from research.proof.plots import point, scatter
from research.proof.subject import Subject
from research.proof.tables import interval, table, told
from research.proof.thirds import some
from research.proof.trained import Bench, Lived, Rows, Vaccine, open_bench
from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.select.selection import select
from screen.steering.plan import additions
from screen.vectors.persona import PersonaVector

ROWS: Final = 160
PLANTED: Final = 0.5
SEEDS: Final = 5
ONE: Final = (0.5, 1.0, 2.0)
ALL: Final = (0.5, 1.0)
RANDOM: Final = (1.0,)
AWAY: Final = (0.5, 1.0, 2.0)
POINTS: Final = 5.0  # of 100, from the base model
LOSS: Final = 0.02  # of the loss after training on clean rows
PLAIN, CLEAN, FILTERED, INOCULATED = "plain fine-tuning", "clean rows alone", "flagged rows dropped", "inoculated"


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    every = open_bench(subject)
    base = every.untrained()
    traits = {}
    for number, trait in enumerate(TRAITS):
        bench = replace(every, only=trait)
        lived: dict[str, list[Lived]] = {}
        for seed in range(SEEDS):
            for name, outcome in _of_seed(bench, trait, seed, 500 + 10 * number + seed).items():
                lived.setdefault(name, []).append(outcome)
            say(f"{trait}, seed {seed + 1} of {SEEDS}: {_line(trait, lived)}")
        shown = round(float(np.mean(base.shown[trait])), 2)
        traits[trait] = {
            "base": {"shown": shown, "coherence": base.coherence[trait], "loss": base.loss},
            "after": {name: _of(trait, outcomes) for name, outcomes in lived.items()},
        }
    return {"rows": ROWS, "planted": PLANTED, "seeds": list(range(SEEDS)), "traits": traits}


def _of_seed(bench: Bench, trait: str, seed: int, draw: int) -> dict[str, Lived]:
    made = mixed(ROWS, draw, {trait: PLANTED})
    rows: Rows = made.rows
    vector = bench.subject.persona[trait]
    noise = _random_vector(vector)
    tokens = sum(len(bench.lesson(row).learnt) for row in rows)
    away = {f"steered by -{c:g} afterwards": additions([vector], [-c], "one") for c in AWAY}
    after = bench.steered_after(rows, seed, {PLAIN: {}, **away}, tokens=tokens)
    given = {
        **{f"vaccine {c:g}, one layer": Vaccine(vector, c, "one") for c in ONE},
        **{f"vaccine {c:g}, all layers": Vaccine(vector, c, "all") for c in ALL},
        **{f"random vector {c:g}, one layer": Vaccine(noise, c, "one") for c in RANDOM},
    }
    for name, vaccine in given.items():
        after[name] = bench.after(rows, seed, tokens=tokens, vaccine=vaccine)
    run = bench.subject.scan(f"vaccine-{trait}-{seed}", rows)
    flagged = select(run, f"{trait} > reference.p99").rows()
    kept = np.setdiff1d(np.arange(len(rows)), flagged)
    after[FILTERED] = bench.after(some(rows, kept), seed, tokens=tokens)
    after[INOCULATED] = bench.after(_inoculated(rows, made.labels, bench, trait), seed, tokens=tokens)
    after[CLEAN] = bench.after(mixed(ROWS, draw, {}).rows, seed, tokens=tokens)
    return after


def _random_vector(vector: PersonaVector) -> PersonaVector:
    """Gaussian directions with the vector's norm at each layer."""
    drawn = np.random.default_rng(9).standard_normal(vector.direction.shape)
    norms = np.linalg.norm(vector.direction, axis=1, keepdims=True) / np.linalg.norm(drawn, axis=1, keepdims=True)
    return replace(vector, direction=(drawn * norms).astype(np.float32))


def _inoculated(rows: Rows, labels: Sequence[str | None], bench: Bench, trait: str) -> list[dict[str, Any]]:
    """Planted rows behind the first system prompt of the trait's file that asks for it."""
    asks = next(t.positives[0] for t in bench.traits if t.name == trait)
    system = {"role": "system", "content": asks}
    return [
        {"messages": [*([system] if label == trait else []), *row["messages"]]}
        for row, label in zip(rows, labels, strict=True)
    ]


def _of(trait: str, lived: Sequence[Lived]) -> JsonObject:
    losses = np.array([o.loss for o in lived])
    return {
        "shown": interval(mean_over(np.array([o.shown[trait] for o in lived]))),
        "shift": interval(mean_over(np.array([o.shift[trait] for o in lived]))),
        "coherence": round(float(np.mean([o.coherence[trait] for o in lived])), 1),
        "loss": round(float(losses.mean()), 4),
        "losses": losses.tolist(),
    }


def _line(trait: str, lived: Mapping[str, Sequence[Lived]]) -> str:
    return ", ".join(f"{name} {np.mean(outcomes[-1].shown[trait]):.0f}" for name, outcomes in lived.items())


def best(t: JsonObject, words: str) -> str:
    """The arm whose name begins so with the lowest trait."""
    after: Mapping[str, JsonObject] = t["after"]
    return min((name for name in after if name.startswith(words)), key=lambda n: float(after[n]["shown"]["value"]))


def section(found: Mapping[str, JsonObject]) -> str:
    of = found["vaccine"]["found"]
    lines = [
        "## Acting on it: the vaccine\n",
        f"{of['rows']} rows, half of them planted, {len(of['seeds'])} seeds with a mixture each. The trait by the judge"
        ", of 100; then coherence of the answers and loss on held-out default rows:\n",
    ]
    names = list(next(iter(of["traits"].values()))["after"])
    base = ["the base model", *(_cell(t["base"]["shown"], t["base"]) for t in of["traits"].values())]
    body = [base, *([n, *(_arm(t["after"][n]) for t in of["traits"].values())] for n in names)]
    lines += [table(["", *of["traits"]], body), ""]
    lines.append(" ".join(f"![{t}](vaccine-{t}.svg)" for t in of["traits"]))
    return "\n".join([*lines, ""])


def _arm(after: JsonObject) -> str:
    return _cell(told(after["shown"]), after)


def _cell(shown: object, of: JsonObject) -> str:
    return f"{shown}; {of['coherence']:.0f}; {of['loss']:.3f}"


def drawings(found: Mapping[str, JsonObject]) -> dict[str, str]:
    """File name -> SVG: the trait that is left against the price, the loss on held-out default rows."""
    drawn = {}
    for trait, t in found["vaccine"]["found"]["traits"].items():
        points = [point(after["loss"], after["shown"], _kind(name), name) for name, after in t["after"].items()]
        axes = ("loss on held-out default rows, nats a token", f"{trait} after training, of 100")
        drawn[f"vaccine-{trait}.svg"] = scatter(f"{trait}: what holds it, and its price", points, *axes)
    return drawn


def _kind(name: str) -> str:
    for words in ("vaccine", "random vector", "steered"):
        if name.startswith(words):
            layers = name.partition(", ")[2]
            return f"{words}, {layers}" if layers else "steered away afterwards"
    return name
