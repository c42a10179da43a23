"""What the fine-tunings of a sweep showed: a coefficient a line, and what to train with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.text import one_line, plural

if TYPE_CHECKING:
    from screen.experiment.vaccine.choice import VaccineOption
    from screen.experiment.vaccine.sweep import Vaccine


def print_vaccine(terminal: Terminal, made: Vaccine, plan: Path, work: Path) -> None:
    for trait in made.base.shown:
        terminal.put()
        heads: list[Head] = [("trained with", "left"), (f"{one_line(trait)} of 100", "right"), ("rise, 95 %", "right")]
        heads += [("coherence", "right"), ("loss", "right"), ("holds", "left")]
        rows: list[list[str | Text]] = [_base(made, trait)]
        rows += [_row(option, trait, option is made.chosen) for option in made.options]
        terminal.table(heads, rows)
    terminal.put()
    terminal.put(made.sentence, style="bold" if made.chosen else "bold yellow")
    again = f", {made.reused} of them from an earlier call" if made.reused else ""
    terminal.put(
        f"{plural(len(made.outcomes), 'fine-tuning')} on {plural(made.rows, 'row')}{again}, kept in"
        f" {one_line(str(work))}/; loss on {plural(made.held_out, 'row')} that none was trained on. Capability is seen"
        " by that loss and by coherence alone"
    )
    if made.chosen:
        terminal.fact("written", str(plan))


def _base(made: Vaccine, trait: str) -> list[str | Text]:
    loss = "-" if made.base.loss is None else f"{made.base.loss:.3f}"
    coherent = np.concatenate(list(made.base.coherence.values())).mean()
    return ["nothing", f"{np.mean(made.base.shown[trait]):.1f}", "", f"{coherent:.0f}", loss, ""]


def _row(option: VaccineOption, trait: str, chosen: bool) -> list[str | Text]:
    where = {None: "no vector", "one": "one layer", "all": "all layers"}[option.layers]
    return [
        where if option.layers is None else f"{option.coefficient:g}, {where}",
        f"{option.shown[trait]:.1f}",
        option.rise[trait].shown(1),
        f"{option.coherence:.0f}",
        "-" if option.loss is None else f"{option.loss:.3f}",
        ("yes, chosen" if chosen else "yes") if option.holds else f"no: {one_line(', '.join(option.why))}",
    ]
