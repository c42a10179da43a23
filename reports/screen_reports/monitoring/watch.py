"""How training moved a model: a checkpoint a line, a line of blocks a trait, and the same as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.curves import Line, Panel, picture
from screen_reports.drawings.axes import limits
from screen_reports.drawings.sparkline import ASCII, BLOCKS
from screen_reports.text import one_line, plural, score

if TYPE_CHECKING:
    from screen.monitor.watch import CheckpointShift, Shift

_SHOWN = 20  # lines of the table; the JSON has all


def line(shift: CheckpointShift) -> str:
    """ "checkpoint-50: evil +0.31 sd, sycophancy -0.02 sd"."""
    if shift["failed"] is not None:
        return f"{one_line(shift['name'])}: {one_line(shift['failed'])}"
    told = ", ".join(f"{one_line(trait)} {_cell(s)}{' sd' * (s['sds'] is not None)}" for trait, s in _all(shift))
    return f"{one_line(shift['name'])}: {told}"


def print_watch(terminal: Terminal, found: Sequence[CheckpointShift], plot: Path | None) -> None:
    good = [shift for shift in found if shift["failed"] is None]
    terminal.put(f"{plural(len(good), 'checkpoint')} measured")
    for shift in found:
        if shift["failed"] is not None:
            terminal.put(f"{shift['name']}: {shift['failed']}", style="yellow")
    if not good:
        return
    traits = list(good[0]["shifts"])
    heads: list[Head] = [("checkpoint", "left"), *((one_line(trait), "right") for trait in traits)]
    rows: list[list[str | Text]] = [["before", *("0" for _ in traits)]] if len(good) <= _SHOWN else []
    rows += [[terminal.cut(s["name"], 24), *(_cell(s["shifts"][t]) for t in traits)] for s in good[-_SHOWN:]]
    terminal.table(heads, rows)
    terminal.put()
    for trait in traits:
        values = [0.0, *(_value(s["shifts"][trait]) for s in good)]
        width = max(len(one_line(t)) for t in traits)
        terminal.print(
            Text(
                f"{one_line(trait).ljust(width)}  {blocks(values, terminal.plain)}  {_cell(good[-1]['shifts'][trait])}"
            ),
            soft_wrap=True,
        )
    terminal.put()
    unit = "standard deviations of clean rows" if _counted(good) else "units of the activations where no sd is known"
    terminal.put(f"shift of the last prompt token's projection against the model before training, in {unit}")
    if plot is not None:
        terminal.put(f"drawn: {plot}")


def blocks(values: Sequence[float], plain: bool, most: int = 50) -> str:
    """A character a value, from the lowest to the highest of them; of more than `most` the latest."""
    levels = ASCII if plain else BLOCKS
    shown = values[-most:]
    low, high = limits(values)
    top = len(levels) - 1
    return "".join(levels[round(top * (value - low) / (high - low))] for value in shown)


def drawn(found: Sequence[CheckpointShift]) -> str:
    """The shifts by step as the text of an SVG file, from 0 before training on."""
    good = [shift for shift in found if shift["failed"] is None]
    traits = list(good[0]["shifts"]) if good else []
    steps = [float(shift["step"]) if shift["step"] is not None else float(i + 1) for i, shift in enumerate(good)]
    lines = [
        Line(trait, [(0.0, 0.0), *((x, _value(s["shifts"][trait])) for x, s in zip(steps, good, strict=True))])
        for trait in traits
    ]
    low, high = limits([y for one in lines for _, y in one.points], 0.08)
    unit = "sd of clean rows" if _counted(good) else "activations"
    return picture(f"Shift along each vector ({unit})", [Panel("against the model before", "step", (low, high), lines)])


def _counted(good: Sequence[CheckpointShift]) -> bool:
    return all(s["sds"] is not None for shift in good for _, s in _all(shift))


def _all(shift: CheckpointShift) -> list[tuple[str, Shift]]:
    return list(shift["shifts"].items())


def _value(shift: Shift) -> float:
    return shift["shift"] if shift["sds"] is None else shift["sds"]


def _cell(shift: Shift) -> str:
    return score(_value(shift), 2)
