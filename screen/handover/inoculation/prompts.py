"""Which text inoculates which row: the user's own, or the trait's instruction from its contrastive prompts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from screen.errors import UsageError
from screen.select.scores import thresholds_of
from screen.select.subset import Subset
from screen.store.index import read
from screen.store.scan import Scan
from screen.traits.trait import load_trait

_HOW = "give the text with --prompt, or a trait or its file with --trait"


class RowPrompts(NamedTuple):
    """`prompts`: row -> text; `without`: row that was chosen -> why there is none for it."""

    prompts: dict[int, str]
    without: dict[int, str]


def prompts_of(scan: Scan, subset: Subset, prompt: str | None, trait: str | None) -> RowPrompts:
    """For each row that would be dropped. Without `prompt` and `trait`, the instructions of the traits that flag it.

    Raises UsageError for both, for an empty prompt, and for a trait without a file.
    """
    if prompt is not None and trait is not None:
        raise UsageError("--prompt and --trait exclude each other", "give one of them")
    if prompt is not None and not prompt.strip():
        raise UsageError("--prompt is empty", _HOW)
    scored = set(subset.selection.table["row"].to_pylist())
    chosen = subset.dropped.nonzero()[0].tolist()
    matching = [row for row in chosen if row in scored]
    unread = {row: "could not be scored" for row in chosen if row not in scored}
    if prompt is not None or trait is not None:
        text = prompt if prompt is not None else load_trait(str(trait)).positives[0]
        return RowPrompts(dict.fromkeys(matching, text), unread)
    flagging = _flagging(scan, set(matching))
    texts = {name: _instruction(name) for name in dict.fromkeys(t for names in flagging.values() for t in names)}
    prompts = {row: " ".join(texts[name] for name in names) for row, names in flagging.items()}
    unflagged = {row: f"is flagged for no trait; {_HOW}" for row in matching if row not in prompts}
    return RowPrompts(prompts, unread | unflagged)


def _instruction(trait: str) -> str:
    try:
        return load_trait(trait).positives[0]
    except UsageError as error:
        raise UsageError(f"rows are flagged for {trait!a}, of which there is no trait file", _HOW) from error


def _flagging(scan: Scan, rows: set[int]) -> dict[int, list[str]]:
    """Row -> the traits, in column order, above whose threshold it lies; rows that are trained toward alone."""
    flags = thresholds_of(scan)
    table = read(scan.folder, list(dict.fromkeys(["row", "sign", *(flag["column"] for flag in flags.values())])))
    numbers, toward = table["row"].to_numpy(), table["sign"].to_numpy() > 0
    found: dict[int, list[str]] = {}
    for trait, flag in flags.items():
        if flag["threshold"] is None:
            continue
        scores = table[flag["column"]].to_numpy(zero_copy_only=False)
        for row in numbers[toward & (np.nan_to_num(scores, nan=-np.inf) > flag["threshold"])].tolist():
            if row in rows:
                found.setdefault(row, []).append(trait)
    return found
