"""Why a row scores as it does: the projection of every scored token, from one more pass over that row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from screen.analysis.rescore import Again
from screen.errors import InputError, UsageError
from screen.model.forward.items import Item
from screen.rendering.rendered import ScoredTurn
from screen.scoring.concentration import FEW
from screen.scoring.passes import segments
from screen.scoring.windows import highest_windows
from screen.spec import WINDOW_TOKENS

Float32 = npt.NDArray[np.float32]


def explain(again: Again, row: int) -> list[dict[str, object]]:
    """A dictionary a scored turn of the row, in order.

    row, variant, turn, prompt, text, thought (character range or None); tokens: start and end in text, and a projection
    a trait; traits: a trait's mean, the means of thought and rest, the two highest tokens (projection, start, end,
    text) and the top three windows (mean, start, end, text).

    Raises InputError for a row that cannot be run, UsageError for one that was skipped.
    """
    shard = again.shard([row])
    if shard.skips:
        raise UsageError(f"row {row} was not scored: {shard.skips[0].message}", "give a row that has a score")
    turns = []
    for sample, rendered in shard.samples:
        for sequence in rendered.sequences:
            positions = np.concatenate([p for t in sequence.turns for p in (t.tokens, t.thought_tokens)])
            [states] = again.scorer.projector.measure([Item(sequence.ids[: int(positions.max()) + 1], positions)])
            if isinstance(states, str):
                raise InputError(f"the model fails on row {row}: {states}", "try --dtype float32 in a run of its own")
            at = 0
            for number, scored in enumerate(sequence.turns):
                values, thought = np.split(
                    states.tokens[at : at + len(scored.tokens) + len(scored.thought_tokens)], [len(scored.tokens)]
                )
                at += len(values) + len(thought)
                spans = [sequence.chars(int(t), number) for t in scored.tokens]
                turn = _turn(scored, spans, values, thought, again.instruments.traits)
                turns.append({"row": row, "variant": sample.variant, **turn})
    return turns


def _turn(
    scored: ScoredTurn, spans: Sequence[tuple[int, int]], values: Float32, thought: Float32, traits: Sequence[str]
) -> dict[str, object]:
    offsets = np.array([0, len(values)], dtype=np.int64)
    means, first = highest_windows(values, offsets, WINDOW_TOKENS)
    by_trait = {}
    for j, trait in enumerate(traits):
        windows = []
        for mean, start in zip(means[0, j].tolist(), first[0, j].tolist(), strict=True):
            if start >= 0:
                a, b = spans[start][0], spans[min(start + WINDOW_TOKENS, len(spans)) - 1][1]
                windows.append({"mean": mean, "start": a, "end": b, "text": scored.text[a:b]})
        by_trait[trait] = {
            "mean": float(segments(values[:, j : j + 1], offsets)[0, 0]),
            "thought": float(thought[:, j].mean(dtype=np.float64)) if len(thought) else None,
            "said": float(values[:, j].mean(dtype=np.float64)) if len(thought) else None,
            "highest": [
                {
                    "projection": float(values[i, j]),
                    "start": spans[i][0],
                    "end": spans[i][1],
                    "text": scored.text[spans[i][0] : spans[i][1]],
                }
                for i in np.argsort(-values[:, j], kind="stable")[:FEW].tolist()
            ],
            "windows": windows,
        }
    tokens = [
        {"start": a, "end": b, **{trait: float(values[i, j]) for j, trait in enumerate(traits)}}
        for i, (a, b) in enumerate(spans)
    ]
    return {
        "turn": scored.turn,
        "prompt": scored.prompt,
        "text": scored.text,
        "thought": list(scored.thought) if scored.thought else None,
        "traits": by_trait,
        "tokens": tokens,
    }
