"""docs/columns.md, made from the schema: `python -m screen.scoring.columns > docs/columns.md`."""

from __future__ import annotations

from collections.abc import Iterable

from screen.scoring import schema

_HEAD = """# The columns of a run

Made from `screen/scoring/schema.py`; names, types and meanings are part of the contract (format {format}).
A trait called `evil` stands for every trait of the run. Scores are null, never 0, where there is nothing to
compute them from. All scores of a trait are in the units of that model, layer and vector: compare rows within a
run, never raw values across models.

`screen sql` has six views: `scores`, `turns`, `controls` and `skipped` are these tables; `samples` is `scores` with
the text (`prompt`, `answer`, `base_answer`) of the scored turns and, for each trait, `evil_corrected`: the run's score
less what the answer's length explains of it; `flagged` is the rows of `scores` above a trait's threshold, with the
traits in `flags`. A row with `sign` -1 is trained away from, so that a high score there takes the trait away: it is
flagged only below the mirrored threshold, and never where the run's summary has none (`threshold_away`).
"""


def markdown() -> str:
    tables = [
        ("scores", "one row per sample: per input row, or per side of a preference pair", schema.SCORES, "score"),
        ("turns", "one row per scored turn; per window for documents", schema.TURNS, "turn"),
        ("controls", "one row per sample and screened layer", schema.CONTROLS, ""),
        ("skipped", "one row per input row that could not be scored", schema.SKIPPED, ""),
    ]
    parts = [_HEAD.format(format=schema.FORMAT)]
    for name, what, columns, kind in tables:
        more = {"score": schema.score_columns, "turn": schema.turn_columns}.get(kind)
        parts.append(f"## `{name}`: {what}\n\n{_table([*columns, *(more('evil') if more else [])])}\n")
    return "\n".join(parts)


def _table(columns: Iterable[schema.Column]) -> str:
    rows = [f"| `{c.name}` | {c.type} | {c.meaning} |" for c in columns]
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown(), end="")
