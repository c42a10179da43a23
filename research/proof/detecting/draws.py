"""Many sampled answers to each prompt, and where their tokens lie along directions; read while they are made.

Answers of a prompt share its pass; prompts of like length share a batch, padded on the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache

from screen.building.workshop import Workshop
from screen.experiment.measure import TraitAxis
from screen.model.generate import eos_ids, padded_width
from screen.stats import unit

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
ROWS: Final = 192  # answers made at once


@torch.inference_mode()
def sampled(
    shop: Workshop,
    prompts: Sequence[Ids],
    draws: int,
    axes: Mapping[str, TraitAxis],
    *,
    longest: int,
    seed: int,
) -> Floats:
    """(prompts, draws, axes): mean projection over each answer's tokens on unit directions, at temperature 1.

    NaN for an answer without tokens. Answers end at an end mark or after `longest` tokens.
    """
    drawn = torch.Generator().manual_seed(seed)
    out = np.full((len(prompts), draws, len(axes)), np.nan)
    for batch in _batches(prompts, max(1, ROWS // draws)):
        width = max(len(prompts[i]) for i in batch)
        ids, mask = np.zeros((2, len(batch), width), dtype=np.int64)
        for row, i in enumerate(batch):
            ids[row, width - len(prompts[i]) :] = prompts[i]
            mask[row, width - len(prompts[i]) :] = 1
        along = _answers(shop, ids, mask, draws, list(axes.values()), longest, drawn)
        out[batch] = along.reshape(len(batch), draws, -1)
    return out


def _batches(prompts: Sequence[Ids], many: int) -> Iterator[list[int]]:
    by_width: dict[int, list[int]] = {}
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        by_width.setdefault(padded_width(len(prompts[i])), []).append(i)
    for of_width in by_width.values():
        yield from (of_width[i : i + many] for i in range(0, len(of_width), many))


def _answers(
    shop: Workshop,
    ids: npt.NDArray[np.int64],
    mask: npt.NDArray[np.int64],
    draws: int,
    axes: Sequence[TraitAxis],
    longest: int,
    drawn: torch.Generator,
) -> Floats:
    """(prompts * draws, axes); `mask` is 0 where a prompt is padded."""
    causal = shop.model.causal
    assert causal is not None
    ends = torch.tensor(sorted(eos_ids(shop.model, shop.sampler.tokenizer.hf.eos_token_id)))
    directions = [torch.from_numpy(unit(axis.direction)).float() for axis in axes]
    cache, seen = DynamicCache(), torch.from_numpy(mask)
    places = (seen.cumsum(-1) - 1).clamp(min=0)
    made = causal(torch.from_numpy(ids), attention_mask=seen, position_ids=places, past_key_values=cache)
    cache.batch_repeat_interleave(draws)
    logits, seen = made.logits[:, -1].repeat_interleave(draws, 0), seen.repeat_interleave(draws, 0)
    going = torch.arange(len(logits))
    sums, counts = torch.zeros(len(logits), len(axes)), torch.zeros(len(logits))
    for _ in range(longest):
        tokens = torch.multinomial(torch.softmax(logits, -1), 1, generator=drawn)
        stays = (~torch.isin(tokens[:, 0], ends)).nonzero()[:, 0]
        if len(stays) == 0:
            break
        if len(stays) < len(going):
            cache.batch_select_indices(stays)
            going, tokens, seen = going[stays], tokens[stays], seen[stays]
        seen = torch.cat([seen, torch.ones_like(tokens)], -1)
        made = causal(
            tokens,
            attention_mask=seen,
            position_ids=seen.sum(-1, keepdim=True) - 1,
            past_key_values=cache,
            output_hidden_states=True,
        )
        logits = made.logits[:, -1]
        along = [made.hidden_states[a.layer][:, -1] @ d for a, d in zip(axes, directions, strict=True)]
        sums[going] += torch.stack(along, -1)
        counts[going] += 1
    return (sums / counts[:, None]).double().numpy()  # 0 / 0: nothing was said
