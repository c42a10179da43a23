"""What next: commands to copy, each with its reason."""

from __future__ import annotations

from shlex import quote

from screen_reports import verdicts
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View


def values(view: View, _answer: Answer) -> Values:
    """(why, command) in the order in which they are of use."""
    place = quote(view.name)
    commands: list[tuple[str, str]] = []
    if view.finished:
        commands += [("fits the verdict", line) for line in verdicts.next_commands(view.summary, view.name, view.facts)]
    if view.chosen.of:
        commands += [
            ("one row, all that the run has on it", f"screen show {place} ROW --full"),
            ("its answer, token by token", f"screen explain {place} ROW"),
            ("what dropping high rows would cost", f"screen cut {place} --by {quote(view.leading)}"),
            ("a copy without the rows that match", f"screen filter {place} --drop flagged -o clean.jsonl"),
            ("a second, independent detector, for this report as well", f"screen lift {place}"),
            ("whether flags are arithmetic noise", f"screen check-numerics {place}"),
        ]
    commands.append(("this page again", f"screen report {place}"))
    return {"commands": [{"why": why, "line": line} for why, line in commands]}


SECTION = Section("next", "What next?", values)
