"""What a model shows along its traits: projections at the last prompt token, and over short greedy responses.

One pass gives both: the states of the prompt's last token are those before the answer's first, and each token of the
answer is read when the next is asked for. The model is left as it was: modes, random numbers, no cache kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from screen.errors import ModelError
from screen.model.generate import rows_at_once
from screen.steering.hook import blocks_of, unwrapped

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Ids = npt.NDArray[np.int32]
States = Mapping[int, torch.Tensor]  # layer -> (rows, tokens, d_model)


@dataclass(frozen=True)
class Probe:
    """One prompt of a trait. `unit`: (d_model,) float32, read at hidden_states[layer]."""

    trait: str
    ids: Ids
    layer: int
    unit: torch.Tensor


@dataclass(frozen=True)
class Shown:
    """Means over a trait's prompts: the projection at the last prompt token, and over the response's tokens, None where
    every response was empty."""

    prompt: float
    response: float | None


class TraitReader:
    """Reads `probes`, and `tokens` of the greedy answers to them (0: none), off a causal model.

    `eos`: ids that end an answer. Raises ModelError for a model that cannot be read so.
    """

    def __init__(self, model: nn.Module, probes: Sequence[Probe], tokens: int, eos: frozenset[int]) -> None:
        _refuse(model)
        self._model, self._tokens, self._eos = model, tokens, eos
        self._blocks = blocks_of(model)
        bare: PreTrainedModel = unwrapped(model)
        self._base: PreTrainedModel = bare.get_base_model() if hasattr(bare, "get_base_model") else bare
        self._accepted = frozenset(inspect.signature(self._base.forward).parameters)
        self._device = next(model.parameters()).device
        self._probes = sorted(probes, key=lambda probe: len(probe.ids))
        self._rows = rows_at_once(self._device.type)
        self._check()

    def read(self) -> dict[str, Shown]:
        """Trait -> means. The model must be `undisturbed`."""
        prompt: dict[str, list[float]] = {}
        response: dict[str, list[float]] = {}
        for start in range(0, len(self._probes), self._rows):
            batch = self._probes[start : start + self._rows]
            for probe, (before, after) in zip(batch, self._batch(batch), strict=True):
                prompt.setdefault(probe.trait, []).append(before)
                response.setdefault(probe.trait, []).extend([] if after is None else [after])
        return {
            trait: Shown(float(np.mean(values)), float(np.mean(response[trait])) if response[trait] else None)
            for trait, values in prompt.items()
        }

    def _check(self) -> None:
        deepest = len(self._blocks) - 1
        for probe in self._probes:
            if not 1 <= probe.layer <= deepest:
                raise ModelError(
                    f"layer {probe.layer} of {probe.trait!r} cannot be read while the model trains: it has layers 1 to"
                    f" {deepest} before its last",
                    "choose one of these with layer=",
                )
        config = self._base.config.get_text_config()
        context = getattr(config, "max_position_embeddings", None)
        longest = len(self._probes[-1].ids) + self._tokens
        if isinstance(context, int) and longest > context:
            raise ModelError(
                f"a question with its answer takes {longest:,} tokens, and the model's context is {context:,}",
                "give shorter questions, or fewer tokens=",
            )

    def _batch(self, batch: Sequence[Probe]) -> list[tuple[float, float | None]]:
        """(at the last prompt token, mean over the response's tokens) of each probe."""
        from transformers import DynamicCache

        width = max(len(probe.ids) for probe in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, probe in enumerate(batch):
            ids[row, width - len(probe.ids) :] = torch.from_numpy(probe.ids.astype(np.int64))
            mask[row, width - len(probe.ids) :] = 1
        fed, mask = ids.to(self._device), mask.to(self._device)
        cache = DynamicCache(config=self._base.config)
        units = torch.stack([probe.unit for probe in batch]).to(self._device)
        total, count = torch.zeros(len(batch), device=self._device), torch.zeros(len(batch), device=self._device)
        going = torch.ones(len(batch), dtype=torch.bool, device=self._device)
        ends = torch.tensor(sorted(self._eos), dtype=torch.int64, device=self._device)
        first: torch.Tensor | None = None
        with self._captured({probe.layer for probe in batch}) as states:
            for _ in range(self._tokens + 1):
                logits = self._step(fed, mask, cache)
                along = (_last(states, batch) * units).sum(-1)
                if first is None:
                    first = along
                else:
                    total, count = total + along * going, count + going
                fed = logits.argmax(-1)[:, None]
                going = going & ~torch.isin(fed[:, 0], ends)
                mask = torch.cat([mask, torch.ones_like(fed)], dim=1)
                if not bool(going.any()):
                    break
        assert first is not None
        means = [t / c if c else None for t, c in zip(total.tolist(), count.tolist(), strict=True)]
        return list(zip(first.tolist(), means, strict=True))

    def _step(self, ids: torch.Tensor, mask: torch.Tensor, cache: object) -> torch.Tensor:
        """(rows, vocab) logits after the last token."""
        inputs: dict[str, object] = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}
        if "position_ids" in self._accepted:
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self._accepted:
            inputs["logits_to_keep"] = 1
        logits: torch.Tensor = self._model(**inputs, use_cache=True).logits[:, -1]
        return logits

    @contextmanager
    def _captured(self, layers: set[int]) -> Iterator[States]:
        """The outputs of blocks, as of the latest pass."""
        states: dict[int, torch.Tensor] = {}
        with ExitStack() as hooks:
            for layer in layers:

                def keep(_block: nn.Module, _args: object, output: object, layer: int = layer) -> None:
                    hidden = output[0] if isinstance(output, tuple) else output
                    assert isinstance(hidden, torch.Tensor)
                    states[layer] = hidden

                hooks.callback(self._blocks[layer - 1].register_forward_hook(keep).remove)
            yield states


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; each module's own mode and the random numbers are as before, after."""
    modes = [(module, module.training) for module in model.modules()]
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def _last(states: States, batch: Sequence[Probe]) -> torch.Tensor:
    """(rows, d_model) float32: each probe's state of its last token, at its layer."""
    return torch.stack([states[probe.layer][row, -1].float() for row, probe in enumerate(batch)])


def _refuse(model: nn.Module) -> None:
    """Raises ModelError for a model whose parts are not all here, or whose adapters are tokens of their own."""
    from torch.distributed.tensor import DTensor

    if any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters()) or any(
        type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()
    ):
        raise ModelError(
            "the model's weights are spread over several devices (FSDP, ZeRO-3), and PersonaMonitor reads whole ones",
            "leave PersonaMonitor out, and read the checkpoints: screen monitor watch",
        )
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise ModelError(
            "the adapters are tokens of their own (prompt learning), which PersonaMonitor does not read",
            "train with LoRA, or leave PersonaMonitor out",
        )
