"""What a validation found: an arm a line, predicted beside measured, and a sentence a trait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.text import one_line, plural

if TYPE_CHECKING:
    from screen.experiment.outcome import ArmOutcome, TraitFinding
    from screen.experiment.study import Study


def print_study(terminal: Terminal, study: Study, out: Path) -> None:
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
    trained = len(study.outcomes) - 1
    again = f", {study.reused} of them from an earlier call" if study.reused else ""
    terminal.put()
    terminal.put(f"{plural(trained, 'fine-tuning')}{again}; figures in {one_line(str(out))}/results.json")


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
