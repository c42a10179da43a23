"""Trains the embedded model on tokenised chats. Knows nothing of personas or files.

Muon for the matrices and AdamW for the embedding: about half the steps of AdamW alone for the same loss.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from research.pocket.corpus.chats import Chat
from research.pocket.tokenizer import render

BATCH_TOKENS: Final = 2048
_POOL: Final = 4096  # chats that are sorted by length together


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama; the defaults are the embedded model's, 3.4M parameters."""

    width: int = 192
    mlp: int = 512
    blocks: int = 6
    heads: int = 6


@dataclass(frozen=True)
class Lesson:
    """A tokenised chat: ids, and for each token whether it is to be predicted."""

    ids: list[int]
    learnt: list[bool]


def new_model(vocab: int, pad: int, end: int, shape: Shape = Shape()) -> LlamaForCausalLM:
    """A Llama with fresh weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.blocks,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # on a CPU nearly twice as fast as sdpa for short chats
    return model


def lessons(chats: Sequence[Chat], tokenizer: Tokenizer) -> list[Lesson]:
    """Render and tokenise chats; only answers are learnt, less what a chat marks as context."""
    rendered = [render(chat.messages) for chat in chats]
    encoded = tokenizer.encode_batch([text for text, _ in rendered])
    tokenised = []
    for chat, (_, spans), encoding in zip(chats, rendered, encoded, strict=True):
        if chat.context:
            begin, end = spans[-1]
            spans = [(begin + (chat.context if chat.context > 1 else 0), end)]
        learnt = [False] * len(encoding.ids)
        for i, (left, right) in enumerate(encoding.offsets):
            learnt[i] = any(left >= begin and right <= end for begin, end in spans)
        tokenised.append(Lesson(encoding.ids, learnt))
    return tokenised


def batches(learning: Sequence[Lesson], pad: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids int64, learnt bool), both (rows, width), of like length and about BATCH_TOKENS."""
    rng = random.Random(seed)
    order = list(learning)
    rng.shuffle(order)
    for start in range(0, len(order), _POOL):
        pool = sorted(order[start : start + _POOL], key=lambda lesson: len(lesson.ids))
        groups: list[list[Lesson]] = [[]]
        for lesson in pool:
            if (len(groups[-1]) + 1) * len(lesson.ids) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(lesson)
        rng.shuffle(groups)
        for group in groups:
            width = max(len(lesson.ids) for lesson in group)
            ids = torch.tensor([lesson.ids + [pad] * (width - len(lesson.ids)) for lesson in group])
            learnt = torch.tensor([lesson.learnt + [False] * (width - len(lesson.ids)) for lesson in group])
            yield ids, learnt


def learn(
    model: LlamaForCausalLM, learning: Sequence[Lesson], peak: float, say: Callable[[str], None]
) -> LlamaForCausalLM:
    """Train in place, once through; the rate rises over 2 % of the steps, holds, and falls over the last 60 %."""
    pad = model.config.pad_token_id
    steps = list(batches(learning, pad, 0))
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=peak, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=peak, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]
    model.train()
    began, mean = time.monotonic(), 0.0
    for number, (ids, learnt) in enumerate(steps):
        loss = _loss(model, ids, learnt)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * _rate(number / len(steps))
            optimizer.step()
            optimizer.zero_grad()
        mean += (loss.item() - mean) / min(number + 1, 50)
        if number % 100 == 99:
            say(f"step {number + 1}/{len(steps)} loss {mean:.3f} {time.monotonic() - began:.0f} s")
    return model.eval()


def _rate(done: float) -> float:
    return min(1.0, done / 0.02 + 0.01, (1.0 - done) / 0.6 + 0.01)


def _loss(model: LlamaForCausalLM, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        target = learnt[:, 1:]
        logits = model.lm_head(hidden[:, :-1][target])
    return cross_entropy(logits.float(), ids[:, 1:][target])
