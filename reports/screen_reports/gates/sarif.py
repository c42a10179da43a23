"""Gates as SARIF 2.1.0: a rule a trait, a result a failing row.

What code scanning shows of it: https://docs.github.com/en/code-security/code-scanning (limits on SARIF results).
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from screen import __version__
from screen.errors import near
from screen_reports.gates.outcome import GateOutcome
from screen_reports.gates.rows import SKIPPED, FailingRow, FailingRows, to_blame
from screen_reports.text import one_line, plural, score

MOST = 5000  # results that GitHub shows of one run; it refuses a file with more than 25,000
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GATE = "gate"  # the rule of a gate that fails without rows
_HELP = "Read the row in its place: `screen show RUN ROW`. A score is a reason to look, and no proof."
Json = dict[str, object]


def sarif(outcome: GateOutcome) -> Json:
    """One run. Gates that pass have no results; one that fails without rows has one result, of the rule `gate`."""
    rules = _rules(outcome)
    index = {str(rule["id"]): at for at, rule in enumerate(rules)}
    listed_traits = {found.trait for found in outcome.failing}
    bare = [r for r in outcome.results if r.fails and not to_blame(r) & listed_traits]
    results = [_result(index, _GATE, f"{r.text}: {r.sentence}", _location(_first_file(outcome), 1)) for r in bare]
    seen: Counter[str] = Counter()
    listed = [[(found, row) for row in found.rows] for found in outcome.failing]
    turns = (
        pair for pairs in zip_longest(*listed) for pair in pairs if pair is not None
    )  # no trait crowds another out
    results += [_row(index, found, row, seen) for found, row in turns]
    left = sum(found.total for found in outcome.failing) + len(bare) - len(results[:MOST])
    notes = [outcome.headline] + ([f"{plural(left, 'result')} more: viewers show {MOST:,} of a run"] if left else [])
    invocation = {
        "executionSuccessful": True,
        "exitCode": 0 if outcome.passed else 1,
        "toolExecutionNotifications": [
            {"level": "warning" if outcome.unfinished or left else "note", "message": _message(note)} for note in notes
        ],
    }
    driver = {"name": "screen", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results[:MOST]}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run | {"columnKind": "unicodeCodePoints"}]}


def _rules(outcome: GateOutcome) -> list[Json]:
    """The traits that the gates name, in their order; then skipped rows, and gates that fail without rows."""
    named = dict.fromkeys(o.figure.trait for r in outcome.results for o in r.outcomes)
    texts = {t: f"samples that are flagged for {t}" for t in named if t is not None}
    rules = [_rule(trait, f"{text}: {outcome.flags.get(trait, {}).get('rule', '')}") for trait, text in texts.items()]
    if SKIPPED not in texts:
        rules.append(_rule(SKIPPED, "rows that could not be scored"))
    return rules + ([_rule(_GATE, "gates that fail without rows to show")] if _GATE not in texts else [])


def _rule(name: str, text: str) -> Json:
    shown = one_line(text).rstrip(": ")
    return {
        "id": name,
        "shortDescription": {"text": shown[:1000]},
        "fullDescription": {"text": shown[:1000]},
        "help": {"text": _HELP},
        "defaultConfiguration": {"level": "error"},
    }


def _first_file(outcome: GateOutcome) -> str:
    return next(iter(outcome.dataset), outcome.run)


def _row(index: dict[str, int], found: FailingRows, row: FailingRow, seen: Counter[str]) -> Json:
    """With a fingerprint of the row's content, so that a row that has moved is the same result."""
    value = "" if row.score is None else f" {score(row.score)}"
    side = f" ({row.variant})" if row.variant else ""
    text = f"{found.name}{value}{side}, row {row.row}: {row.text}"
    result = _result(index, found.name, text, _location(row.file, row.line))
    if row.sha256:
        key = f"{found.name}\0{row.sha256}\0{row.variant}"
        seen[key] += 1
        sides = {"chosen": ":c", "rejected": ":r"}
        result["partialFingerprints"] = {
            "primaryLocationLineHash": f"{row.sha256}{sides.get(row.variant or '', '')}:{seen[key]}"
        }
    return result | {"properties": {"row": row.row, "id": row.id, "score": row.score}}


def _result(index: dict[str, int], rule: str, text: str, location: Json) -> Json:
    return {
        "ruleId": rule,
        "ruleIndex": index[rule],
        "level": "error",
        "message": _message(text),
        "locations": [{"physicalLocation": location}],
    }


def _location(file: str, line: int | None) -> Json:
    location: Json = {"artifactLocation": {"uri": _uri(file)}}
    return location if line is None else location | {"region": {"startLine": line}}


def _uri(file: str) -> str:
    """Relative to where the command runs, as viewers want it, where the file lies below."""
    path = Path(near(Path(file))) if os.path.isabs(file) else Path(file)
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))


def _message(text: str) -> Json:
    """Plain text: what would be a link is escaped (SARIF 2.1.0, section 3.11.6)."""
    shown = one_line(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return {"text": shown or "-"}
