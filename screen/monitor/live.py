"""Projections of a model's tokens while it generates them: from hooks, without a second pass over the model.

    with Monitor(model, "vectors/") as monitor:
        output = model.generate(**inputs, max_new_tokens=200)
        for response in monitor.responses(output):
            print(response.score)

A response's mean is the one that its text has when it is scored afterwards (METHOD section 2). The token that is
generated last is never run by `generate`; where it is not the one that ends the answer it is `unread`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from screen.errors import ModelError, UsageError
from screen.scan.inputs import vectors_of
from screen.steering.hook import blocks_of, unwrapped
from screen.vectors.fit import ModelFacts, check_fit
from screen.vectors.persona import VectorSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Float32 = npt.NDArray[np.float32]
OnTokens = Callable[[Float32], None]


@dataclass(frozen=True)
class LiveResponse:
    """One row of a batch. In units of the activations at each trait's layer, columns in the order of `traits`.

    prompt  (k,) of the prompt's last token; tokens  (n, k) of the response's tokens, without the one that ended it
    ids     (n,) those tokens; unread  1 where the response goes on by a token that the model has not run, else 0
    """

    traits: tuple[str, ...]
    prompt: Float32
    tokens: Float32
    ids: tuple[int, ...]
    unread: int

    @property
    def mean(self) -> Float32:
        """(k,) over the response's tokens; NaN where there is none."""
        if not len(self.tokens):
            return np.full(len(self.traits), np.nan, dtype=np.float32)
        mean: Float32 = self.tokens.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @property
    def score(self) -> dict[str, float]:
        """Trait -> mean less the prompt's last token: what `screen run --baseline last-prompt` scores."""
        return dict(zip(self.traits, (self.mean - self.prompt).tolist(), strict=True))


class Monitor:
    """Watches one model inside a `with` block. Holds the responses of the latest call of `generate`.

    model    a causal language model of transformers, also below peft's and torch.compile's wrappers
    vectors  files or folders, or a set that is loaded; their cards name the layers, unless `layers` does
    each     is told, at each step of the generation, (rows, k) projections: first of the prompts' last tokens, then
             of each token as the model runs it

    Greedy and sampled generation, any batch, with or without a key-value cache. Raises ModelError for a model without
    a stack of blocks, VectorError for vectors that do not fit it. That the weights are those that a card names is not
    asked: a fine-tuned model is watched with the vectors of its base.
    """

    def __init__(
        self,
        model: PreTrainedModel | nn.Module,
        vectors: str | Path | Sequence[str | Path] | VectorSet,
        *,
        traits: Sequence[str] = (),
        layers: Mapping[str, int] | None = None,
        each: OnTokens | None = None,
    ) -> None:
        blocks = blocks_of(model)
        bare = unwrapped(model)
        base = getattr(type(bare), "get_base_model", None)  # of peft's wrapper
        causal: PreTrainedModel = bare if base is None else base(bare)
        self._causal = causal
        if not isinstance(vectors, VectorSet):
            paths = (vectors,) if isinstance(vectors, str | Path) else tuple(vectors)
            vectors = vectors_of("", tuple(map(str, paths)), traits, layers)
        text = causal.config.get_text_config()
        check_fit(vectors, ModelFacts(type(bare).__name__, len(blocks), int(text.hidden_size)))
        self.vectors, self.traits, self._blocks, self._each = vectors, vectors.traits, blocks, each
        self._ends = _ends(self._causal)
        self._hooks: ExitStack | None = None
        self._batch: _Batch | None = None

    def __enter__(self) -> Monitor:
        if self._hooks is not None:
            raise UsageError("this monitor watches already", "make another one to nest them")
        matrix = torch.from_numpy(self.vectors.matrix())
        with ExitStack() as hooks:
            hooks.callback(self._causal.register_forward_pre_hook(self._begin, with_kwargs=True).remove)
            for layer in sorted(set(self.vectors.layers)):
                columns = [i for i, at in enumerate(self.vectors.layers) if at == layer]
                hooks.callback(self._reads(layer, columns, matrix[columns]))
            hooks.callback(self._causal.register_forward_hook(self._end).remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        hooks, self._hooks = self._hooks, None
        if hooks is not None:
            hooks.close()

    def responses(self, sequences: torch.Tensor | None = None) -> list[LiveResponse]:
        """One a row of the latest batch, so far. `sequences`: what `generate` returned, (rows, width) token ids or the
        object that holds them, to be held against what was read.

        Raises ModelError where they are other tokens than those that the model ran: beams change places and drafts of
        assisted generation are dropped, unseen by a hook.
        """
        if self._batch is None:
            return []
        given = getattr(sequences, "sequences", sequences)
        return self._batch.responses(self.traits, self._ends, None if given is None else given.cpu().numpy())

    def _reads(self, layer: int, columns: list[int], directions: torch.Tensor) -> Callable[[], None]:
        """Hook what gives hidden_states[layer]; returns how to take it away. directions: (columns, d_model) float32."""

        def see(output: object) -> None:
            hidden = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", output)
            if not isinstance(hidden, torch.Tensor) or hidden.ndim != 3 or self._batch is None:
                return
            self._batch.add(columns, hidden, directions)

        if layer == 0:
            return (
                self._blocks[0]
                .register_forward_pre_hook(
                    lambda _module, args, kwargs: see(args[0] if args else kwargs.get("hidden_states")),
                    with_kwargs=True,
                )
                .remove
            )
        # after the last block the final norm follows, as in hidden_states[-1]
        place = self._blocks[layer - 1] if layer < len(self._blocks) else self._causal.base_model
        return place.register_forward_hook(lambda _module, _args, output: see(output)).remove

    def _begin(self, _module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Before a pass: is it a prompt, or does it go on with the response?"""
        ids = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(ids, torch.Tensor):
            raise ModelError("a model that is given embeddings cannot be monitored", "give it input_ids")
        kept = kwargs.get("logits_to_keep")
        if ids.shape[1] > 1 and isinstance(kept, int) and kept > 1:
            raise ModelError("assisted generation cannot be monitored: drafts are dropped", "generate without a draft")
        past = kwargs.get("past_key_values")
        cached = int(past.get_seq_length()) if past is not None and hasattr(past, "get_seq_length") else 0
        if self._batch is None or not self._batch.goes_on(ids, cached):
            mask = kwargs.get("attention_mask")
            self._batch = _Batch(ids, mask if isinstance(mask, torch.Tensor) else None, cached, len(self.traits))

    def _end(self, _module: nn.Module, _args: object, _output: object) -> None:
        if self._batch is not None and self._each is not None:
            self._each(self._batch.latest())


class _Batch:
    """One call of `generate`: a pass over the prompts, then a pass a token. Numbers stay on their device until they are
    asked for."""

    def __init__(self, ids: torch.Tensor, mask: torch.Tensor | None, cached: int, columns: int) -> None:
        self.rows, self.width = ids.shape
        self.cached, self.columns = cached, columns
        self.prompts = ids
        self.fed: list[torch.Tensor] = []  # (rows,) a step: the tokens that were run
        self.steps: list[dict[int, torch.Tensor]] = [{}]  # a pass: column -> (rows,) float32
        own = None if mask is None or mask.ndim != 2 else mask[:, -self.width :]
        places = torch.arange(self.width, device=ids.device)
        self.last = torch.full((self.rows,), self.width - 1, device=ids.device)
        if own is not None and own.shape[1] == self.width:  # of a prompt that is padded on its right, too
            self.last = (own.to(ids.device) * (places + 1)).argmax(dim=1)

    def goes_on(self, ids: torch.Tensor, cached: int) -> bool:
        """Whether a pass is this batch's next token; if so, takes note of it."""
        seen = self.width + len(self.fed)
        if ids.shape[0] != self.rows:
            return False
        if cached:  # only what is new is run
            step = ids.shape[1] == 1 and cached == self.cached + seen
        else:  # without a cache all is run again
            step = ids.shape[1] == seen + 1 and bool(torch.equal(ids[:, : self.width], self.prompts))
            step = step and all(bool(torch.equal(ids[:, self.width + i], t)) for i, t in enumerate(self.fed))
        if step:
            self.fed.append(ids[:, -1])
            self.steps.append({})
        return step

    def add(self, columns: Sequence[int], hidden: torch.Tensor, directions: torch.Tensor) -> None:
        """hidden (rows, seq, d_model) of this pass: of the prompt its last token counts, then the last of all."""
        rows = torch.arange(self.rows, device=hidden.device)
        at = hidden[rows, self.last.to(hidden.device)] if not self.fed else hidden[:, -1]
        found = at.detach().float() @ directions.to(hidden.device).T
        self.steps[-1].update((column, found[:, i]) for i, column in enumerate(columns))

    def latest(self) -> Float32:
        return self._values(self.steps[-1])

    def _values(self, step: Mapping[int, torch.Tensor]) -> Float32:
        """(rows, k)"""
        return np.stack([step[column].cpu().numpy() for column in range(self.columns)], axis=1)

    def responses(
        self, traits: tuple[str, ...], ends: frozenset[int], sequences: npt.NDArray[np.int64] | None
    ) -> list[LiveResponse]:
        values = [self._values(step) for step in self.steps]
        fed = np.stack([t.cpu().numpy() for t in self.fed], axis=1) if self.fed else np.zeros((self.rows, 0), np.int64)
        if sequences is not None:
            self._check(fed, sequences)
        out = []
        for row, ids in enumerate(fed.tolist()):
            n = next((i for i, token in enumerate(ids) if token in ends), len(ids))
            tokens = np.stack([v[row] for v in values[1 : n + 1]]) if n else np.zeros((0, self.columns), np.float32)
            more = sequences is not None and n == len(ids) and int(sequences[row, -1]) not in ends
            out.append(LiveResponse(traits, values[0][row], tokens, tuple(ids[:n]), int(more)))
        return out

    def _check(self, fed: npt.NDArray[np.int64], sequences: npt.NDArray[np.int64]) -> None:
        ran = np.concatenate([self.prompts.cpu().numpy(), fed], axis=1)
        known = sequences[:, -ran.shape[1] - 1 : -1] if sequences.ndim == 2 else sequences
        if known.shape != ran.shape or not np.array_equal(known, ran):
            raise ModelError(
                "what was generated is not what the monitor saw token by token",
                "generate greedily or by sampling, without beams or a draft model, and ask after each call",
            )


def _ends(causal: PreTrainedModel) -> frozenset[int]:
    """Ids that end an answer, and what rows that have ended are filled with."""
    found: set[int] = set()
    for config in (getattr(causal, "generation_config", None), causal.config.get_text_config()):
        for name in ("eos_token_id", "pad_token_id"):
            value = getattr(config, name, None)
            found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(int(i) for i in found)
