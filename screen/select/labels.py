"""Labels of rows: keep, drop or unsure, as people say them on the command line, in a file or in a notebook."""

from __future__ import annotations

import csv
import difflib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from screen.errors import UsageError, near
from screen.foreign import JsonObject
from screen.select.named import check_rows, numbers_of_ids
from screen.store import index
from screen.store.labels.file import append
from screen.store.labels.record import WORDS, Label
from screen.store.scan import Scan

NOTE = 2000  # characters of a note
_LINE = 'a line is {"row": 17, "label": "drop", "note": ""}'
_HOW = f"a label is one of {', '.join(WORDS)}"


@dataclass(frozen=True, slots=True)
class LabelGiven:
    """A label as it was given. `row` by number, or `id` by the dataset's own id, or both; `where`, for messages."""

    row: int | None
    id: str | None
    label: str | None  # None takes an earlier one back
    note: str | None = None
    trait: str | None = None
    where: str = ""


def add(scan: Scan, given: Sequence[LabelGiven]) -> list[Label]:
    """Write labels to the run's folder, all or none, and return them as written.

    Raises UsageError, with nothing written, for a row that is not there, a word that is no label, a trait that the run
    has not, a note that is too long or no text, an id that is not the row's.
    """
    for each in given:
        _check(scan, each)
    unnumbered = [each for each in given if each.row is None]
    numbers = iter(numbers_of_ids(scan, [each.id or "" for each in unnumbered]))
    rows = [next(numbers) if each.row is None else each.row for each in given]
    check_rows(scan, rows)
    _check_ids(scan, given)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = [Label(row, g.label, g.trait, g.note, now) for row, g in zip(rows, given, strict=True)]
    if made:
        append(scan.folder, made)
    return made


def _check(scan: Scan, given: LabelGiven) -> None:
    at = f"{given.where}: " if given.where else ""
    if given.label is not None and given.label not in WORDS:
        raise UsageError(f"{at}{given.label[:60]!a} is no label", _HOW)
    if given.trait is not None and given.trait not in scan.traits:
        close = difflib.get_close_matches(given.trait, scan.traits, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        known = f"its traits are {', '.join(scan.traits)}; without a trait a label is of the whole row"
        raise UsageError(f"{at}the run has no trait {given.trait[:60]!a}", f"{meant}{known}")
    note = given.note or ""
    if len(note) > NOTE:
        raise UsageError(f"{at}the note has {len(note):,} characters", f"a note has at most {NOTE:,}")
    if "\0" in note or any("\ud800" <= c <= "\udfff" for c in note):
        raise UsageError(f"{at}the note is no text: it holds a NUL or what is not UTF-8", "write it again")


def _check_ids(scan: Scan, given: Sequence[LabelGiven]) -> None:
    """A row that is named by number and id at once is of this dataset."""
    both = {each.row: each for each in given if each.row is not None and each.id is not None}
    if not both:
        return
    table = index.read(scan.folder, ["row", "id"])
    for row, own in zip(table["row"].to_pylist(), table["id"].to_pylist(), strict=True):
        each = both.get(row)
        if each is not None and own is not None and own != each.id:
            raise UsageError(
                f"{each.where}: row {row} has the id {own[:60]!a}, not {(each.id or '')[:60]!a}",
                f"these labels are of another dataset than {near(scan.path)}, or of another version of it",
            )


def from_file(path: str, trait: str | None = None) -> tuple[list[LabelGiven], int]:
    """The labels of a file, and how many of its rows have none yet. JSON lines, or CSV with a header.

    Each has `label` and `row` or `id`; `note` and `trait` where there are. Anything else is left alone: it is what
    `sample` writes for the reader. `trait`: for those that name none. Raises UsageError with the line.
    """
    name = "standard input" if path == "-" else path
    entries = _csv(name, _read(path)) if path.lower().endswith(".csv") else _json_lines(name, _read(path))
    made, empty = [], 0
    for where, entry in entries:
        given = _given(where, entry, trait)
        if given is None:
            empty += 1
        else:
            made.append(given)
    if not made and not empty:
        raise UsageError(f"{name} holds no rows", _LINE)
    return made, empty


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "name a file of labels") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start:,})", "save it as UTF-8") from error


def _json_lines(path: str, text: str) -> Iterator[tuple[str, JsonObject]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UsageError(f"{path}:{number}: no JSON object", _LINE)
        yield f"{path}:{number}", value


def _csv(path: str, text: str) -> Iterator[tuple[str, JsonObject]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        names = set(reader.fieldnames or ())
        if "label" not in names or not names & {"row", "id"}:
            raise UsageError(f"{path} has no header with label and row (or id)", "begin it with: row,label,note")
        for entry in reader:
            values: dict[str, object] = {"label": "", **{key: value for key, value in entry.items() if value}}
            note, row = entry.get("note") or "", entry.get("row") or ""
            if note[:2] in ("'=", "'+", "'-", "'@"):  # as `write_csv_table` gives it to spreadsheets
                values["note"] = note[1:]
            if row.isdecimal() and len(row) < 20:
                values["row"] = int(row)
            yield f"{path}:{reader.line_num}", values
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: {error}", "a CSV file has a header: row,label,note") from error


def _given(where: str, entry: JsonObject, trait: str | None) -> LabelGiven | None:
    if "label" not in entry:
        raise UsageError(f"{where}: no `label`", f"{_LINE}; an empty label is one that is still to come")
    texts = {}
    for key in ("label", "note", "trait", "id"):
        value = entry.get(key)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{where}: {key} is no text", f"{_HOW}; a note, a trait and an id are texts too")
        texts[key] = value or None
    row = entry.get("row")
    if row is not None and (isinstance(row, bool) or not isinstance(row, int)):
        raise UsageError(f"{where}: row {str(row)[:60]!a} is no number", "give the row's number, or its id as `id`")
    if row is None and texts["id"] is None:
        raise UsageError(f"{where}: neither row nor id", _LINE)
    label = (texts["label"] or "").strip().lower()
    if not label:
        return None
    return LabelGiven(row, texts["id"], label, texts["note"], texts["trait"] or trait, where)


def named(text: str, by_id: bool, label: str | None, note: str | None, trait: str | None) -> LabelGiven:
    """A row as the command line names it: by number where it is all digits, unless `by_id`."""
    number = int(text) if text.isdecimal() and len(text) < 20 and not by_id else None
    return LabelGiven(number, None if number is not None else text, label, note, trait)


def counts(scan: Scan) -> dict[str, int]:
    """Rows by what becomes of them: keep, drop, unsure."""
    record = scan.labels
    words = [record.verdict(row) for row in record.current]
    return {word: words.count(word) for word in WORDS}
