"""Mean hidden states of answers at every layer, in batches as the loaded model was proved to take them.

`screen.building.extraction.AllLayers`: packed where that agrees with batch 1, pooled on the device, and copied back
once a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from screen.building.extraction import AnswerTokens
from screen.model.forward.blocks import run_together, together
from screen.model.forward.plan import Batch, Batching, default_budget, plan
from screen.model.forward.transfer import send
from screen.model.load import BaseModel

_WINDOW = 32  # answers planned at once: their means at all layers are held


class BatchedMeans:
    """`batching`: as proved on the loaded model."""

    def __init__(self, model: BaseModel, batching: Batching, tokens: int | None = None) -> None:
        self.model, self.batching = model, batching
        self.tokens = tokens or default_budget(model.device.type)
        # there are no doubles on Apple's GPUs
        self._dtype = torch.float32 if model.device.type == "mps" else torch.float64

    def answer_means(self, answers: Iterable[AnswerTokens]) -> Iterator[npt.NDArray[np.float64]]:
        """(n_layers + 1, d_model) float64 for each answer, in order. Batches follow from the answers alone."""
        stream = iter(answers)
        while window := list(islice(stream, _WINDOW)):
            out = np.empty((len(window), self.model.n_layers + 1, self.model.d_model))
            for batch in plan(self.batching, [answer.ids for answer in window], self.tokens, self.model.apart):
                out[batch.order] = self._batch([window[i] for i in batch.order], batch)
            yield from out

    @torch.inference_mode()
    def _batch(self, answers: list[AnswerTokens], batch: Batch) -> npt.NDArray[np.float64]:
        """(answers, n_layers + 1, d_model). Each layer is pooled by one product with the weights of its tokens."""
        ready = together(self.model, self.batching, [answer.ids for answer in answers], batch.shared)
        spans = [places[a.start : a.end] for places, a in zip(ready.where, answers, strict=True)]
        index = send(np.concatenate(spans), self.model.device)
        weights = torch.zeros(len(spans), len(index), dtype=self._dtype, device=self.model.device)
        at = 0
        for row, span in enumerate(spans):
            weights[row, at : at + len(span)] = 1.0 / len(span)
            at += len(span)
        layers = range(self.model.n_layers + 1)
        out = torch.empty(len(spans), len(layers), self.model.d_model, dtype=self._dtype, device=self.model.device)

        def see(layer: int, hidden: torch.Tensor) -> None:
            out[:, layer] = weights @ hidden.flatten(0, 1).index_select(0, index).to(self._dtype)

        run_together(self.model, self.batching, ready, layers, see)
        return np.asarray(out.to("cpu", torch.float64).numpy())
