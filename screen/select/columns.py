"""What an expression can name: the columns of the view `samples`, `flagged` and `label`. Texts are compared shard by
shard, and not kept."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from screen.select.expression import Says
from screen.select.scores import sample_types, score_column
from screen.store.folder import read_published
from screen.store.scan import Scan

FLAGGED = "flagged"
LABEL = "label"
NO_LABEL = "none"  # a value, not a null, so that `not label = 'keep'` means what it says
_CORRECTED = "_corrected"
_JOINED = {"prompt": "prompt", "answer": "text", "base_answer": "base_answer"}  # in samples: in turns
_VALUES = 1000  # different values of a column that are remembered for "did you mean"


def columns(scan: Scan) -> dict[str, pa.DataType]:
    """Traits first, then `flagged`, and `label` (what becomes of the row), unless a trait is called so."""
    return {**sample_types(scan), FLAGGED: pa.bool_(), **({} if LABEL in sample_types(scan) else {LABEL: pa.string()})}


def corrected(scan: Scan, name: str) -> str | None:
    """The trait of a `_corrected` column; None for any other."""
    trait = name.removesuffix(_CORRECTED)
    return trait if trait != name and trait in scan.traits else None


def length_corrected(scan: Scan, trait: str, table: pa.Table) -> pa.ChunkedArray:
    """(n,) float32: the score less what length explains of it, as in `samples`; null in a run that is not finished."""
    flag = scan.flags.get(trait, {})
    slope, mean = flag.get("length_slope"), flag.get("length_mean")
    if slope is None or mean is None:
        return pa.chunked_array([pa.nulls(table.num_rows, pa.float32())])
    tokens = pc.ln(pc.max_element_wise(table["answer_tokens"].cast(pa.float64()), 1.0))
    scores = table[score_column(scan, trait)].cast(pa.float64())
    return pc.subtract(scores, pc.multiply(pc.subtract(tokens, mean), slope)).cast(pa.float32())


def text_answers(scan: Scan, tests: Sequence[Says]) -> tuple[dict[str, pa.ChunkedArray], list[str]]:
    """Comparison -> (samples,) bool in the order of `scores`; and a note for each value that no sample has."""
    answers: dict[str, list[pa.Array]] = {str(test): [] for test in tests}
    absent = {test: set[str]() for test in tests if test.op != "contains"}  # the values it was compared with
    for shard in _shards(scan, sorted({test.column for test in tests})):
        for test in dict.fromkeys(tests):
            values = shard[test.column]
            answers[str(test)] += test.of(values).chunks
            if test in absent and pc.any(pc.equal(values, test.text)).as_py():
                del absent[test]
            elif test in absent and len(absent[test]) < _VALUES:
                absent[test].update(pc.unique(values).drop_null().to_pylist())
    whole = {name: pa.chunked_array(parts, pa.bool_()) for name, parts in answers.items()}
    return whole, [_absent(test, known) for test, known in absent.items()]


def _absent(test: Says, known: set[str]) -> str:
    close = difflib.get_close_matches(test.text, [v[:200] for v in known], 1) if len(known) < _VALUES else []
    few = ", ".join(f"'{v[:60]}'" for v in sorted(known)) if len(known) <= 5 else ""
    meant = f"; did you mean '{close[0]}'?" if close else f"; it is one of {few}" if few else ""
    return f"{test}: no sample has this {test.column}{meant}"


def _shards(scan: Scan, names: Sequence[str]) -> Iterator[dict[str, pa.ChunkedArray]]:
    """Column -> (samples,) strings, a shard at a time."""
    labels = scan.labels if LABEL in names else None
    plain = [n for n in names if n not in _JOINED and n != LABEL]
    joined = [n for n in names if n in _JOINED]
    for entry in sorted(scan.folder.published.values(), key=lambda e: e.first_row):
        if "scores" not in entry.files:
            continue
        table = read_published(scan.folder.whole(entry.files["scores"]), columns=list({"row", "variant", *plain}))
        found = {n: table[n] for n in plain}
        if labels is not None:
            said = [labels.verdict(row) or NO_LABEL for row in table["row"].to_pylist()]
            found[LABEL] = pa.chunked_array([pa.array(said, pa.string())])
        if joined:
            turns = read_published(
                scan.folder.whole(entry.files["turns"]), columns=["row", "variant", "turn", *map(_JOINED.get, joined)]
            )
            found |= {n: pa.chunked_array([t]) for n, t in _join(table, turns, joined).items()}
        yield found


def _join(samples: pa.Table, turns: pa.Table, names: Sequence[str]) -> dict[str, pa.Array]:
    """As `samples` has it: the first scored turn's prompt, and answers laid end to end with an empty line between."""
    by_sample: dict[tuple[int, str | None], list[dict[str, Any]]] = {}
    for turn in turns.to_pylist():
        by_sample.setdefault((turn["row"], turn["variant"]), []).append(turn)
    keys = zip(samples["row"].to_pylist(), samples["variant"].to_pylist(), strict=True)
    own = [sorted(by_sample.get(key, ()), key=lambda turn: turn["turn"]) for key in keys]
    made = {}
    for name in names:
        texts = [[t[_JOINED[name]] for t in turns if t[_JOINED[name]] is not None] for turns in own]
        cut = [t[:1] for t in texts] if name == "prompt" else texts
        made[name] = pa.array(["\n\n".join(t) if t else None for t in cut], pa.string())
    return made
