"""What gates come to on a run. A gate fails where its condition holds, and where that cannot be said."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from screen.errors import GateFailed
from screen.select.gates.figures import Figures, Measurement
from screen.select.gates.tree import Condition, Figure, Gate, OfReference, conditions, holds
from screen.select.gates.words import limit_words, measured_words, shown
from screen.store.unfinished import unfinished


@dataclass(frozen=True, slots=True)
class Outcome:
    """One condition of a gate on a run: `figure` `op` `limit`.

    measured   the figure with its interval, None in a run that is not finished
    limit      the number, share (of 1) or verdict that it is compared with; None where there is none
    holds      None where it cannot be said; sentence: what was measured, or why not
    untold     the verdict's sentence where that is why
    """

    figure: Figure
    op: str
    limit: float | str | None
    limit_text: str
    measured: Measurement | None
    holds: bool | None
    sentence: str
    untold: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """`text` as given; `fails` where the gate holds or one of its conditions cannot be said.

    reasons  the conditions that speak for failing, of a gate that fails
    """

    text: str
    fails: bool
    outcomes: tuple[Outcome, ...]
    reasons: tuple[Outcome, ...] = ()

    @property
    def telling(self) -> tuple[Outcome, ...]:
        """The conditions that make it fail: those that cannot be said, else the reasons; of a gate that passes, all."""
        unknown = tuple(o for o in self.outcomes if o.holds is None)
        return (unknown or self.reasons or self.outcomes) if self.fails else self.outcomes

    @property
    def sentence(self) -> str:
        return "; ".join(dict.fromkeys(outcome.sentence for outcome in self.telling))


def evaluate(figures: Figures, gates: Sequence[Gate]) -> list[GateResult]:
    """One result a gate, in order. The traits of the gates were checked (`parser.check_names`)."""
    return [_evaluate(figures, gate) for gate in gates]


def _evaluate(figures: Figures, gate: Gate) -> GateResult:
    signs = dict(conditions(gate.tree))
    outcomes = {condition: _outcomes(figures, condition) for condition in signs}
    every = tuple(outcome for some in outcomes.values() for outcome in some)
    unknown = any(outcome.holds is None for outcome in every)
    fails = unknown or holds(gate.tree, lambda condition: any(o.holds for o in outcomes[condition]))
    reasons = tuple(o for condition, sign in signs.items() for o in outcomes[condition] if o.holds is sign)
    return GateResult(gate.text, fails, every, reasons if fails else ())


def _outcomes(figures: Figures, condition: Condition) -> list[Outcome]:
    """One, but for the verdict of every trait."""
    every = condition.figure.kind == "told"
    asked = [Figure("verdict", trait) for trait in figures.scan.traits] if every else [condition.figure]
    if not figures.scan.folder.finished:
        why = unfinished(figures.scan.folder)[0]
        return [Outcome(f, condition.op, None, str(condition.limit), None, None, why) for f in asked]
    return [_verdict(figures, f, condition) if f.kind == "verdict" else _outcome(figures, f, condition) for f in asked]


def _verdict(figures: Figures, figure: Figure, condition: Condition) -> Outcome:
    """A verdict of cannot-tell is neither review nor nothing: a gate that asks for one of these fails."""
    trait, word, op = figure.trait or "", str(condition.limit), condition.op
    measured = figures.measure(figure)
    if measured.value is None:
        return Outcome(figure, op, word, word, measured, None, f"{trait}: {measured.why}")
    sentence = figures.trait(trait)["verdict"]["sentence"]
    untold = figures.untold(trait)
    result = None if untold and op == "=" and word != measured.value else (measured.value == word) == (op == "=")
    words = f"{trait}: the verdict is {measured.value}" + (f": {sentence}" if result else "")
    return Outcome(figure, op, word, word, measured, result, f"{trait}: {sentence}" if untold else words, untold)


def _outcome(figures: Figures, figure: Figure, condition: Condition) -> Outcome:
    op, trait, limit = condition.op, figure.trait, condition.limit
    of = f"{trait}: " if trait is not None else ""
    measured = figures.measure(figure)
    against, whose = _limit(figures, figure, condition)
    text = shown(figure, limit) if isinstance(limit, int | float) else str(limit)
    missing = measured.why or against.why
    if not missing and limit == OfReference(None) and None in (measured.low, measured.high):
        missing = "the mean has no interval: its samples are of fewer than two prompts"
    if missing:
        return Outcome(figure, op, against.value, text, measured, None, f"{of}{missing}, so the gate cannot tell")
    result = _compare(measured, op, against)
    words = f"{of}{measured_words(figure, measured)}, {limit_words(measured, condition, result, against, whose)}"
    if not result and trait is not None and (why := figures.untold(trait)):
        told = f"{words}, but that says nothing here: {why}"
        return Outcome(figure, op, against.value, text, measured, None, told, why)
    return Outcome(figure, op, against.value, text, measured, result, words)


def _limit(figures: Figures, figure: Figure, condition: Condition) -> tuple[Measurement, str]:
    if isinstance(condition.limit, OfReference):
        return figures.clean(figure.trait or "", condition.limit)
    return Measurement(condition.limit), ""


def _compare(measured: Measurement, op: str, limit: Measurement) -> bool:
    """As measured; but two means, each with an interval, by the interval of their difference (Zou and Donner 2008)."""
    value, to = measured.value, limit.value
    assert isinstance(value, int | float)
    assert isinstance(to, int | float)
    low = high = value - to
    if None not in (measured.low, measured.high, limit.low, limit.high):
        low -= math.hypot(value - (measured.low or 0.0), (limit.high or 0.0) - to)
        high += math.hypot((measured.high or 0.0) - value, to - (limit.low or 0.0))
    match op:
        case ">":
            return low > 0
        case ">=":
            return low >= 0
        case "<":
            return high < 0
    return high <= 0


def passed(results: Sequence[GateResult]) -> bool:
    return not any(result.fails for result in results)


def raise_failed(results: Sequence[GateResult], run: Path) -> None:
    """Raises GateFailed that names every gate which fails; what is said of a verdict is said once."""
    lines: dict[str, None] = {}
    said: set[tuple[str | None, str]] = set()
    for result in results:
        for outcome in result.telling if result.fails else ():
            about = outcome.figure.trait, outcome.untold
            if not outcome.untold or about not in said:
                lines[outcome.sentence] = None
            said.add(about)
    if lines:
        raise GateFailed("\n".join(lines), _next_step(results, run))


def _next_step(results: Sequence[GateResult], run: Path) -> str:
    place = shlex.quote(str(run))
    found = (o.figure.trait for result in results for o in result.reasons if o.figure.trait is not None)
    trait = next(found, None)
    if trait is not None:
        return f"look at them: screen rank {place} --by {shlex.quote(trait)} --flagged"
    return f"why: screen status {place}; mend that, or leave the gate out"
