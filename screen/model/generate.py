"""The baseline responses: greedy, nothing inherited from its generation config but its EOS ids.

An answer is a pure function of its prompt and the model, whatever it is batched with: every batch has the same
number of rows, and a prompt's padded width depends on its own length only, so every matrix product has the same
shape for that prompt in every run (docs/decisions/0002). Steering adds a vector at one layer to every position.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from screen.errors import ModelError
from screen.model.faults import FAULTS, device_failed, no_memory, told
from screen.model.forward.plan import cost
from screen.model.load import BaseModel

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

Ids = npt.NDArray[np.int32]
ROWS = {"cuda": 64}  # answers at once, by kind of device; 16 elsewhere: more gained nothing on a CPU
_WIDTH_STEP = 32
Failed = Callable[[int, str], None]  # told a prompt that the model cannot answer, by its index, and why
Begin = Callable[[Sequence[int], float], None]  # told the prompts of each forward pass before it, and its cost


@dataclass(frozen=True, slots=True)
class Response:
    """`ids`: the answer's tokens without the one that ended it. `truncated`: it reached the length limit."""

    ids: tuple[int, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. Temperature 0 is greedy; otherwise plain sampling (top-p 1).

    A sampled answer is a function of `seed`, its prompt and its draw number, not of its batch. `rows`: how many are
    made at once, None by device; a number of its own may change an answer where two tokens are all but equally likely.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    rows: int | None = None


def rows_at_once(device: str) -> int:
    """Rows a batch on a torch device."""
    return ROWS.get(device.split(":")[0], 16)


def eos_ids(model: BaseModel, tokenizer_eos: int | None) -> frozenset[int]:
    """Every id that ends an answer: of the generation config, the config and the tokenizer."""
    found: set[int] = set()
    path = model.folder / "generation_config.json"
    given = [json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")] if path.is_file() else []
    given += [getattr(model.config.get_text_config(), "eos_token_id", None), tokenizer_eos]
    for value in given:
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(int(i) for i in found)


def padded_width(tokens: int) -> int:
    """What a prompt of so many tokens is padded to."""
    return -(-tokens // _WIDTH_STEP) * _WIDTH_STEP


def planned(
    lengths: Sequence[int], rows: int, context: int, width: Callable[[int], int] = padded_width
) -> Iterator[list[int]]:
    """Batches, as indices of prompts of one padded width each, `rows` at most; without those that leave no room in the
    context."""
    buckets: dict[int, list[int]] = {}
    for i, tokens in enumerate(lengths):
        if 0 < tokens < context:
            buckets.setdefault(width(tokens), []).append(i)
    for padded in sorted(buckets):
        of_width = buckets[padded]
        yield from (of_width[i : i + rows] for i in range(0, len(of_width), rows))


class Generator:
    """Answers prompts by token ids. Prompts that leave no room in the context get no answer (None)."""

    def __init__(self, model: BaseModel, eos: frozenset[int], sampling: Sampling) -> None:
        if model.causal is None:
            raise ModelError("the model was loaded without its head, so it cannot answer", "use --baseline last-prompt")
        self.model, self.eos, self.sampling = model, eos, sampling
        self.rows = sampling.rows or rows_at_once(model.device.type)
        self._causal: PreTrainedModel = model.causal
        accepted = inspect.signature(self._causal.forward).parameters
        self._positions = "position_ids" in accepted
        self._last_only = "logits_to_keep" in accepted
        self._keys = _most_keys(model)

    def answer(
        self,
        prompts: Sequence[Ids],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = None,
        draws: Sequence[int] | None = None,
        *,
        failed: Failed | None = None,
        begin: Begin = lambda _prompts, _cost: None,
    ) -> list[Response | None]:
        """Answers in the order of `prompts`; `done(indices, answers)` is called after each batch.

        `draws` numbers the samples of one prompt; by default equal prompts are numbered in order. With `failed`, a
        prompt on which the model fails even alone is told of and has no answer; without, what it raised is raised.
        """
        out: list[Response | None] = [None] * len(prompts)
        draws = _occurrences(prompts) if draws is None else draws
        for batch in self._plan(prompts):
            for part, answers in self._batch_or_each(prompts, draws, batch, failed, begin):
                for i, value in zip(part, answers, strict=True):
                    out[i] = value
                if done is not None:
                    done(part, answers)
        return out

    def _batch_or_each(
        self, prompts: Sequence[Ids], draws: Sequence[int], batch: list[int], failed: Failed | None, begin: Begin
    ) -> list[tuple[list[int], list[Response]]]:
        """A batch, or, where it fails, its prompts one by one: the answers are the same. Raises ModelError where none
        of several fits into memory."""

        def run(part: list[int]) -> tuple[list[int], list[Response]]:
            return part, self._batch([prompts[i] for i in part], [draws[i] for i in part], partial(begin, part))

        try:
            return [run(batch)]
        except FAULTS as error:
            full = no_memory(error)
            if failed is None or device_failed(error):
                raise self._too_many(error) if full else error from None
        made, why = [], {}
        for i in batch:
            try:
                made.append(run([i]))
            except FAULTS as alone:
                if device_failed(alone):
                    raise
                why[i] = alone
        if full and len(why) == len(batch) > 1:
            raise self._too_many(why[batch[0]])
        for i, reason in why.items():
            failed(i, told(reason))
        return made

    def _too_many(self, error: Exception) -> ModelError:
        return ModelError(
            f"memory ran out while {self.rows} prompts were answered at once ({str(error)[:60]})",
            f"free memory on the device, or answer fewer at once: --generation-batch-size {max(1, self.rows // 4)}",
        )

    def _plan(self, prompts: Sequence[Ids]) -> Iterator[list[int]]:
        """Batches of prompts of one padded width each, `rows` at most."""
        return planned([len(ids) for ids in prompts], self.rows, self.model.context, self._width)

    def _width(self, tokens: int) -> int:
        """What a prompt is padded to: a function of its own length. Padding counts among the keys of a model that takes
        no more than some: there an answer's room comes first."""
        padded = padded_width(tokens)
        if self._keys is None:
            return padded
        room = min(self.sampling.max_new_tokens, self.model.context - tokens)
        return max(tokens, min(padded, self._keys - room))

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[Ids], draws: Sequence[int], begin: Callable[[float], None]) -> list[Response]:
        from transformers import DynamicCache

        width = self._width(len(prompts[0]))
        filled = [prompts[i % len(prompts)] for i in range(self.rows)]  # rows beyond the prompts repeat them
        ids = np.zeros((self.rows, width), dtype=np.int64)
        mask = np.zeros((self.rows, width), dtype=np.int64)
        for row, keep, p in zip(ids, mask, filled, strict=True):
            row[width - len(p) :] = p
            keep[width - len(p) :] = 1
        room = [min(self.sampling.max_new_tokens, self.model.context - len(p)) for p in filled]
        tokens = torch.from_numpy(ids).to(self.model.device)
        attention = torch.from_numpy(mask).to(self.model.device)
        cache = DynamicCache(config=self._causal.config)
        picker = self._picker(filled, [draws[i % len(draws)] for i in range(self.rows)])
        chosen: list[list[int]] = [[] for _ in filled]
        ended = [False] * self.rows
        for step in range(max(room)):
            begin(cost([tokens.shape[1]]) * self.rows)
            picked = picker(self._logits(tokens, attention, cache))
            for i, token in enumerate(picked.tolist()):
                if not ended[i] and len(chosen[i]) < room[i]:
                    if token in self.eos:
                        ended[i] = True
                    else:
                        chosen[i].append(token)
            if step == max(room) - 1 or all(e or len(c) >= r for e, c, r in zip(ended, chosen, room, strict=True)):
                break
            tokens = picked[:, None]
            # a row that fills the context is run on with the others, at its last position
            more = attention.sum(1, keepdim=True) < self.model.context
            attention = torch.cat([attention, more.to(attention.dtype)], dim=1)
        return [Response(tuple(c), not e) for c, e in zip(chosen, ended, strict=True)][: len(prompts)]

    def _logits(self, tokens: torch.Tensor, attention: torch.Tensor, cache: Cache) -> torch.Tensor:
        """(rows, vocab) logits after the last token."""
        inputs: dict[str, object] = {"input_ids": tokens, "attention_mask": attention, "past_key_values": cache}
        if self._positions:
            inputs["position_ids"] = (attention.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        if self._last_only:
            inputs["logits_to_keep"] = 1
        logits: torch.Tensor = self._causal(**inputs, use_cache=True).logits[:, -1]
        return logits

    def _picker(self, prompts: Sequence[Ids], draws: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
        if self.sampling.temperature == 0.0:
            return lambda logits: logits.argmax(-1)
        seeds = ([self.sampling.seed, draw, *p.tolist()] for p, draw in zip(prompts, draws, strict=True))
        rngs = [np.random.default_rng(s) for s in seeds]

        def sample(logits: torch.Tensor) -> torch.Tensor:
            p = (logits.float() / self.sampling.temperature).softmax(-1).double().cpu().cumsum(-1)
            draws = torch.tensor([r.random() for r in rngs], dtype=torch.float64)[:, None]
            picks = torch.searchsorted(p, draws * p[:, -1:]).squeeze(1).clamp_max(p.shape[1] - 1)
            return picks.to(logits.device)

        return sample


def _most_keys(model: BaseModel) -> int | None:
    """The most keys that a model's attention takes, padding included: the width of its own causal mask, where it keeps
    one (GPT-Neo). None where there is no such limit."""
    masks = [b for block in model.blocks for b in block.buffers() if b.ndim >= 2 and b.shape[-1] == b.shape[-2]]
    return min((int(m.shape[-1]) for m in masks if m.shape[-1] >= model.context), default=None)


@torch.inference_mode()
def logits_after(model: BaseModel, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """(vocab,) float32 logits after the last of `ids`, of a model loaded with its head."""
    causal: PreTrainedModel = model.causal
    logits: torch.Tensor = causal(torch.tensor([list(ids)], device=model.device)).logits[0, -1]
    return logits.float().cpu().numpy()


def _occurrences(prompts: Sequence[Ids]) -> list[int]:
    """How many equal prompts stand before each."""
    seen: Counter[bytes] = Counter()
    out = []
    for p in prompts:
        key = p.tobytes()
        out.append(seen[key])
        seen[key] += 1
    return out
