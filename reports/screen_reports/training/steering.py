"""What steering does and costs, beside the same without: a line a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.text import one_line, plural

if TYPE_CHECKING:
    from screen.experiment.inference.trial import Trial, TrialSide


def print_trial(terminal: Terminal, trial: Trial, steering: str, answers: bool) -> None:
    """The answers, where they are asked for, and the table."""
    if answers:
        for name, side in (("without", trial.without), (steering, trial.steered)):
            terminal.put(f"{name}:", style="bold")
            terminal.block(side.answers[0] or "(empty)")
            terminal.put()
    heads: list[Head] = [("", "left"), ("without", "right"), (one_line(steering), "right"), ("change, 95 %", "right")]
    rows: list[list[str | Text]] = []
    for trait in trial.without.scores:
        rows.append([f"{one_line(trait)} of 100", *_means(trial, trait), _change(trial, trait)])
    if trial.without.coherence:
        rows.append(["coherence of 100", *_means(trial, "coherence"), _change(trial, "coherence")])
    sides = (trial.without, trial.steered)
    loss = "loss, its own answers" if trial.loss_of == "own answers" else "loss, your texts"
    rows.append([loss, *("-" if s.loss is None else f"{s.loss:.3f}" for s in sides), _ratio(trial)])
    rows.append(["tokens/s", *("-" if s.speed is None else f"{s.speed:,.0f}" for s in sides), ""])
    rows.append(["cut at the length limit", *(f"{s.cut} of {len(s.answers)}" for s in sides), ""])
    terminal.table(heads, rows)
    terminal.put()
    count = plural(len(trial.questions), "question")
    each = f", {trial.draws} answers to each" if trial.draws > 1 else ""
    own = "what the model itself said without the vectors" if trial.loss_of == "own answers" else "the answers given"
    terminal.put(f"{count}{each}; loss in nats a token on {own} ({plural(trial.loss_tokens, 'token')})")
    for trait, why in trial.unjudged.items():
        terminal.fact("not judged", f"{trait}: {why}")


def _means(trial: Trial, name: str) -> list[str]:
    def values(side: TrialSide) -> tuple[float, ...]:
        return side.coherence if name == "coherence" else side.scores[name]

    return [f"{np.mean(values(side)):.1f}" for side in (trial.without, trial.steered)]


def _change(trial: Trial, name: str) -> str:
    change = trial.change(name)
    return "" if change is None else change.shown(1)


def _ratio(trial: Trial) -> str:
    without, steered = trial.without.loss, trial.steered.loss
    return "" if not without or steered is None else f"{100 * (steered / without - 1):+.1f} %"
