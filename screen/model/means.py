"""Mean hidden state of an answer at every layer: what persona vectors are made of (METHOD 1.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from screen.model.forward.blocks import padded_inputs, run_to
from screen.model.load import BaseModel


class LayerMeans:
    """`screen.vectors.extract.AllLayers` on a loaded model. The model must hold all its layers."""

    def __init__(self, model: BaseModel, batch: int = 16) -> None:
        self.model, self.batch = model, batch

    def answer_means(
        self, answers: Iterable[tuple[npt.NDArray[np.int32], int, int]]
    ) -> Iterator[npt.NDArray[np.float64]]:
        """For each (ids, start, end): the mean of hidden_states[l] over ids[start:end], for all l, in order.

        Yields (n_layers + 1, d_model) float64. Right-padded batches; memory is one batch's states at one layer.
        """
        stream = iter(answers)
        while chunk := list(islice(stream, self.batch)):
            yield from self._batch(chunk)

    @torch.inference_mode()
    def _batch(self, chunk: list[tuple[npt.NDArray[np.int32], int, int]]) -> npt.NDArray[np.float64]:
        layers = range(self.model.n_layers + 1)
        out = np.empty((len(chunk), len(layers), self.model.d_model), dtype=np.float64)

        def see(layer: int, hidden: torch.Tensor) -> None:
            for i, (_, start, end) in enumerate(chunk):
                out[i, layer] = hidden[i, start:end].to(torch.float64).mean(0).cpu().numpy()

        run_to(self.model, layers, see, padded_inputs(self.model, [ids for ids, _, _ in chunk]))
        return out
