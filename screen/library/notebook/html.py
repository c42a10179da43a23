"""What a notebook shows of a run and of its rows: small tables of HTML, and drawings. All text is escaped, and
characters that do not show as themselves are written out; nothing is fetched from anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from screen_reports.drawings import of_run
from screen_reports.ranking import percentile
from screen_reports.text import count, digits, one_line, plural, score, share

from screen.analysis.curve import curve
from screen.select.scores import score_column, score_values

if TYPE_CHECKING:
    from screen_reports.queries import Ranked

    from screen.library.notebook.rows import Rows
    from screen.library.run import Run
    from screen.library.summary import TraitSummary
    from screen.store.scan import Scan

_DRAWN = 12  # traits that are drawn
_EXCERPT = 120  # characters of an answer
_RIGHT, _LEFT = ' style="text-align:right"', ' style="text-align:left"'


def run_html(run: Run, scan: Scan) -> str:
    """The run's counts, a line a trait, the verdicts, and drawings of each trait, folded. Of one that is not finished,
    how far it is."""
    if not run.finished:
        state = run.status()
        return _paragraph(f"{run.path}: not finished, {plural(state.rows, 'row')} so far")
    summary = run.summary
    decimals = digits(t.max for t in summary.traits.values())
    heads = ["trait", "layer", "scored", "flagged", "share", "mean", "p95", "max", "threshold"]
    lines = [_trait(name, trait, decimals) for name, trait in summary.traits.items()]
    counts = f"{plural(summary.rows, 'row')}: {count(summary.scored)} scored, {count(summary.skipped)} skipped"
    verdicts = (_paragraph(f"{name}: {trait.verdict.sentence}") for name, trait in summary.traits.items())
    tables = _paragraph(f"{run.path.name}, {counts}") + table(heads, lines, left=1) + "".join(verdicts)
    return tables + "".join(_drawings(scan))


def _drawings(scan: Scan) -> Iterator[str]:
    """A folded part a trait, for the first of them, and one for how they go together."""
    for trait in scan.traits[:_DRAWN]:
        stats, reference = scan.summary["traits"][trait], scan.folder.facts["references"].get(trait)
        if not stats["n"]:
            continue
        values = score_values(scan, score_column(scan, trait))
        scores = of_run.scores_of(trait, values, stats["threshold"], reference)
        parts = (scores, of_run.groups_of(trait, stats["dataset"], reference), of_run.curve_of(curve(scan, trait)))
        yield _folded(f"drawings of {trait}", parts)
    if matrix := of_run.correlations_of(scan.summary.get("correlations", {}), scan.traits):
        yield _folded("traits beside each other", [matrix])
    if len(scan.traits) > _DRAWN:
        yield _paragraph(f"not drawn: {plural(len(scan.traits) - _DRAWN, 'more trait')}")


def _folded(title: str, drawings: Iterable[str | None]) -> str:
    return f"<details><summary>{escaped(title)}</summary>{''.join(filter(None, drawings))}</details>"


def _trait(name: str, trait: TraitSummary, decimals: int) -> list[str]:
    flagged = share(trait.flagged, trait.judged) if trait.threshold is not None else "-"
    figures = [score(x, decimals) for x in (trait.mean, trait.p95, trait.max, trait.threshold)]
    return [name, str(trait.layer), count(trait.n), count(trait.flagged), flagged, *figures]


def rows_html(rows: Rows) -> str:
    """Row, id, score, place in the run and the answer from its highest window on; a flagged score has a star."""
    if not rows:
        return _paragraph("no rows")
    decimals = digits(row.score for row in rows if isinstance(row.score, float))
    heads = ["row", "id", rows.column, "in run", "tokens", "answer, from its highest window on"]
    return table(heads, [_row(row, decimals) for row in rows], left=0, last_left=True)


def _row(row: Ranked, decimals: int) -> list[str]:
    shown = score(row.score, decimals) if isinstance(row.score, float) else str(row.score)
    text = one_line(row.excerpt.text)
    cut = text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")
    tokens = "-" if row.answer_tokens is None else count(row.answer_tokens)
    name = f"{row.row} {row.variant}" if row.variant else str(row.row)
    mark = " *" if row.flagged else ""
    return [name, row.id or "", shown + mark, percentile(row.place), tokens, ("…" if row.excerpt.inner else "") + cut]


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], left: int, last_left: bool = False) -> str:
    """`left`: how many columns, from the first, stand to the left; numbers stand to the right."""
    sides = [_LEFT if at < left or (last_left and at == len(heads) - 1) else _RIGHT for at in range(len(heads))]

    def line(cells: Sequence[str], kind: str) -> str:
        inside = (f"<{kind}{side}>{escaped(cell)}</{kind}>" for cell, side in zip(cells, sides, strict=True))
        return f"<tr>{''.join(inside)}</tr>"

    body = "".join(line(cells, "td") for cells in lines)
    return f"<table><thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table>"


def escaped(text: str) -> str:
    """Text from the data as text: no markup, and no character that hides or turns the order of others."""
    return html.escape(one_line(text))


def _paragraph(text: str) -> str:
    return f"<p>{escaped(text)}</p>"
