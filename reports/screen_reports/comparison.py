"""Two runs beside each other, on one screen: what is compared, rows, a line a trait, the biggest movers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from screen.analysis.compare.facts import Fact
from screen.analysis.compare.means import Estimate
from screen.analysis.compare.traits import MovedSample, TraitComparison
from screen.analysis.compare.two_runs import ComparedRun, RunComparison
from screen.store.scan import Scan
from screen_reports import queries
from screen_reports.console import Head, Terminal
from screen_reports.ranking import percentile, quoted_excerpt
from screen_reports.text import count, digits, one_line, plural, score, share

_SHOWN = 4  # settings that are named
_LABELS = {"thresholds": "cut"}  # what fits beside the others


def print_comparison(terminal: Terminal, found: RunComparison, second: Scan) -> None:
    """`second`: the second run, whose answers are quoted."""
    for run in (found.a, found.b):
        if run.unfinished:
            terminal.put(f"note: {run.unfinished}; what it holds is compared")
    for name, run in (("A", found.a), ("B", found.b)):
        terminal.fact(name, _run(run))
    for fact in found.facts:
        terminal.fact(_LABELS.get(fact.subject, fact.subject), _fact(fact))
    terminal.fact("rows", _rows(found))
    terminal.put()
    if found.equal:
        terminal.put(found.sentence, style="bold")
        return
    for line in _units(found):
        terminal.put(line)
        terminal.put()
    _table(terminal, found.traits)
    for trait in found.traits:
        for line in _sentences(trait):
            terminal.put(line)
    for trait in found.traits:
        _crossed(terminal, trait, second)


def _run(run: ComparedRun) -> str:
    return f"{run.path}: {plural(run.rows, 'row')}, {count(run.scored)} scored, {count(run.skipped)} skipped"


def _fact(fact: Fact) -> str:
    if fact.same:
        return "the same"
    if not fact.differences:
        return f"not the same: {fact.a} | {fact.b}"
    more = len(fact.differences) - _SHOWN
    return "; ".join(fact.differences[:_SHOWN]) + (f"; and {more} more: --json" if more > 0 else "")


def _rows(found: RunComparison) -> str:
    rows = found.rows
    parts = [f"{count(rows.same)} the same" + (f" ({count(rows.moved)} at another place)" if rows.moved else "")]
    parts += [f"{count(rows.changed)} changed", f"{count(rows.gone)} gone", f"{count(rows.new)} new"]
    if rows.skipped_in_one:
        parts.append(f"{count(rows.skipped_in_one)} of the same scored in one run and skipped in the other")
    return ", ".join(parts)


def _units(found: RunComparison) -> list[str]:
    """Where scores cannot be subtracted, what is compared in their place."""
    others = [t.trait for t in found.traits if not t.same_units]
    if not others:
        return []
    which = "scores" if len(others) == len(found.traits) else f"scores of {', '.join(others)}"
    return [
        f"the units of {which} are not the same (another model, vector, layer or kind of baseline): no score is"
        " subtracted; places within each run, ranks and flags are compared"
    ]


def _table(terminal: Terminal, traits: Sequence[TraitComparison]) -> None:
    """A line a trait: both means, their difference, flags on either side."""
    names = ("mean A", "mean B", "B - A", "95 %", "flagged A", "flagged B", "over", "under")
    heads: list[Head] = [("trait", "left"), *((name, "right") for name in names)]
    shown = [e.value for t in traits for e in (t.a.mean, t.b.mean, t.difference)]
    decimals = digits(shown)
    rows = [
        [
            terminal.cut(t.trait, 20),
            score(t.a.mean.value, decimals),
            score(t.b.mean.value, decimals),
            score(t.difference.value, decimals),
            _ends(t.difference, decimals),
            count(t.a.flagged),
            count(t.b.flagged),
            count(t.over.count),
            count(t.under.count),
        ]
        for t in traits
    ]
    terminal.table(heads, rows)
    terminal.put()
    terminal.put("over, under: rows of both runs that are flagged in B alone, in A alone")


def _ends(value: Estimate, decimals: int) -> str:
    if value.low is None or value.high is None:
        return "-"
    return f"{score(value.low, decimals)} to {score(value.high, decimals)}"


def _sentences(trait: TraitComparison) -> list[str]:
    lines = []
    if trait.matched_samples:
        n = plural(trait.matched_samples, "sample")
        if trait.largest == 0.0:
            lines.append(f"{trait.trait}: the {n} that both have, unchanged, have the same scores")
        elif trait.same_units:
            decimals = digits([trait.matched.value, trait.largest])
            text = f"{trait.trait}: over the {n} that both have, unchanged, B - A is"
            lines.append(
                f"{text} {score(trait.matched.value, decimals)} ({_ends(trait.matched, decimals)}),"
                f" {trait.largest:.2g} at most"
            )
        if trait.spearman is not None and not (trait.same_units and trait.spearman > 0.9999):
            lines.append(f"{trait.trait}: ranks of the {n} that both have agree by {trait.spearman:.3f} (Spearman)")
    for what, part in (("new", trait.new), ("gone", trait.gone)):
        if part.of:
            low, high = f"{100 * part.low:.1f}", f"{100 * part.high:.1f}"
            lines.append(
                f"{trait.trait}: {count(part.flagged)} of {plural(part.of, f'{what} sample')} flagged"
                f" ({share(part.flagged, part.of)}, {low}-{high})"
            )
    return lines


def _crossed(terminal: Terminal, trait: TraitComparison, second: Scan) -> None:
    """The rows that crossed the cut, and the flagged new ones, each quoted from the second run."""
    wanted = [row.b_row for part in (trait.over, trait.under) for row in part.rows]
    excerpts = queries.windows(second, trait.trait, wanted + [row.row for row in trait.new_rows])
    none = queries.Excerpt("", False)
    for words, part in (("over the cut in B", trait.over), ("under the cut in B", trait.under)):
        if part.rows:
            more = f" of {count(part.count)}" if part.count > len(part.rows) else ""
            title = f"{trait.trait}, {words}: the {len(part.rows)}{more} that moved most"
            cells = [
                [*_moved(r, trait.same_units), quoted_excerpt(terminal, excerpts.get((r.b_row, r.variant), none))]
                for r in part.rows
            ]
            heads: list[Head] = [("row", "left"), ("A", "right"), ("B", "right"), ("answer", "fill")]
            _block(terminal, title, heads, cells)
    if trait.new_rows:
        cells = [
            [
                _named(str(r.row), r.id, r.variant),
                score(r.score),
                percentile(r.percentile / 100),
                quoted_excerpt(terminal, excerpts.get((r.row, r.variant), none)),
            ]
            for r in trait.new_rows
        ]
        _block(
            terminal,
            f"{trait.trait}, new rows that are flagged: the {len(trait.new_rows)} highest",
            [("row", "left"), ("score", "right"), ("in run", "right"), ("answer", "fill")],
            cells,
        )


def _block(terminal: Terminal, title: str, heads: Sequence[Head], cells: Sequence[Sequence[str | Text]]) -> None:
    terminal.put()
    terminal.put(title, style="bold")
    terminal.table(heads, cells)


def _moved(row: MovedSample, same_units: bool) -> list[str]:
    places = str(row.a_row) if row.a_row == row.b_row else f"{row.a_row}->{row.b_row}"
    changed = " changed" if row.content == "changed" else ""
    if same_units:
        decimals = digits([row.a, row.b])
        values = [score(row.a, decimals), score(row.b, decimals)]
    else:
        values = [percentile(row.a_percentile / 100), percentile(row.b_percentile / 100)]
    return [f"{_named(places, row.id, row.variant)}{changed}", *values]


def _named(place: str, name: str | None, variant: str | None) -> str:
    """A row by number, id and side; an id of any length in a little room."""
    short = "" if name is None else one_line(name)
    short = f" {short[:16]}" if short else ""
    return f"{place}{short}" + (f", {variant}" if variant else "")
