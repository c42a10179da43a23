"""`make` and `write`: a run's report as one file. Asks, fills the sections in order, lays them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from screen.disk import write_atomically, writing
from screen.errors import near
from screen.store.scan import Scan
from screen_reports.html.asking import answers
from screen_reports.html.order import SECTIONS
from screen_reports.html.page import laid_out
from screen_reports.html.section import Section
from screen_reports.html.view import View
from screen_reports.text import count, plural

NAME = "report.html"
TOP, SAMPLE = 200, 100


@dataclass(frozen=True)
class ReportPage:
    """`shown`: rows that are in it, and how many have a score. `sections`: their names, in order."""

    html: str
    shown: Mapping[str, int]
    sections: tuple[str, ...]

    def described(self, path: Path) -> dict[str, object]:
        """What was written, as JSON."""
        return {"path": str(path), "bytes": len(self.html.encode()), "rows": self.shown, "sections": self.sections}

    def line(self) -> str:
        """The same for people."""
        rows = plural(sum(self.shown.values()) - self.shown["of"], "row")
        return f"{rows} of {count(self.shown['of'])} with their texts, {len(self.html.encode()) / 1000:,.0f} kB"


def make(
    scan: Scan, name: str = "", *, top: int = TOP, sample: int = SAMPLE, sections: Sequence[Section] = SECTIONS
) -> ReportPage:
    """The page. `name`: the run's folder, as commands are to name it; `top`, `sample`: how many rows of each kind.

    A pure function of the run and these: equal runs give equal bytes.
    """
    view = View(scan, name or near(scan.path), top, sample)
    asked = answers(view, sections)
    filled = [(section, section.values(view, asked[section.name])) for section in sections]
    chosen = view.chosen
    extra = len(view.chosen_rows) - len(chosen.top) - len(chosen.sample)
    shown = {"top": len(chosen.top), "sample": len(chosen.sample), "labelled": extra, "of": chosen.of}
    return ReportPage(laid_out(view, filled), shown, tuple(section.name for section in sections))


def write(report: ReportPage, path: Path) -> Path:
    """Whole or not at all. Raises UsageError where it cannot be written."""
    with writing(path, "give -o a file in a folder that can be written"):
        write_atomically(path, report.html.encode())
    return path
