"""What of a dataset the chat template leaves out, and where thoughts stand against answers: counts and sentences."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

DROPPED = {
    "reasoning": "the reasoning of {n:,} turns",
    "tool_calls": "the tool calls of {n:,} turns",
    "tools": "{n:,} tools on offer",
    "messages": "the text of {n:,} messages",
}


def dropped(scores: pa.Table) -> dict[str, int]:
    """Kind -> how many, over the rows of `scores`; kinds that are all there are left out."""
    counts = {kind: int(pc.sum(scores[f"dropped_{kind}"]).as_py() or 0) for kind in DROPPED}
    return {kind: n for kind, n in counts.items() if n}


def thoughts(scores: pa.Table) -> dict[str, int]:
    """Rows with a thought of their own, rows whose own answers begin with one, and those where that never ended."""
    return {
        "rows": _count(pc.greater(scores["thought_tokens"], 0)),
        "baseline": _count(scores["baseline_thinks"]),
        "unfinished": _count(scores["baseline_unfinished"]),
    }


def notes(scores: pa.Table) -> list[str]:
    """Sentences for the summary."""
    told = [f"the chat template leaves out {DROPPED[kind].format(n=n)}" for kind, n in dropped(scores).items()]
    thinking = thoughts(scores)
    if thinking["rows"] or thinking["baseline"]:
        told.append(
            f"thoughts stand before the answers of {thinking['rows']:,} rows and before the model's own to"
            f" {thinking['baseline']:,}: scores compare answer with answer, thoughts are in turns"
        )
    if thinking["unfinished"]:
        told.append(
            f"the model's own answers to {thinking['unfinished']:,} rows were still thinking at --max-new-tokens:"
            " these rows have no difference; give it more"
        )
    return told


def _count(flags: Any) -> int:
    return int(pc.sum(flags).as_py() or 0)
