"""What a validation found: an arm a line, predicted beside measured, and a sentence a trait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from screen.experiment.cuts import LEAST
from screen_reports.console import Head, Terminal
from screen_reports.text import one_line, plural

if TYPE_CHECKING:
    from screen.experiment.cuts import MeasuredCuts
    from screen.experiment.outcome import ArmOutcome, TraitFinding
    from screen.experiment.results import Study

CONTROL = (
    "a control: what the screen says of each row was dealt to the rows anew for every seed, so that the ranking means"
    " nothing by its making"
)


def print_study(terminal: Terminal, study: Study, out: Path) -> None:
    if study.spec.get("ranking"):
        terminal.put()
        terminal.put(CONTROL)
    for finding in study.findings:
        terminal.put()
        _table(terminal, [o for o in study.outcomes if o.by in (None, finding.trait)], finding)
    terminal.put()
    for finding in study.findings:
        terminal.put(finding.sentence, style="bold" if finding.verdict == "meant something" else "bold yellow")
        if finding.shift_r and finding.shown_r:
            terminal.put(
                f"{finding.trait}: over all fine-tunings the rows' mean score goes with the shift along the vector by"
                f" r = {finding.shift_r[0]:.2f}, and with what the judge finds by r = {finding.shown_r[0]:.2f}"
            )
    for cuts in study.cuts:
        for sentence in cuts_said(cuts):
            terminal.put(sentence)
    trained = len(study.outcomes) - 1
    again = f", {study.reused} of them from an earlier call" if study.reused else ""
    terminal.put()
    terminal.put(f"{plural(trained, 'fine-tuning')}{again}; figures in {one_line(str(out))}/results.json")


def cuts_said(cuts: MeasuredCuts) -> list[str]:
    """How the mean that cuts leave goes with what was measured; why that is not told, where it is not."""
    if cuts.shift_r is None and cuts.shown_r is None:
        tried = sum(point.above is not None for point in cuts.points)
        few = f"a rank correlation wants {LEAST}" if tried < LEAST else "all are alike: there is no rank correlation"
        return [f"{cuts.trait}: {plural(tried, 'cut')} of the curve measured; {few}"]
    ways = (("the shift along the vector", cuts.shift_r), ("what the judge finds", cuts.shown_r))
    told = (f"with {name} by {r.shown(2)}" for name, r in ways if r is not None)
    alone = "; one seed: how trainings differ is in none of the intervals" if cuts.seeds == 1 else ""
    return [
        f"{cuts.trait}: over {len(cuts.points)} points of the cut curve the mean that is left goes"
        f" {', and '.join(told)} (Spearman's rank correlation{alone})"
    ]


def _table(terminal: Terminal, outcomes: list[ArmOutcome], finding: TraitFinding) -> None:
    heads: list[Head] = [("trained on", "left"), ("rows", "right"), ("their score", "right"), ("shift", "right")]
    heads += [(f"{one_line(finding.trait)} of 100", "right"), ("95 %", "right")]
    heads += [("coherence", "right"), ("loss", "right")]
    rows: list[list[str | Text]] = []
    for arm, shown in finding.shown.items():
        mine = [o for o in outcomes if o.arm == arm]
        predicted = [p for o in mine if (p := o.predicted[finding.trait]) is not None]
        losses = [o.loss for o in mine if o.loss is not None]
        rows.append(
            [
                "nothing" if arm == "base" else arm,
                f"{mine[0].rows:,}" if arm != "base" else "-",
                f"{np.mean(predicted):+.2f}" if predicted else "-",
                f"{finding.shift[arm].value:+.2f}",
                f"{shown.value:.1f}",
                f"{shown.low:.1f}-{shown.high:.1f}",
                f"{np.mean([o.coherence[finding.trait] for o in mine]):.0f}",
                f"{np.mean(losses):.3f}" if losses else "-",
            ]
        )
    terminal.table(heads, rows)
