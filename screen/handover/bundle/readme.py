"""README.txt of a bundle, for whoever opens it without this tool."""

from __future__ import annotations

from collections.abc import Sequence

from screen_reports.text import one_line, plural

from screen.handover.bundle.manifest import BundleManifest

README = "README.txt"


def text(manifest: BundleManifest, traits: Sequence[str]) -> str:
    counts = manifest.counts
    signed = f"Signed off by {one_line(manifest.signed_by)}" if manifest.signed_by else "Not signed off by anybody"
    reached = counts.get("not_reached", 0)
    lines = [
        "What was decided about a fine-tuning set, row by row",
        "",
        f"{signed}; made {manifest.made} with {manifest.tool}.",
        f"{plural(counts['rows'], 'row')} read: {counts['kept']:,} kept, {counts['dropped']:,} dropped, "
        f"{counts['skipped']:,} that could not be scored.",
        f"Dropped is: {one_line(manifest.expression)}",
        f"Scored for: {', '.join(map(one_line, traits))}",
        *([f"{plural(reached, 'row')} of these were not reached by the run, and have no score."] if reached else []),
        "",
        "kept/            the rows to train on, byte for byte as in the dataset, a file for each of its files",
        "dropped/         the rows that were left out; reasons.jsonl says why, a line a row",
        "skipped/         the rows that could not be scored, neither kept nor dropped; skipped.jsonl says why",
        "labels.jsonl     what people said of rows, where that was asked for and decided something",
        "rows.csv         every row of the dataset: its number from 0, where it is, the SHA-256 of its bytes",
        "summary.json     what the run found",
        "report.html      the same as a page to open, where it was asked for; it holds texts of the dataset",
        "manifest.json    what all of this is of, and the SHA-256 of every file here",
        "",
        "A folder or a part is not there where it would hold no row.",
        "",
        "To check it:  screen verify FOLDER                        against its own digests",
        "              screen verify FOLDER --dataset FILE         against the dataset itself",
        "              screen verify FOLDER --seal SHA256          that it is the one that was signed off",
        "The seal is the last field of manifest.json; whoever can change a file here can change that field too: note",
        "it down elsewhere. By hand: sha256sum of each file, beside what manifest.json says of it.",
    ]
    return "\n".join(lines) + "\n"
