"""One shard on one device, with batches that fit into its memory."""

from __future__ import annotations

from typing import Any

from screen.model.forward.projector import Step
from screen.model.host import Measuring
from screen.scan.instruments import Instruments
from screen.scoring.context import ScoringContext
from screen.scoring.shard import ShardInput, score_shard


def score(
    shard: ShardInput,
    instruments: Instruments,
    projector: Measuring,
    context: ScoringContext,
    budget: int,
    step: Step,
) -> tuple[dict[str, Any], int]:
    """The shard's tables, and the tokens a batch that they were made with: `budget`, or less where memory ran out.

    A shard is scored with one budget from its first row to its last: what is on record with it makes it again.
    """
    while True:
        projector.budget = budget
        tables = score_shard(shard, instruments.traits, projector, instruments.answers, instruments.kind, step, context)
        if projector.budget == budget:
            return tables, budget
        budget = projector.budget
