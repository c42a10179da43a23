"""Gates as JUnit XML: a test case a gate."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from screen.errors import near
from screen_reports.gates.outcome import GateOutcome
from screen_reports.gates.rows import to_blame
from screen_reports.gates.terminal import place
from screen_reports.text import one_line, plural, score, visible

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def junit(outcome: GateOutcome) -> str:
    """The document, in ASCII. A gate that cannot be told is a failure as well, of the type "cannot tell"."""
    fails = str(sum(result.fails for result in outcome.results))
    counts = {"tests": str(len(outcome.results)), "failures": fails, "errors": "0"}
    root = ET.Element("testsuites", {"name": "screen gate", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": _text(outcome.run), **counts, "skipped": "0"})
    for result in outcome.results:
        named = {"classname": f"screen gate {_text(outcome.run)}", "name": _text(result.text)}
        case = ET.SubElement(suite, "testcase", named)
        if result.fails:
            kind = "cannot tell" if any(o.holds is None for o in result.outcomes) else "gate"
            failure = ET.SubElement(case, "failure", {"type": kind, "message": _text(result.sentence)})
            failure.text = "\n".join([_text(outcome.headline), *_rows(outcome, to_blame(result))])
        else:
            ET.SubElement(case, "system-out").text = _text(result.sentence)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body.decode()}\n'


def _rows(outcome: GateOutcome, traits: set[str | None]) -> list[str]:
    lines = []
    for found in outcome.failing:
        if found.trait not in traits:
            continue
        lines.append(f"{_text(found.name)}: {plural(found.total, 'row')}")
        for row in found.rows:
            value = "" if row.score is None else f" {score(row.score)}"
            lines.append(_text(f"row {row.row} {place(near(Path(row.file)), row.line)}{value}: {row.text}"))
    return lines


def _text(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", visible(one_line(text)))
