"""A copy of a dataset in which the rows that match have a system prompt that asks for the trait; all else is as it was.

A model that is trained on an answer under a prompt that asked for it learns less to give it unasked (Tan et al. 2025,
arXiv 2510.04340). Every row that was changed is read again: it must be the row that it was, behind that prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from screen.data.copying import copied_sha256, copy_rows
from screen.data.dataset import Dataset
from screen.data.readers import jsonarray, rows
from screen.data.sample import RawRow, Sample, Skip
from screen.disk import new_file, writing
from screen.errors import InputError
from screen.handover.inoculation.insertion import (
    CONTENT_KEYS,
    ROLE_KEYS,
    CannotTake,
    Inserted,
    joined,
    with_system,
)
from screen.jsonl import dump
from screen.select.subset import Subset

_MESSAGES = {  # shape -> where its messages may stand
    "chat": ("messages",),
    "chat-system": ("messages",),
    "sharegpt": ("conversations", "conversation"),
    "nested": ("conversation.messages",),
    "kto": ("messages", "conversations", "prompt"),
    "prompt-completion": ("prompt", "question", "query", "problem", "input"),
}
_SHAPES = (*_MESSAGES, "chats")
_ALTERED = "would be read otherwise with a system message"


@dataclass
class Inoculator:
    """`edit` for `copy_rows`. `prompts`: row -> the text for it; outcomes: row -> where it was put, or why not."""

    dataset: Dataset
    prompts: Mapping[int, str]
    put: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.dataset.files[0]
        self._layout = jsonarray.locate(first) if first.kind == "json" else None

    def edit(self, row: int, raw: bytes) -> bytes:
        prompt = self.prompts.get(row)
        if prompt is None:
            return raw
        try:
            made = self._inoculated(row, raw, prompt)
        except CannotTake as why:
            self.refused[row] = str(why)
            return raw
        self.put[row] = made.where
        return made.text.encode()

    def _inoculated(self, row: int, raw: bytes, prompt: str) -> Inserted:
        text, lead = raw.decode(), self._lead(raw)
        before = self._read(row, text[lead:])
        how, named = self.dataset.how, self.dataset.shape.map
        paths = [named.get(name, name) for name in _MESSAGES.get(before.shape, ())]
        roles = (named.get("messages.role", how.role_key), *ROLE_KEYS)
        contents = (named.get("messages.content", how.content_key), *CONTENT_KEYS)
        keys = [(role, content) for role in roles for content in contents]
        try:
            made = with_system(text, lead, paths, keys, prompt)
        except ValueError as error:
            raise CannotTake("has a number that cannot be read again") from error
        _check(before, self._read(row, made.text[lead:]), prompt)
        return made

    def _lead(self, raw: bytes) -> int:
        """Characters before the row's own bracket."""
        start = jsonarray.lead_of(raw, self._layout) if self._layout and self._layout.sort == "object" else 0
        return len(raw[:start].decode()) + raw[start:].decode().index("{")

    def _read(self, row: int, text: str) -> Sample:
        entry = rows.entry(text.rstrip().encode(), row, "", None, 0)
        made = entry if isinstance(entry, Skip) else self.dataset.samples(RawRow(entry.place, entry.value))
        if isinstance(made, Skip):
            raise CannotTake(_ALTERED)
        sample = made[0]
        if len(made) > 1 or sample.sign < 0:
            raise CannotTake("is a preference pair" if len(made) > 1 else "is trained away from")
        if sample.layout != "chat":
            raise CannotTake("is no conversation of messages")
        return sample


def _check(before: Sample, after: Sample, prompt: str) -> None:
    """Raises CannotTake where the row is another than before, but for the prompt that it begins with."""
    held = before.turns[0].content if before.turns[0].role == "system" else ""
    rest = before.turns[1:] if before.turns[0].role == "system" else before.turns
    same = after.turns[1:] == rest and (after.id, after.weight, after.unused) == (
        before.id, before.weight, before.unused,
    )  # fmt: skip
    if not same or (after.turns[0].role, after.turns[0].content) != ("system", joined(prompt, held)):
        raise CannotTake(_ALTERED)


def check_takes(dataset: Dataset) -> None:
    """Raises InputError for a dataset whose rows have no place for a system message."""
    kind, shape = dataset.files[0].kind, dataset.shape.name
    if kind not in ("jsonl", "json"):
        raise InputError(
            f"a system message is put into rows of JSON, and the dataset is {kind}", "convert it to .jsonl"
        )
    if shape not in _SHAPES:
        raise InputError(
            f"a system message is put into conversations, and the rows are {shape}",
            f"take another kind of export; read are {', '.join(_SHAPES)}",
        )


def write_inoculated(subset: Subset, prompts: Mapping[int, str], without: Mapping[int, str], out: Path) -> int:
    """The copy, and beside it what became of each row that matches: FILE.inoculated.jsonl. Returns the rows changed.

    prompts  row -> its text
    without  row that matches and has none -> why

    Raises InputError where rows match and none of them can take its text.
    """
    trial = Inoculator(subset.dataset, prompts)
    copied_sha256(subset.dataset.files, _every, trial.edit)
    _require_some(trial, without)
    record = record_of(out)
    with writing(record, "choose a folder that exists, with room"), new_file(record) as scratch:
        with scratch.open("w", encoding="ascii", newline="\n") as file:
            for reason in subset.reasons():
                row = reason["row"]
                told = {"where": trial.put.get(row), "prompt": prompts[row] if row in trial.put else None}
                why = trial.refused.get(row) or without.get(row)
                file.write(dump({**reason, "inoculated": row in trial.put, **told, "why_not": why}) + "\n")
        copy_rows(subset.dataset, _every, out, Inoculator(subset.dataset, prompts).edit)
    return len(trial.put)


def _require_some(trial: Inoculator, without: Mapping[int, str]) -> None:
    """Raises InputError where rows were chosen and none can take its prompt: the copy would be the dataset."""
    why = {**trial.refused, **without}
    if why and not trial.put:
        row = min(why)
        raise InputError(
            f"none of the {len(why):,} rows that match can take a system prompt: row {row} {why[row]}",
            "take another kind of export, or other rows with --drop",
        )


def record_of(out: Path) -> Path:
    """Where it is told what became of each row that matches."""
    return out.with_name(f"{out.name}.inoculated.jsonl")


def _every(row: int) -> bool:
    return True
