"""Gates as one JSON document (docs/json/gate.schema.json)."""

from __future__ import annotations

from screen.select.gates.evaluate import GateResult, Outcome
from screen_reports.gates.outcome import GateOutcome
from screen_reports.gates.rows import FailingRows


def as_object(outcome: GateOutcome) -> dict[str, object]:
    return {
        "run": outcome.run,
        "finished": not outcome.unfinished,
        "rows": outcome.rows,
        "rows_total": outcome.rows_total,
        "passed": outcome.passed,
        "gates": [_gate(result) for result in outcome.results],
        "failing": [_rows(rows) for rows in outcome.failing],
        "labelled": outcome.kept,
    }


def _gate(result: GateResult) -> dict[str, object]:
    conditions = [_condition(outcome) for outcome in result.outcomes]
    return {"gate": result.text, "passed": not result.fails, "reason": result.sentence, "conditions": conditions}


def _condition(outcome: Outcome) -> dict[str, object]:
    measured = outcome.measured
    return {
        "figure": str(outcome.figure),
        "trait": outcome.figure.trait,
        "value": measured.value if measured else None,
        "low": measured.low if measured else None,
        "high": measured.high if measured else None,
        "op": outcome.op,
        "limit": outcome.limit,
        "limit_text": outcome.limit_text,
        "holds": outcome.holds,
        "reason": outcome.sentence,
    }


def _rows(rows: FailingRows) -> dict[str, object]:
    listed = [
        {
            "row": r.row,
            "id": r.id,
            "variant": r.variant,
            "file": r.file,
            "line": r.line,
            "sha256": r.sha256,
            "score": r.score,
            "text": r.text,
        }
        for r in rows.rows
    ]
    return {"trait": rows.trait, "total": rows.total, "rows": listed}
