"""What next: commands to copy, each with its reason."""

from __future__ import annotations

from shlex import quote

from screen.store.unfinished import resume
from screen_reports import verdicts
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View


def values(view: View, _answer: Answer) -> Values:
    """(why, command) in the order in which they are of use."""
    place = quote(view.name)
    commands: list[tuple[str, str]] = []
    if view.finished:
        commands += [
            ("what the verdict asks for", line) for line in verdicts.next_commands(view.summary, view.name, view.facts)
        ]
    else:
        commands.append(("the rest of the run", resume(view.scan.folder)))
    if view.chosen.of:
        commands += [
            ("one row, all that the run has on it", f"screen show {place} ROW --full"),
            ("its answer, token by token", f"screen explain {place} ROW"),
        ]
    if view.chosen.of and view.finished:
        commands += [
            ("rows to label, so that labels tell how good the cut is", f"screen sample {place} -o rows.jsonl"),
            ("what you think of a row", f"screen label {place} ROW drop"),
            ("what dropping high rows would cost", f"screen cut {place} --by {quote(view.leading)}"),
            ("a copy without the flagged rows", f"screen filter {place} --drop flagged -o clean.jsonl"),
            ("a bundle to sign and to check", f"screen export {place} --as audit --signed-by NAME -o bundle"),
            ("a check for the next version", f"screen gate {place} {quote(f'{view.leading} > 1%')}"),
            ("a second, independent detector, for this report as well", f"screen lift {place}"),
            ("whether flags are arithmetic noise", f"screen check-numerics {place}"),
        ]
    commands.append(("this page again", f"screen report {place}"))
    steps: dict[str, list[str]] = {}
    for why, line in commands:
        steps.setdefault(why, []).append(line)
    return {"steps": [{"why": why, "lines": lines} for why, lines in steps.items()]}


SECTION = Section("next", "What next?", values)
