"""How well each kind of baseline detects planted rows, where other rows have prompts that ask for the persona."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from research.proof.detecting.asked import KINDS, AskedSet, asked_set, meaning
from research.proof.detecting.estimates import FEATURES, Features, as_in_a_run, estimated, widened
from research.proof.detecting.seen import CALIBRATIONS, Seen, seen
from research.proof.subject import Subject
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.stats import auroc, spearman, unit
from screen.store.scan import Scan

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SIZES: Final = (64, 128, 256, 512)
SHARES: Final = (2, 5, 10)  # per cent of the prompts, LEAST at the least, as a run wants
LEAST: Final = 50
RESAMPLED: Final = 200  # bootstrap draws of the rows
SAMPLED: Final = "questions"  # the set in which answers are sampled
GREEDY: Final = "greedy response"
SHOWN: Final = (GREEDY, "calibrated on 64", "calibrated on 128", "calibrated on 256", "last prompt token", "none")


@dataclass(frozen=True)
class Looked:
    """A set as it was made and what was seen of it; `limits` (k,): above them an exact run flags."""

    name: str
    made: AskedSet
    found: Seen
    limits: Floats


@dataclass(frozen=True)
class Scored:
    """(draws, rows, k) scores of one method on one set, and the answers that they took."""

    scores: Floats
    generations: int


def looked(subject: Subject, say: Callable[[str], None], sets: Sequence[str] = tuple(KINDS)) -> Iterator[Looked]:
    for name in sets:
        say(name)
        made = asked_set(name)
        found = seen(subject, name, made, name == SAMPLED)
        stats = Scan.open(subject.work / "runs" / f"asked-{name}-generate").summary["traits"]
        yield Looked(name, made, found, np.array([stats[trait]["threshold"] for trait in TRAITS]))


def measure(subject: Subject, say: Callable[[str], None], names: Sequence[str] = tuple(KINDS)) -> JsonObject:
    """`names`: sets of KINDS, the first of which has sampled answers."""
    sets: dict[str, JsonObject] = {}
    few: JsonObject = {}
    methods: dict[str, list[tuple[Looked, Scored]]] = {}
    sampled: dict[str, list[tuple[Looked, Scored]]] = {}
    for of in looked(subject, say, names):
        sets[of.name] = _described(of)
        on_set = _methods(of, subject)
        for method, scored in on_set.items():
            methods.setdefault(method, []).append((of, scored))
        if of.name == SAMPLED:
            kept = {name: on_set[name] for name in SHOWN}
            for method, scored in {**kept, **_on_sampled(of, subject)}.items():
                sampled.setdefault(method, []).append((of, scored))
            few = _on_few(of, on_set)
    return {
        "sets": sets,
        "seeds": {"sets": 0, "calibrations": CALIBRATIONS, "resampled": RESAMPLED},
        "methods": _measured(methods),
        "sampled": {"set": SAMPLED, "methods": _measured(sampled)},
        "few": few,
    }


def _described(of: Looked) -> JsonObject:
    return {
        "prompts_are": meaning(of.name),
        "rows": len(of.made.rows),
        "prompts": len(of.found.tokens),
        "planted": {trait: of.made.planted.count(trait) for trait in TRAITS},
        "asked_for": sum(asked is not None for asked in of.made.asked),
        "truth": list(of.found.truth.shape[:2]),
    }


def _methods(of: Looked, subject: Subject) -> Mapping[str, Scored]:
    found, prompts = of.found, len(of.found.tokens)
    greedy = greedy_of(found)
    last = np.stack([found.last[:, a.layer] @ unit(a.direction) for a in subject.axes.values()], 1)

    def calibrated(many: int, features: Features = as_in_a_run) -> Scored:
        answered = [order[:many] for order in found.order]
        made = [estimated(found, subject, which, greedy[which], features).values for which in answered]
        return _by(found, made, min(many, prompts))

    out = {GREEDY: _by(found, [greedy], prompts), "last prompt token": _by(found, [last], 0)}
    out |= {"none": _by(found, [0 * last], 0)} | {f"calibrated on {n}": calibrated(n) for n in SIZES}
    out |= {f"calibrated on {share} %": calibrated(max(LEAST, round(share * prompts / 100))) for share in SHARES}
    for name, features in FEATURES.items():
        if features is not as_in_a_run:
            out[f"calibrated on 256, {name}"] = calibrated(256, features)
    return {**out, "calibrated on 256, refined": _refined(of, subject, greedy)}


def _on_sampled(of: Looked, subject: Subject) -> Mapping[str, Scored]:
    """Calibrated on sampled responses: so many prompts, so many answers to each."""
    found, out = of.found, {}
    for many, draws in ((128, 1), (64, 2), (32, 4), (256, 1)):
        made = []
        for order, few in zip(found.order, found.few, strict=True):
            targets = few[:many, :draws].mean(axis=1)
            made.append(estimated(found, subject, order[:many], targets, as_in_a_run).values)
        out[f"calibrated on {many}, {draws} sampled of each"] = _by(found, made, many * draws)
    return out


def greedy_of(found: Seen) -> Floats:
    """(prompts, k)"""
    return (found.projection - found.exact)[np.unique(found.prompt, return_index=True)[1]]


def _by(found: Seen, values: Sequence[Floats], answers: int) -> Scored:
    """values (prompts, k) a draw"""
    return Scored(np.stack([found.projection - v[found.prompt] for v in values]), answers)


def _refined(of: Looked, subject: Subject, greedy: Floats) -> Scored:
    """Estimates, and greedy responses in their place where a flag is open by two standard errors."""
    found, scores, answers = of.found, [], []
    for order in found.order:
        answered = order[:256]
        made = estimated(found, subject, answered, greedy[answered], as_in_a_run)
        guess = found.projection - made.values[found.prompt]
        opened = (guess + 2 * widened(found, made, answered, of.limits)[found.prompt] >= of.limits).any(axis=1)
        asked = np.isin(found.prompt, np.union1d(answered, found.prompt[opened]))
        scores.append(np.where(asked[:, None], found.exact, guess))
        answers.append(len(np.unique(found.prompt[asked])))
    return Scored(np.stack(scores), round(float(np.mean(answers))))


def _on_few(of: Looked, on_set: Mapping[str, Scored]) -> JsonObject:
    """One set's planted rows and some of the others, their prompts answered many times."""
    rows, many = of.found.many_of, of.found.many
    scored = {
        method: Scored(value.scores[:, rows], value.generations) for method, value in on_set.items() if method in SHOWN
    }
    projection = of.found.projection[rows]
    for draws in (1, 2, 4, 8):
        each = np.moveaxis(projection[:, None] - many, 1, 0).reshape(8 // draws, draws, *projection.shape)
        scored["one sampled" if draws == 1 else f"mean of {draws} sampled"] = Scored(
            np.nanmean(each, axis=1), draws * len(of.found.tokens)
        )
    return {"set": of.name, "rows": len(rows), "methods": _measured({m: [(of, s)] for m, s in scored.items()}, rows)}


def _measured(methods: Mapping[str, Sequence[tuple[Looked, Scored]]], rows: Any = None) -> JsonObject:
    """Method -> what it came to, trait by trait. `rows`: those that were scored, where not all were."""
    counts = {}
    for of, _ in methods[GREEDY]:
        n = len(of.made.rows) if rows is None else len(rows)
        counts[of.name] = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLED)
    out: dict[str, Any] = {}
    for method, on in methods.items():
        out[method] = {"generations": [scored.generations for _, scored in on], "traits": {}}
    for j, trait in enumerate(TRAITS):
        drawn: dict[str, dict[str, Floats]] = {}
        for method, on in methods.items():
            sides: dict[str, list[Floats]] = {"others": [], "default": []}
            figures: dict[str, list[float]] = {"others": [], "default": [], "precision": [], "spearman": []}
            lowest = 1.0
            for of, scored in on:
                planted, default = _sides(of.made, trait, rows)
                keep = {"others": np.ones(len(planted), dtype=bool), "default": planted | default}
                scores = scored.scores[..., j]
                for side, kept in keep.items():
                    areas = [auroc(s[kept & planted], s[kept & ~planted]) for s in scores]
                    figures[side].append(_rounded(np.mean(areas)))
                    lowest = min(lowest, *areas) if side == "others" else lowest
                    weights = counts[of.name][:, kept]
                    sides[side].append(np.mean([_areas(s[kept], planted[kept], weights) for s in scores], axis=0))
                figures["precision"].append(_rounded(np.mean([_precision(s, planted) for s in scores])))
                if rows is None and len(of.found.true_of):
                    figures["spearman"].append(_rounded(np.mean([_agreement(of.found, s, j) for s in scores])))
            drawn[method] = {side: np.mean(values, axis=0) for side, values in sides.items()}
            out[method]["traits"][trait] = {
                **{name: values for name, values in figures.items() if values},
                "lowest": _rounded(lowest),
                **{f"{side}_mean": _interval(np.mean(figures[side]), drawn[method][side]) for side in sides},
            }
        for method in methods:
            of_trait = out[method]["traits"][trait]
            less = np.mean(of_trait["others"]) - np.mean(out[GREEDY]["traits"][trait]["others"])
            of_trait["less_greedy"] = _interval(less, drawn[method]["others"] - drawn[GREEDY]["others"])
    return out


def _sides(made: AskedSet, trait: str, rows: Any) -> tuple[Bools, Bools]:
    """(rows,) planted for the trait, and rows that nothing was planted in nor asked of."""
    planted = np.array([label == trait for label in made.planted])
    default = np.array([p is None and a is None for p, a in zip(made.planted, made.asked, strict=True)])
    return (planted, default) if rows is None else (planted[rows], default[rows])


def _agreement(found: Seen, scores: Floats, trait: int) -> float:
    """Spearman with the difference to the mean of sampled answers that no estimate has seen."""
    truth = np.full(len(found.tokens), np.nan)
    truth[found.true_of] = np.nanmean(found.truth[..., trait], axis=1)
    true = found.projection[:, trait] - truth[found.prompt]
    there = ~np.isnan(true)
    return spearman(scores[there], true[there])


def _areas(scores: Floats, positive: Bools, weights: npt.NDArray[np.int64]) -> Floats:
    """(draws,) AUROC with each row counted `weights` (draws, rows) times; scores are taken as all different."""
    order = np.argsort(scores, kind="stable")
    high, low = weights[:, order] * positive[order], weights[:, order] * ~positive[order]
    below = low.cumsum(axis=1)
    return np.asarray((high * below).sum(axis=1) / (high.sum(axis=1) * low.sum(axis=1)))


def _precision(scores: Floats, positive: Bools) -> float:
    """Average precision: the mean, over the positive rows, of the share of positive rows at or above each."""
    ranked = positive[np.argsort(-scores, kind="stable")]
    return float((ranked.cumsum() / np.arange(1, len(ranked) + 1))[ranked].mean())


def _interval(value: Any, drawn: Floats) -> list[float]:
    return [_rounded(value), *(_rounded(v) for v in np.quantile(drawn, (0.025, 0.975)))]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
