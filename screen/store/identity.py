"""What must match for a run to be resumed, and how two of them differ. Knows nothing of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:  # readers of runs need no reader of datasets, and start sooner
    from screen.data.files import Fingerprint
    from screen.rendering.rendered import RenderingFacts
    from screen.vectors.persona import AppliedVector

T = TypeVar("T")
_ABSENT = object()


class ModelIdentity(TypedDict):
    """SHA-256 hex of what it is made of; the dtype it runs in, and the kind of device without its number."""

    config: str
    weights: str
    tokenizer: str
    dtype: str
    device: str


class Settings(TypedDict, total=False):
    """What decides the scores beside model and data, by value (ScanSpec says what each is; None: not of this run).

    controls            trait -> the key of the control directions that its reference brings
    reference, answers  SHA-256 of those files, where the run has them; at  where the threshold decides what is answered
    """

    baseline: str
    max_new_tokens: int | None
    generation_batch_size: int | None
    calibrate_on: int | None
    refine: bool
    group_by: str | None
    answer_by: str
    limit: Sequence[int | None]
    train_on: str
    shard_rows: int
    token_budget: int
    batching: str
    controls: Mapping[str, str | None]
    reference: str
    answers: str
    at: str


class SinceIdentity(TypedDict):
    """The run whose rows are carried over: the digest of its identity, and of its shards' record."""

    run: str
    manifest: str


class InstrumentsIdentity(TypedDict, total=False):
    """Vectors, model and rendering: what has to be equal for two runs' scores to be comparable."""

    format: int
    writer: str
    traits: Sequence[str]
    vectors: Mapping[str, AppliedVector]
    model: ModelIdentity
    rendering: RenderingFacts


class Identity(InstrumentsIdentity, total=False):
    """The whole of it, as in scan.json. A run folder by itself needs no more than `traits`."""

    settings: Settings
    dataset: Fingerprint
    since: SinceIdentity


def normal(value: T) -> T:
    """As it reads back from JSON: tuples are lists, keys are text."""
    read: T = json.loads(json.dumps(value))
    return read


def digest(identity: Mapping[str, object]) -> str:
    """16 hex digits that stand for an identity in every manifest line."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: object, new: object, where: str = "") -> Iterator[str]:
    """One line a field: `dataset.files[0].sha256: abc -> def`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            place = f"{where}.{key}" if where else key
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), place)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from differences(_item(old, index), _item(new, index), f"{where}[{index}]")
    elif type(old) is not type(new) or old != new:
        yield f"{where}: {_show(old)} -> {_show(new)}"


def _item(values: list[object], index: int) -> object:
    return values[index] if index < len(values) else _ABSENT


def _show(value: object) -> str:
    if value is _ABSENT:
        return "(absent)"
    # ASCII only: a path from hostile data must not reach the terminal raw
    text = json.dumps(value)
    if isinstance(value, str) and value and text == f'"{value}"':
        text = value
    return text if len(text) <= 80 else f"{text[:77]}..."
