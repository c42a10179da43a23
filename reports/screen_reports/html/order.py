"""The sections of the report, in order. To add one: its three files in sections/, and its line here."""

from __future__ import annotations

from screen_reports.html.section import Section
from screen_reports.html.sections import amount, certainty, cut, next, problem, rows, scanned

SECTIONS: tuple[Section, ...] = (
    problem.SECTION,
    amount.SECTION,
    rows.SECTION,
    certainty.SECTION,
    cut.SECTION,
    scanned.SECTION,
    next.SECTION,
)
