"""Which rows of a run an expression matches, and why. Reads only the columns that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from screen.errors import UsageError, near
from screen.scoring.findings.flags import Flagging
from screen.select.columns import FLAGGED, columns, corrected, length_corrected, text_answers
from screen.select.expression import Both, Compare, Leaf, Limits, Node, Not, Percentile, Says, leaves
from screen.select.parser import parse
from screen.select.scores import score_column, thresholds_of
from screen.store.index import read
from screen.store.scan import Scan

Bools = npt.NDArray[np.bool_]
Held = tuple[Leaf, bool, Bools]  # a comparison, whether it stands unnegated, and the samples of which it is a reason


class FlagTest(NamedTuple):
    """A trait's threshold for samples of one sign."""

    sign: int
    compare: Compare


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples of a run that match. Arrays are in the order of `table`, one item a sample."""

    table: pa.Table
    matches: Bools
    held: list[Held]
    limits: Limits
    flags: list[FlagTest]  # what `flagged` stands for
    nulls: dict[str, int]  # column -> samples without a value
    notes: list[str]  # what the user may not have meant

    def rows(self) -> npt.NDArray[np.int64]:
        """Row numbers, ascending, each once: a pair matches when either side does."""
        return np.unique(self.table["row"].to_numpy()[self.matches])

    def reasons(self) -> Iterator[dict[str, Any]]:
        """One object a matching row: row, id, and the comparisons that held."""
        now: dict[str, Any] | None = None
        for at in np.flatnonzero(self.matches).tolist():
            row = self.table["row"][at].as_py()
            if now is None or now["row"] != row:
                if now is not None:
                    yield now
                now = {"row": row, "id": self.table["id"][at].as_py(), "reasons": []}
            for leaf, positive, where in self.held:
                now["reasons"] += self._reason(leaf, positive, at) if where[at] else []
        if now is not None:
            yield now

    def _reason(self, leaf: Leaf, positive: bool, at: int) -> Iterator[dict[str, Any]]:
        if leaf.column == FLAGGED and positive:  # told as the traits that flag it
            for test in self.flags:
                if self.table["sign"][at].as_py() == test.sign and _holds(test.compare, self.table, at):
                    yield from self._reason(test.compare, True, at)
            return
        side = self.table["variant"][at].as_py()
        yield {
            "test": str(leaf) if positive else f"not {leaf}",
            **({"value": self.table[leaf.column][at].as_py()} if not isinstance(leaf, Says) else {}),
            **({"limit": leaf.limit(self.limits)} if isinstance(leaf, Compare) else {}),
            **({"variant": side} if side else {}),
        }

    def counts(self) -> dict[str, int]:
        """Comparison -> samples of which it is a reason."""
        told: dict[str, int] = {}
        for leaf, positive, where in self.held:
            name = str(leaf) if positive else f"not {leaf}"
            told[name] = int(np.count_nonzero(where))
        return told


def select(scan: Scan, text: str, option: str = "--drop") -> Selection:
    """The samples that `text` matches. Raises UsageError for an expression that says nothing here."""
    tree = parse(text, columns(scan), option)
    parts = [leaf for leaf, _ in leaves(tree)]
    says = [leaf for leaf in parts if isinstance(leaf, Says)]
    names = [leaf.column for leaf in parts if not isinstance(leaf, Says)]
    flags = _flag_tests(thresholds_of(scan)) if FLAGGED in names else []
    table = _read(scan, names, flags)
    answers, notes = text_answers(scan, says)
    for name, column in answers.items():
        table = table.append_column(name, column)
    limits = _percentiles(scan, table, parts, option)
    nulls = {leaf.column: _empty(table[str(leaf) if isinstance(leaf, Says) else leaf.column]) for leaf in parts}
    _check_filled(scan, table, nulls, option)
    matches = _bools(tree.test(table, limits))
    held = list(_held(tree, True, matches, table, limits))
    return Selection(table, matches, held, limits, flags, {c: n for c, n in nulls.items() if n}, notes)


def select_none(scan: Scan) -> Selection:
    """No sample: where labels alone decide."""
    table = _read(scan, [], [])
    return Selection(table, np.zeros(table.num_rows, dtype=bool), [], {}, [], {}, [])


def _held(node: Node, positive: bool, where: Bools, table: pa.Table, limits: Limits) -> Iterator[Held]:
    """Each comparison with the samples in which it is a reason: it holds, and so does every part around it."""
    found = node.test(table, limits)
    where = where & _bools(found if positive else pc.invert(found))
    if isinstance(node, Not):
        yield from _held(node.inner, not positive, where, table, limits)
    elif isinstance(node, Both):
        yield from _held(node.left, positive, where, table, limits)
        yield from _held(node.right, positive, where, table, limits)
    else:
        yield node, positive, where


def _read(scan: Scan, names: list[str], flags: list[FlagTest]) -> pa.Table:
    ranked = {name: column for name in names if (column := _ranked_column(scan, name)) is not None}
    made = {name: trait for name in names if (trait := corrected(scan, name)) is not None}
    plain = [n for n in names if n != FLAGGED and n not in ranked and n not in made]
    wanted = ["row", "id", "variant", "sign", *plain, *ranked.values(), *(t.compare.column for t in flags)]
    wanted += [c for trait in made.values() for c in (score_column(scan, trait), "answer_tokens")]
    wanted = list(dict.fromkeys(wanted))
    table = read(scan.folder, wanted)
    for name, column in ranked.items():
        table = table.append_column(name, table[column])
    for name, trait in made.items():
        table = table.append_column(name, length_corrected(scan, trait, table))
    return table.append_column(FLAGGED, _flagged(table, flags)) if FLAGGED in names else table


def _ranked_column(scan: Scan, name: str) -> str | None:
    """A trait's name means the score that the run ranks by; None where that is the column of this name."""
    if name not in scan.traits or not scan.folder.baseline.subtracts:
        return None  # plain projections are no scores: that is told, not stood in for
    column = score_column(scan, name)
    return None if column == name else column


def _flag_tests(flags: Mapping[str, Flagging]) -> list[FlagTest]:
    tests = []
    for flag in flags.values():
        for limit, op, sign in ((flag["threshold"], ">", 1), (flag["threshold_away"], "<", -1)):
            if limit is not None:
                tests.append(FlagTest(sign, Compare(flag["column"], op, number=limit)))
    return tests


def _holds(test: Compare, table: pa.Table, at: int) -> bool:
    return bool(test.test(table.slice(at, 1), {})[0].as_py())


def _flagged(table: pa.Table, tests: list[FlagTest]) -> pa.ChunkedArray:
    """True where any trait flags the sample, null where it has none of the scores."""
    found, known = np.zeros(table.num_rows, dtype=bool), np.zeros(table.num_rows, dtype=bool)
    signs = table["sign"].to_numpy()
    for sign, test in tests:
        tested = test.test(table, {})
        found |= _bools(tested) & (signs == sign)
        known |= _bools(pc.is_valid(tested))
    return pa.chunked_array([pa.array(found, mask=~known)])


def _percentiles(scan: Scan, table: pa.Table, parts: list[Leaf], option: str) -> dict[tuple[str, Percentile], float]:
    made: dict[tuple[str, Percentile], float] = {}
    for leaf in parts:
        if isinstance(leaf, Compare) and leaf.percentile is not None:
            found = _of_run(table, leaf) if leaf.percentile.whose == "run" else _of_reference(scan, leaf, option)
            made[leaf.column, leaf.percentile] = found
    return made


def _of_run(table: pa.Table, leaf: Compare) -> float:
    assert leaf.percentile is not None
    values = pc.cast(table[leaf.column].drop_null(), pa.float64()).to_numpy()
    values = values[~np.isnan(values)]
    return float(np.percentile(values, leaf.percentile.number)) if len(values) else np.nan


def _of_reference(scan: Scan, leaf: Compare, option: str) -> float:
    """What `--at` would flag by. Raises UsageError where no clean data were scored for this column."""
    assert leaf.percentile is not None
    of = {name: t for t in scan.traits for name in (t, score_column(scan, t))}
    reference = scan.folder.facts.get("references", {}).get(of.get(leaf.column, ""))
    known = reference.get("quantiles", {}) if reference else {}
    if not known:
        raise UsageError(
            f"{option}: {leaf}: {near(scan.path)} has no reference for {leaf.column!a}",
            f"take the run's own, run.p{leaf.percentile.number:g}, or run it with --reference",
        )
    name = "p999" if leaf.percentile.number == 99.9 else f"p{leaf.percentile.number:g}"
    if name not in known:
        raise UsageError(f"{option}: {leaf}: the reference has no {name}", f"it has {', '.join(known)}")
    return float(known[name])


def _empty(column: pa.ChunkedArray) -> int:
    nans = int(pc.sum(pc.is_nan(column)).as_py() or 0) if pa.types.is_floating(column.type) else 0
    return int(column.null_count) + nans


def _check_filled(scan: Scan, table: pa.Table, nulls: dict[str, int], option: str) -> None:
    for name, missing in nulls.items():
        if table.num_rows and missing == table.num_rows and name in scan.traits:
            raise UsageError(
                f"{option}: no sample of {near(scan.path)} has the score {name!a}, so nothing can match it",
                f"the run has no baseline to subtract; use {name}_projection, or run again with another --baseline",
            )


def _bools(column: Any) -> Bools:
    filled = pc.fill_null(column, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled.to_numpy())
