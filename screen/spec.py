"""Everything that decides the scores, frozen. Equal specs on equal input give equal scores.

Written to `scan.json` and read back with `--spec`. Knows nothing of files, models or tables.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from screen.errors import UsageError

WINDOW_TOKENS = 32


@dataclass(frozen=True, slots=True)
class ScanSpec:
    """One run's settings. Paths are as the user gave them; fingerprints live beside the spec, not in it."""

    dataset: tuple[str, ...]
    model: str = "pocket"  # "pocket" is the embedded model
    vectors: tuple[str, ...] = ()  # files or folders; empty: the embedded model's own
    traits: tuple[str, ...] = ()  # empty: every trait found
    layers: Mapping[str, int] = field(default_factory=dict)  # trait -> hidden_states row; else the card's
    baseline: str | None = None  # a kind of baselines/table.py; None or auto: by the shape, else by prompt counts
    answers: str | None = None  # the file of `--baseline answers:FILE`
    answer_by: Literal["model", "endpoint"] = "model"  # who makes baseline responses: the model here, or a server of it
    max_new_tokens: int = 256
    generation_batch_size: int | None = None  # prompts answered at once; None: by device
    calibrate_on: int = 512  # distinct prompts that `calibrated` answers
    refine: bool = False  # answer exactly where an estimate leaves a flag open
    reference: str | None = None  # a file of `screen reference build`
    group_by: str | None = None  # a field of the rows, for statistics by group
    limit: tuple[int, int | None] = (0, None)  # half-open range of input rows
    format: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    train_on: str = "assistant"
    max_row_mib: int = 8  # a row with more text than this is not scored
    render: str | None = None  # chat or plain, of questions and answers given as texts; None: the config's, or chat
    config: str | None = None  # the user's training configuration (axolotl, TRL, LLaMA-Factory), instead of a map
    template: str | None = None  # path of a Jinja file, "plain", or None: the tokenizer's own
    end_of_turn: bool = False  # count the end-of-turn token as answer
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    shard_rows: int = 512
    token_budget: int | None = None  # tokens a batch, padding counted; None: by device
    seed: int = 0
    since: str | None = None  # a run whose rows are carried over where their content is the same

    def to_json(self) -> dict[str, object]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ScanSpec:
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(value) - known)
        if unknown:
            raise UsageError(
                f"the spec has fields this version does not know: {', '.join(unknown)}",
                "use the version of screen that wrote it, or remove them",
            )
        ready = dict(value)
        for name in ("dataset", "vectors", "traits", "limit"):
            if name in ready:
                ready[name] = tuple(ready[name])
        return cls(**ready)

    def canonical(self) -> str:
        """The spec as one line of JSON with sorted keys: equal specs, equal text."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
