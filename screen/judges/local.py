"""The local model as judge, by its own next-token probabilities; it writes nothing.

The formula is METHOD 1.3 over the whole distribution: an endpoint shows its top 20 tokens, here all are seen. How a
number of several tokens counts stands in `numbers`. A judgement is a function of the model and the pair alone,
whatever it is batched with: every batch has the same number of rows, and a prompt's width depends on its own length.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch

from screen.errors import ModelError
from screen.foreign import JsonObject
from screen.judges.judgement import COHERENCE, COHERENCE_SHA256, LEAST_MASS, Judge, Judgement, Pair, expected
from screen.judges.numbers import ROOT, Node, NumberTree, number_tree, probabilities
from screen.model.load import BaseModel
from screen.rendering.templates.chat_template import Template
from screen.rendering.tokenizer import Tokenizer
from screen.traits.trait import Trait, fill

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

_ROWS: Final = 8
_WIDTH_STEP: Final = 32


class LocalJudge(Judge):
    """`fingerprint` stands for the model in the cache: the hashes of its config, weights and tokenizer."""

    def __init__(
        self,
        model: BaseModel,
        tokenizer: Tokenizer,
        template: Template,
        trait: Trait,
        *,
        fingerprint: Mapping[str, str],
        coherence: bool = True,
    ) -> None:
        if model.causal is None:
            raise ModelError("the model was loaded without its head, so it cannot judge", "load it with generate=True")
        self._model, self._tokenizer, self._template, self._trait = model, tokenizer, template, trait
        self._fingerprint, self._coherence = dict(fingerprint), coherence
        self._causal: PreTrainedModel = model.causal
        accepted = inspect.signature(self._causal.forward).parameters
        self._positions = "position_ids" in accepted
        self._last_only = "logits_to_keep" in accepted

    @property
    def identity(self) -> JsonObject:
        return {
            "judge": "local",
            "model": self._fingerprint,
            "template": self._template.sha256,
            "dtype": str(self._model.dtype),
            "device": self._model.device.type,
            "rubric": self._trait.rubric_sha256,
            "coherence": COHERENCE_SHA256 if self._coherence else None,
        }

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Judgement]]:
        """Judgements as their batch is done, short prompts first; no score for what is too long for the model."""
        prompts = [self._ids(fill(self._trait.rubric, *self._plain(pair))) for pair in pairs]
        for batch, found in self._batches(prompts):
            second = [self._ids(fill(COHERENCE, *self._plain(pairs[i]))) for i in batch] if self._coherence else []
            coherence: dict[int, float | None] = {}
            for inner, rated in self._batches(second):
                coherence |= {batch[i]: score for i, (score, _, _) in zip(inner, rated, strict=True)}
            for i, (score, mass, refusal) in zip(batch, found, strict=True):
                yield i, Judgement(score, refusal > max(mass, LEAST_MASS), coherence.get(i), "logits", mass)

    def _batches(self, prompts: Sequence[npt.NDArray[np.int32]]) -> Iterator[tuple[list[int], list[Rated]]]:
        """(indices, what the model says of them), `_ROWS` at most, of one padded width."""
        room = self._model.context - self._tree.deepest
        buckets: dict[int, list[int]] = {}
        for i, ids in enumerate(prompts):
            buckets.setdefault(-(-len(ids) // _WIDTH_STEP) * _WIDTH_STEP if len(ids) <= room else 0, []).append(i)
        if too_long := buckets.pop(0, []):
            yield too_long, [(None, 0.0, 0.0)] * len(too_long)
        for width in sorted(buckets):
            rows = buckets[width]
            for at in range(0, len(rows), _ROWS):
                batch = rows[at : at + _ROWS]
                yield batch, self._rate([prompts[i] for i in batch], width)

    @torch.inference_mode()
    def _rate(self, prompts: Sequence[npt.NDArray[np.int32]], width: int) -> list[Rated]:
        from transformers import DynamicCache

        filled = [prompts[i % len(prompts)] for i in range(_ROWS)]
        ids = np.zeros((_ROWS, width), dtype=np.int64)
        mask = np.zeros((_ROWS, width), dtype=np.int64)
        for row, keep, prompt in zip(ids, mask, filled, strict=True):
            row[width - len(prompt) :] = prompt
            keep[width - len(prompt) :] = 1
        tokens, attention = (torch.from_numpy(a).to(self._model.device) for a in (ids, mask))
        cache = DynamicCache(config=self._causal.config)
        seen: list[dict[Node, Seen]] = [{} for _ in filled]
        above: tuple[Node, ...] = (ROOT,)
        for depth, level in enumerate(self._tree.levels):
            if depth:  # every prompt's rows go on from the row of the node above, with one token more
                parents = [b * len(above) + above.index(node[:-1]) for b in range(_ROWS) for node in level]
                chosen = torch.tensor(parents, device=attention.device)
                cache.batch_select_indices(chosen)
                attention = torch.cat([attention[chosen], attention.new_ones(len(parents), 1)], dim=1)
                tokens = torch.tensor([[node[-1]] for _ in range(_ROWS) for node in level], device=attention.device)
            for at, found in enumerate(self._look(self._logits(tokens, attention, cache))):
                seen[at // len(level)][level[at % len(level)]] = found
            above = level
        return [self._rated(found) for found in seen[: len(prompts)]]

    def _look(self, logits: torch.Tensor) -> Iterator[Seen]:
        """Of each row of (rows, vocab) logits: the probability of each wanted token, and of any digit."""
        p = logits.float().softmax(-1)
        wanted = p[:, self._wanted.to(p.device)].double().tolist()
        digits = p[:, self._digits.to(p.device)].double().sum(-1).tolist()
        names = self._wanted.tolist()
        for row, digit in zip(wanted, digits, strict=True):
            yield dict(zip(names, row, strict=True)), digit

    def _logits(self, tokens: torch.Tensor, attention: torch.Tensor, cache: Cache) -> torch.Tensor:
        """(rows, vocab) logits after the last token."""
        inputs: dict[str, object] = {"input_ids": tokens, "attention_mask": attention, "past_key_values": cache}
        if self._positions:
            inputs["position_ids"] = (attention.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        if self._last_only:
            inputs["logits_to_keep"] = 1
        logits: torch.Tensor = self._causal(**inputs, use_cache=True).logits[:, -1]
        return logits

    def _rated(self, seen: Mapping[Node, Seen]) -> Rated:
        after = {node: found for node, (found, _) in seen.items()}
        digits = {node: p for node, (_, p) in seen.items()}
        numbers, refusal = probabilities(self._tree, after, digits)
        return *expected(numbers), refusal

    @cached_property
    def _tree(self) -> NumberTree:
        return number_tree(lambda text: self._tokenizer.encode([text])[0].ids, self._prompt("x"))

    @cached_property
    def _wanted(self) -> torch.Tensor:
        """Ids of all tokens in the tree."""
        return torch.tensor(sorted({token for path in (*self._tree.numbers, self._tree.refusal) for token in path}))

    @cached_property
    def _digits(self) -> torch.Tensor:
        """Ids of the tokens that begin with a digit."""
        names = self._tokenizer.hf.convert_ids_to_tokens(list(range(min(self._size, self._tokenizer.vocab_size))))
        return torch.tensor([i for i, name in enumerate(names) if name and name[0] in "0123456789"], dtype=torch.long)

    @property
    def _size(self) -> int:
        return int(self._causal.get_output_embeddings().weight.shape[0])

    def _prompt(self, text: str) -> str:
        return self._template.prompt([{"role": "user", "content": text}])

    def _ids(self, text: str) -> npt.NDArray[np.int32]:
        ids = self._tokenizer.encode([self._prompt(text)])[0].ids
        ids = ids[: len(ids) - self._tree.drop]
        prefix = list(self._tokenizer.prefix_ids) if self._template.adds_prefix else []
        return np.asarray(prefix + ids, dtype=np.int32)

    def _plain(self, pair: Pair) -> Pair:
        """Text that the tokenizer or template would take for a control token is broken up: it could forge a turn."""
        question, answer = pair
        for mark in sorted(self._tokenizer.special_strings | self._template.control_strings):
            question, answer = (t.replace(mark, f"{mark[0]} {mark[1:]}") for t in (question, answer))
        return question, answer


Rated = tuple[float | None, float, float]  # score, mass of the numbers, probability of REFUSAL
Seen = tuple[dict[int, float], float]  # probability of each wanted token, and of any token that begins with a digit
