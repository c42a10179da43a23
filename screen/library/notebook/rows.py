"""The rows of a run by score, as a notebook looks at them: a sequence of records, an HTML table, or a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from screen_reports import queries, ranking
from screen_reports.queries import Ranked

from screen.errors import UsageError, near
from screen.scoring.findings.flags import Threshold
from screen.select.scores import score_column, threshold_away_of, threshold_of
from screen.store.scan import Scan

if TYPE_CHECKING:
    import polars as pl

    from screen.analysis.curve import Refused


@dataclass(frozen=True, repr=False)
class Rows(Sequence[Ranked]):
    """Samples in the order of a column of `samples`.

    column     what they are ordered by
    threshold  above which one is flagged; None for what is no trait's own score
    away       below which one that is trained away from is flagged instead
    """

    rows: tuple[Ranked, ...]
    column: str
    threshold: Threshold | None = None
    away: float | None = None

    @overload
    def __getitem__(self, at: int) -> Ranked: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Ranked | Rows:
        if isinstance(at, slice):
            return Rows(self.rows[at], self.column, self.threshold, self.away)
        return self.rows[at]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Ranked]:
        return iter(self.rows)

    def frame(self) -> pl.DataFrame:
        """row, id, variant, sign, the score, percentile in the run, flagged, base_refused, answer_tokens, excerpt."""
        import polars as pl

        texts = {"id": pl.String, "variant": pl.String}
        return pl.DataFrame(
            ranking.as_objects(self.rows, self.column), schema_overrides=texts, infer_schema_length=None
        )

    def __repr__(self) -> str:
        first = self.rows[:5]
        shown = (f"{r.row}: {r.score:.4g}" if isinstance(r.score, float) else str(r.row) for r in first)
        return f"Rows({len(self)} by {self.column}: {', '.join(shown)}{', ...' if len(self) > len(first) else ''})"

    def _repr_html_(self) -> str:
        from screen.library.notebook.html import rows_html

        return rows_html(self)


def ranked(
    scan: Scan, by: str | None, count: int, *, ascending: bool = False, flagged: bool = False, at: str | None = None,
    refused: Refused | None = None,
) -> Rows:  # fmt: skip
    """The `count` samples of a run with the highest (lowest) value of a trait's score or of another column; `refused`:
    only those whose prompt the base model refused, or without them.

    Raises UsageError for a column that is not there, and where `flagged` has no threshold to go by.
    """
    if not scan.traits:
        raise UsageError(f"{near(scan.path)} has no traits to rank by", "run it with --vectors")
    wanted = by or scan.traits[0]
    column, trait = score_column(scan, wanted), wanted if wanted in scan.traits else None
    limit = threshold_of(scan, trait, at) if trait else None
    if flagged and (limit is None or limit.value is None):
        why = limit.rule if limit else "only a trait's own score has one"
        raise UsageError(f"--flagged: there is no threshold for {column} ({why})", "leave --flagged out")
    away = threshold_away_of(scan, trait, at) if trait else None
    value = limit.value if limit else None
    found = queries.top_rows(
        scan, column, trait, count, limit=value, away=away, ascending=ascending, only_flagged=flagged, refused=refused
    )
    return Rows(tuple(found), column, limit, away)
