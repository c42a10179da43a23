"""Gates for GitHub Actions: workflow commands on standard output, and the step's summary."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from screen.errors import near
from screen_reports.gates.outcome import GateOutcome
from screen_reports.gates.rows import FailingRow, FailingRows
from screen_reports.gates.terminal import place
from screen_reports.text import one_line, plural, score

ANNOTATIONS = 10  # errors that GitHub shows of one step
SUMMARY_ROWS = 50  # of a trait
SUMMARY_SIZE = 200_000  # characters, of at most four bytes: GitHub takes 1 MiB a step


def workflow_commands(outcome: GateOutcome) -> Iterator[str]:
    """A line each: the gates that fail, then rows, as many as are shown; a notice says what is left out."""
    failed = [result for result in outcome.results if result.fails]
    if not failed:
        yield _command("notice", outcome.headline, title="screen gate")
        return
    for result in failed[:ANNOTATIONS]:
        yield _command("error", result.sentence, title=f"screen gate: {result.text}")
    rows = [(found, row) for found in outcome.failing for row in found.rows]
    shown = rows[: max(ANNOTATIONS - len(failed), 0)]
    for found, row in shown:
        where = {"file": near(Path(row.file))} | ({} if row.line is None else {"line": str(row.line)})
        yield _command("error", _told(found, row), **where, title=f"screen: {found.name}, row {row.row}")
    total = sum(found.total for found in outcome.failing)
    left = max(len(failed) - ANNOTATIONS, 0), total - len(shown)
    if any(left):
        gates = f"{plural(left[0], 'gate')} and " if left[0] else ""
        message = f"{gates}{plural(left[1], 'row')} more fail: GitHub shows {ANNOTATIONS} errors of a step"
        yield _command("notice", message, title="screen gate")


def _told(found: FailingRows, row: FailingRow) -> str:
    side = f" ({row.variant})" if row.variant else ""
    text = one_line(row.text)
    return text if found.trait is None else f"{found.name} {score(row.score)}{side}: {text}"


def _command(name: str, message: str, **properties: str) -> str:
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {given}::{_data(one_line(message))}"


def _data(text: str) -> str:
    """As the runner takes a message back: the rest of the line, with these three escaped. `##[` began commands once."""
    return text.replace("##[", "##\\[").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")


def step_summary(outcome: GateOutcome) -> str:
    """Markdown with tables in HTML: in a block of HTML nothing of a text is taken for Markdown."""
    lines = [f"<h2>screen gate: {'passed' if outcome.passed else 'failed'}</h2>", f"<p>{_cell(outcome.headline)}</p>"]
    lines += ["<table>", "<tr><th></th><th>gate</th><th>measured</th></tr>"]
    for result in outcome.results:
        mark = "fails" if result.fails else "passes"
        gate, sentence = f"<code>{_cell(result.text)}</code>", _cell(result.sentence)
        lines.append(f"<tr><td>{mark}</td><td>{gate}</td><td>{sentence}</td></tr>")
    lines.append("</table>")
    for found in outcome.failing:
        table = list(_table(found))
        if sum(map(len, (*lines, *table))) > SUMMARY_SIZE:
            lines.append(f"<p>{_cell(found.name)}: {plural(found.total, 'row')}, left out for their length</p>")
        else:
            lines += table
    return "\n".join(lines) + "\n\n"


def _table(found: FailingRows) -> Iterator[str]:
    rows = found.rows[:SUMMARY_ROWS]
    first = f", the first {len(rows)}" if len(rows) < found.total else ""
    yield f"<h3>{_cell(found.name)}: {plural(found.total, 'row')}{first}</h3>"
    yield "<table>"
    yield "<tr><th>row</th><th>place</th><th>score</th><th>text</th></tr>"
    for row in rows:
        cells = [str(row.row), place(row.file, row.line), "" if row.score is None else score(row.score), row.text]
        yield "<tr>" + "".join(f"<td><code>{_cell(cell)}</code></td>" for cell in cells) + "</tr>"
    yield "</table>"


def _cell(text: str) -> str:
    return html.escape(one_line(text))
