"""A dataset: its files as one numbered sequence of rows, and the shape they share.

dataset = open_dataset(["train.jsonl"])
for window in dataset.windows(512, skip=done):
    for entry in window.entries: ...        # RawRow or Skip, one a row
        dataset.samples(entry)              # samples, or the Skip that the row becomes
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from screen.data.detect import Shape, build_of, detect
from screen.data.files import FileIdentity, Fingerprint, InputFile, find_files
from screen.data.readers.kinds import count_rows, reader_of
from screen.data.readers.rows import BadRow
from screen.data.records.mapping import renamed, taken
from screen.data.records.reading import IDS, RENDERS, TRAIN_ON, How, said, shown
from screen.data.sample import RawRow, Sample, Skip
from screen.data.shapes.forms import CHATS, MIXED
from screen.data.trainers.config import StatedConfig, read_config
from screen.errors import InputError, UsageError

_ELSEWHERE = (
    "scores of plain texts lie elsewhere than those of chats, which a card's reference is of: build a --reference from"
    " a run of clean rows with --render plain"
)
_RENDERED = 32  # rows that tell how texts are rendered
_AS_TRL = "lays them end to end, as TRL does with texts"
MAX_ROW_MIB = 8  # of text, unless a run is told otherwise
LOOKED_AT = 100  # readable rows that decide the shape
LOOKED_AT_OTHERS = 10  # of every further file
LOOKED_AT_MOST = 1000  # rows, readable or not, that are searched for them


class Window(NamedTuple):
    """Rows [first_row, end_row) of the dataset: window k holds rows [k*rows, (k+1)*rows) within the limit."""

    number: int
    first_row: int
    end_row: int
    entries: list[RawRow | Skip]


@dataclass(frozen=True)
class Dataset:
    """Open files with one shape. Made by `open_dataset`; holds no file open."""

    files: tuple[InputFile, ...]
    shape: Shape
    limit: tuple[int, int | None]
    how: How
    format: str | None = None
    ignored: frozenset[str] = frozenset()  # fields that the user's configuration does not read
    max_row_mib: int = MAX_ROW_MIB  # of text that one row may have
    notes: tuple[str, ...] = ()  # what to know of how the rows are read, and what of a configuration is not followed

    def entries(self, wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
        """One item a row of the whole dataset, limit or not; None where `wanted(row)` is false."""
        return entries_of(self.files, wanted)

    def count(self) -> int | None:
        """Rows within the limit. Reads every file once: damage that would lose rows is found here."""
        first, end = self.limit
        total = self._total
        return max(0, (total if end is None else min(end, total)) - first)

    @cached_property
    def _total(self) -> int:
        return sum(map(count_rows, self.files))

    def windows(self, rows: int, skip: Container[int] = ()) -> Iterator[Window]:
        """Windows in order; those numbered in `skip` are passed over without parsing."""
        first, end = self.limit
        now, held = -1, list[RawRow | Skip]()
        for row, entry in enumerate(self.entries(_wanted(rows, skip, first, end))):
            if end is not None and row >= end:
                break
            if entry is None:
                continue
            number = row // rows
            if number != now and held:
                yield _window(now, rows, first, held)
                held = []
            now = number
            held.append(entry)
        if held:
            yield _window(now, rows, first, held)

    def samples(self, entry: RawRow) -> list[Sample] | Skip:
        """One sample, two for a preference pair, or the Skip that the row becomes. Pure."""
        try:
            if type(entry.value) is not dict:
                raise BadRow("not_an_object", "the row is not a JSON object with named fields")
            held = entry.value
            unread = tuple(name for name in held if name in self.ignored) if self.ignored else ()
            if unread:
                held = {name: inside for name, inside in held.items() if name not in self.ignored}
            value = renamed(held, self.shape.map) if self.shape.map else held
            found = self._build(value, entry.place, self.how)
            if unread and (unread := tuple(shown(name) for name in unread if said(entry.value[name]))):
                found = [replace(sample, unused=(*sample.unused, *unread)) for sample in found]
        except BadRow as bad:
            code, message = self._odd(entry, set(self.shape.fields.values())) or (bad.code, bad.message)
            return Skip(entry.place, "shape", code, message, entry.head)
        if entry.odd:
            unused = {name for sample in found for name in sample.unused}
            if odd := self._odd(entry, {name for name in entry.odd if shown(name) not in unused} - set(IDS)):
                return Skip(entry.place, "read", *odd, entry.head)
        return self._too_large(entry, found) or found

    def _too_large(self, entry: RawRow, found: list[Sample]) -> Skip | None:
        """A tokenizer takes up to 150 times the memory of a text: one row must not take the machine's."""
        size = sum(sample.text_bytes() for sample in found)
        if size <= self.max_row_mib << 20:
            return None
        message = (
            f"the row has {size:,} bytes of text, more than {self.max_row_mib} MiB; split it, or raise --max-row-mib"
        )
        return Skip(entry.place, "shape", "too_large", message, entry.head)

    def _odd(self, entry: RawRow, used: Collection[str]) -> tuple[str, str] | None:
        """What is wrong with a field that could not be read and that is needed. Others cost nothing."""
        mapped = {name.partition(".")[0] for name in self.shape.map.values()}
        return next((fault for name, fault in (entry.odd or {}).items() if name in used or name in mapped), None)

    def rendering(self) -> str | None:
        """How questions and answers given as texts are rendered, and what gives the other way; None without any."""
        window = next(replace(self, limit=(0, _RENDERED)).windows(_RENDERED), None)
        entries = [entry for entry in window.entries if isinstance(entry, RawRow)] if window else []
        read = [made for entry in entries if not isinstance(made := self.samples(entry), Skip)]
        texts = {samples[0].shape for samples in read if samples[0].as_texts}
        if not texts:
            return None
        if self.how.render == "plain":
            way = "written into a plain prompt" if "alpaca" in texts else "laid end to end"
            return f"questions and answers are {way}, without the chat template; --render chat renders them as turns"
        other = "writes them into Alpaca's prompt, as axolotl's alpaca does" if "alpaca" in texts else _AS_TRL
        return f"questions and answers are rendered as turns by the chat template; --render plain {other}"

    @cached_property
    def _build(self) -> Callable[..., list[Sample]]:
        return build_of(self.shape, exact=self.format is not None or bool(self.shape.map))

    def fingerprint(self) -> Fingerprint:
        """What decides the rows and how they are read. Two runs with equal fingerprints see equal samples."""
        return {
            "files": self._hashes,
            "shape": self.shape.name,
            "format": self.format,
            "map": dict(self.shape.map),
            "fields": dict(self.how.fields),
            "train_on": self.how.train_on,
            "max_row_mib": self.max_row_mib,
            "render": self.how.render,
            "message_keys": [self.how.role_key, self.how.content_key],
            "roles": dict(self.how.roles),
            "ignored": sorted(self.ignored),
            "wording": None if self.how.wording is None else asdict(self.how.wording),
        }

    @cached_property
    def _hashes(self) -> list[FileIdentity]:
        return [{"path": f.path, "bytes": f.bytes, "sha256": _sha256(f)} for f in self.files]


def open_dataset(
    paths: Sequence[str],
    *,
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    limit: tuple[int, int | None] = (0, None),
    train_on: str = "assistant",
    render: str | None = None,
    max_row_mib: int = MAX_ROW_MIB,
    spool: Path | None = None,
    config: Path | None = None,
) -> Dataset:
    """Find the files and their shape. Raises InputError, or UsageError for settings that do not exist.

    `config` is the user's own training configuration; `format` and `map` go before what it says, and so does a
    `train_on` other than the default, and any `render`.
    """
    given = read_config(config, paths) if config else StatedConfig()
    format, map = format or given.format, {**given.map, **(map or {})}
    if train_on not in TRAIN_ON:
        raise UsageError(f"--train-on {train_on}: no such choice", f"choose one of {', '.join(TRAIN_ON)}")
    if render is not None and render not in RENDERS:
        raise UsageError(f"--render {render}: no such choice", f"choose one of {', '.join(RENDERS)}")
    files = find_files(paths, spool)
    shape = detect(_first_rows(files), format, map, trusted=config is not None)
    if train_on == "assistant":
        chat = given.train_on_chat if shape.name in (*CHATS, "dialogue") else None
        train_on = given.train_on or chat or train_on
    lone = shape.fields if shape.name in ("document", "dialogue") and not map else {}
    how = How(
        shape.name, train_on, lone, given.roles, given.role_key, given.content_key, taken(map),  # type: ignore[arg-type]
        render or given.render or "chat", given.wording, config is not None,  # type: ignore[arg-type]
    )  # fmt: skip
    dataset = Dataset(files, shape, limit, how, format, given.ignored, max_row_mib, given.notes)
    if render == "plain" and dataset.rendering() is None:
        raise UsageError(
            f"--render plain is for questions and answers given as texts, and the rows are {shape.name}",
            "leave it out: messages are rendered by the chat template, and texts of one field are scored as they stand",
        )
    if how.render == "plain" and shape.name != MIXED and dataset.rendering() is not None:
        dataset = replace(dataset, shape=replace(shape, render="plain"), notes=(*dataset.notes, _ELSEWHERE))
    return dataset


def entries_of(files: Sequence[InputFile], wanted: Callable[[int], bool]) -> Iterator[RawRow | Skip | None]:
    """Rows of all files in order, numbered through."""
    row = 0
    for file in files:
        for entry in reader_of(file).entries(file, row, wanted):
            yield entry
            row += 1


def _first_rows(files: Sequence[InputFile]) -> list[RawRow]:
    """Rows that decide the shape, from the first file and a few others. Refused where none can be read."""
    good: list[RawRow] = []
    bad: list[Skip] = []
    for file in files[:LOOKED_AT]:
        enough = len(good) + (LOOKED_AT if file is files[0] else LOOKED_AT_OTHERS)
        for entry in islice(reader_of(file).entries(file, 0, lambda row: True), LOOKED_AT_MOST):
            if isinstance(entry, RawRow):
                good.append(entry)
            elif entry is not None:
                bad.append(entry)
            if len(good) >= enough:
                break
    if good:
        return good
    names = ", ".join(file.path for file in files[:3])
    if not bad:
        raise InputError(f"{names}: no rows", "give a file with at least one row")
    raise InputError(
        f"none of the first {len(bad)} rows can be read; {bad[0].place}: {bad[0].message}",
        "check that the file is what its name says",
    )


def _wanted(rows: int, skip: Container[int], first: int, end: int | None) -> Callable[[int], bool]:
    if end is None:
        return lambda row: row >= first and row // rows not in skip
    return lambda row: first <= row < end and row // rows not in skip


def _window(number: int, rows: int, first: int, held: list[RawRow | Skip]) -> Window:
    start = max(number * rows, first)
    return Window(number, start, start + len(held), held)


def _sha256(file: InputFile) -> str:
    with open(file.local, "rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()
