"""The SQL texts of a run's views: scores, turns, controls, skipped, samples, flagged. Knows nothing of connections.

The texts read the same in DuckDB 1.0 and later, since the catalogue carries them to other tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from screen.errors import StoreError
from screen.scoring.findings.flags import Flagging
from screen.store import tables

NAMES = (*tables.NAMES, "samples", "flagged")
_TYPES = {
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int8(): "TINYINT",
    pa.float32(): "FLOAT",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
}

# Most samples have one scored turn: joining those as they are keeps their text out of memory (a million rows in
# 210 MB; grouping them all needs more than 2 GB). Only the others are grouped.
_SAMPLES = """
SELECT s.*, t.prompt, t.text AS answer, t.base_answer
FROM scores s
LEFT JOIN turns t ON s."row" = t."row" AND s.variant IS NOT DISTINCT FROM t.variant
WHERE s.turns_scored = 1
UNION ALL
SELECT s.*, t.prompt, t.answer, t.base_answer
FROM scores s
LEFT JOIN (
    SELECT "row", variant,
        arg_min(prompt, turn) AS prompt,
        string_agg("text", chr(10) || chr(10) ORDER BY turn) AS answer,
        string_agg(base_answer, chr(10) || chr(10) ORDER BY turn) AS base_answer
    FROM turns
    WHERE "row" IN (SELECT "row" FROM scores WHERE turns_scored IS DISTINCT FROM 1)
    GROUP BY "row", variant
) t ON s."row" = t."row" AND s.variant IS NOT DISTINCT FROM t.variant
WHERE s.turns_scored IS DISTINCT FROM 1
"""


def _type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type, as read_parquet gives it."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f"{quoted(f.name)} {_type(f.type)}" for f in kind) + ")"
    return _TYPES[kind]


def quoted(name: str) -> str:
    """An identifier, whatever a trait is called."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def samples(flags: Mapping[str, Flagging], traits: Sequence[str]) -> str:
    """Scores with text: the first scored turn's prompt, and answers laid end to end with an empty line between; and for
    each trait its score less what length explains of it (null in a run that has not finished)."""
    corrected = []
    for trait in traits:
        flag = flags.get(trait, {})
        slope, mean = flag.get("length_slope"), flag.get("length_mean")
        value = "CAST(NULL AS FLOAT)"
        if slope is not None and mean is not None:
            length = f"(ln(greatest(answer_tokens, 1)) - CAST({float(mean)!r} AS DOUBLE))"
            value = f"CAST({quoted(flag.get('column', trait))} - CAST({float(slope)!r} AS DOUBLE) * {length} AS FLOAT)"
        corrected.append(f"{value} AS {quoted(trait + '_corrected')}")
    whole = f"(SELECT *, {', '.join(corrected)} FROM scores)" if corrected else "scores"
    return _SAMPLES.replace("FROM scores s", f"FROM {whole} s")


def table(name: str, files: Sequence[Path], traits: Sequence[str]) -> str:
    """A SELECT over a table's published files, or the empty table of the same columns."""
    schema = tables.pinned(name, traits)
    if not files:
        nulls = ", ".join(f"CAST(NULL AS {_type(f.type)}) AS {quoted(f.name)}" for f in schema)
        return f"SELECT {nulls} WHERE false"
    columns = ", ".join(quoted(n) for n in schema.names)
    listed = ", ".join(literal(str(path)) for path in files)
    return f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false, union_by_name = false)"


def flagged(flags: Mapping[str, Flagging], traits: Sequence[str]) -> str:
    """Rows of scores above a threshold, and which: `flags` is trait -> {"threshold": float or None}.

    A row that is trained away from (sign -1) is flagged below `threshold_away`, and never where there is none.
    `column` in a trait's entry names the score column to compare, where it is not the difference.
    """
    columns = set(tables.pinned("scores", traits).names)
    tests = []
    for trait, flag in flags.items():
        column = flag.get("column", trait)
        if trait not in traits or column not in columns:
            raise StoreError(
                f"there is no column {column!a} to flag {trait!a} by",
                f"flag one of the run's traits: {', '.join(ascii(t) for t in traits)}",
            )
        limits = ((flag.get("threshold"), "> 0 AND {} >"), (flag.get("threshold_away"), "< 0 AND {} <"))
        for limit, sign in limits:
            if limit is not None:
                over = f"sign {sign.format(quoted(column))} CAST({float(limit)!r} AS DOUBLE)"
                tests.append(f"CASE WHEN {over} THEN [{literal(trait)}] ELSE CAST([] AS VARCHAR[]) END")
    listed = " || ".join(tests) if tests else "CAST([] AS VARCHAR[])"
    return f"SELECT * FROM (SELECT *, {listed} AS flags FROM scores) WHERE len(flags) > 0"


def statements(
    files: Mapping[str, Sequence[Path]], traits: Sequence[str], flags: Mapping[str, Flagging]
) -> dict[str, str]:
    """Every view's SELECT, in the order in which they build on each other."""
    base = {name: table(name, files[name], traits) for name in tables.NAMES}
    return {**base, "samples": samples(flags, traits), "flagged": flagged(flags, traits)}
