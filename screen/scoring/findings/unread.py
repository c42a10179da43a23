"""What of a dataset the chat template leaves out, and where thoughts stand against answers: counts and sentences."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DROPPED = {
    "reasoning": "the reasoning of {}",
    "tool_calls": "tool calls of {}",
    "tools": "tools on offer ({})",
    "messages": "the text of {}",
}
_UNIT = {"reasoning": "turn", "tool_calls": "turn", "tools": "tool", "messages": "message"}


def dropped(scores: pa.Table) -> dict[str, int]:
    """Kind -> how many, over the rows of `scores`; kinds that are all there are left out."""
    counts = {kind: int(pc.sum(scores[f"dropped_{kind}"]).as_py() or 0) for kind in DROPPED}
    return {kind: n for kind, n in counts.items() if n}


def thoughts(scores: pa.Table) -> dict[str, int]:
    """Rows with a thought of their own, rows whose baseline response begins with one, and where that never ended."""
    return {
        "rows": _count(pc.greater(scores["thought_tokens"], 0)),
        "baseline": _count(scores["baseline_thinks"]),
        "unfinished": _count(scores["baseline_unfinished"]),
    }


def notes(scores: pa.Table) -> list[str]:
    """Sentences for the summary."""
    lost = [DROPPED[kind].format(_several(n, _UNIT[kind])) for kind, n in dropped(scores).items()]
    sentences = [f"the chat template leaves out {', '.join(lost)}"] if lost else []
    thinking = thoughts(scores)
    if thinking["rows"] or thinking["baseline"]:
        sentences.append(
            f"thoughts stand before the answers of {_several(thinking['rows'], 'row')} and before the baseline"
            f" responses to {_several(thinking['baseline'], 'row')}: scores compare answer with answer,"
            " thoughts are in turns"
        )
    if thinking["unfinished"]:
        sentences.append(
            f"the baseline responses to {_several(thinking['unfinished'], 'row')} were still thinking at"
            " --max-new-tokens, so there is no difference; give it more"
        )
    return sentences


def _several(n: int, unit: str) -> str:
    return f"{n:,} {unit}" + ("" if n == 1 else "s")


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
