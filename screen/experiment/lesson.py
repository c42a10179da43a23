"""One sequence that is trained on, or that a model's loss is taken of; which of its tokens count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from screen.model.load import BaseModel
from screen.rendering.rendered import Rendered


@dataclass(frozen=True)
class Lesson:
    """One sequence to train on. `ids`: (seq,) int32; `learnt`: (m,) int32, positions of the tokens to be predicted."""

    ids: npt.NDArray[np.int32]
    learnt: npt.NDArray[np.int32]


def learnt_of(rendered: Rendered) -> tuple[Lesson, ...]:
    """The tokens that are scored, thoughts too, and the one after each turn, which ends it."""
    lessons = []
    for sequence in rendered.sequences:
        turns = [np.concatenate([t.tokens, t.thought_tokens, t.tokens[-1:] + 1]) for t in sequence.turns]
        places = np.unique(np.concatenate(turns)).astype(np.int32) if turns else np.zeros(0, np.int32)
        lessons.append(Lesson(sequence.ids, places[(places > 0) & (places < len(sequence.ids))]))
    return tuple(lessons)


def mean_loss(model: BaseModel, lessons: Sequence[Lesson]) -> float | None:
    """Mean negative log-likelihood, nats a token, over the tokens to be learnt; None without any."""
    causal = model.causal
    assert causal is not None
    total, count = 0.0, 0
    with torch.inference_mode():
        for lesson in lessons:
            ids = torch.from_numpy(lesson.ids.astype(np.int64))[None].to(model.device)
            logits = causal(input_ids=ids).logits[0, lesson.learnt - 1].float()
            wanted = ids[0, lesson.learnt]
            total += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
            count += len(lesson.learnt)
    return total / count if count else None
