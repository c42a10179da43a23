"""A tokenizer ready for spans: text in, tokens with their true character offsets out. Knows no templates, no samples.

The wrapper encodes with its own copy of the fast tokenizer's pipeline, without post-processing, truncation and
padding: the post-processors of many models trim the spaces off a token's offsets, and then a token that begins
before an answer looks as if it began inside it. Ids are the same either way (special tokens are in the text).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from screen.errors import ModelError
from screen.rendering.spans import Encoding

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend
    from transformers import PreTrainedTokenizerFast

THOUGHT_TAGS = frozenset({f"<{slash}{name}>" for name in ("think", "thinking", "reasoning") for slash in ("", "/")})
BATCH_CHARS = 4_000_000  # characters handed to the tokenizer in one call: bounds its working memory
_NEXT = "give the folder of a model with a fast tokenizer (tokenizer.json), saved by transformers"


class Tokenizer:
    """A fast tokenizer of `transformers` and what rendering needs to know of it."""

    def __init__(self, hf: PreTrainedTokenizerFast) -> None:
        backend = getattr(hf, "backend_tokenizer", None)
        if not getattr(hf, "is_fast", False) or backend is None:
            raise ModelError(f"the tokenizer {type(hf).__name__} cannot map tokens to characters", _NEXT)
        # Set so that a forked child does not print a warning; a user's own choice stands.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self.hf = hf
        self._json = _canonical(backend)
        self._backend = type(backend).from_str(self._json)
        self._backend.post_processor = None
        self._backend.encode_special_tokens = bool(getattr(hf, "split_special_tokens", False))

    @cached_property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included: valid ids are 0 .. vocab_size - 1."""
        return max(self._backend.get_vocab().values(), default=-1) + 1

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the added and special tokens, which are matched in text before all others; not of whitespace."""
        return frozenset(i for i, token in self.hf.added_tokens_decoder.items() if token.content.strip())

    @cached_property
    def special_strings(self) -> frozenset[str]:
        """Text that the tokenizer turns into a token of its own; runs of whitespace and thought tags are left out."""
        texts = {token.content for token in self.hf.added_tokens_decoder.values()}
        return frozenset(text for text in texts if text.strip() and text not in THOUGHT_TAGS)

    @cached_property
    def control_strings(self) -> frozenset[str]:
        """Text of the tokens that the tokenizer calls special: role marks and ends, not tags such as <tool_call>."""
        tokens = self.hf.added_tokens_decoder.values()
        return frozenset(t.content for t in tokens if t.special and t.content.strip()) - THOUGHT_TAGS

    @cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """The tokenizer's own end-of-sequence id, where it has one; a generation config may name more."""
        return () if self.hf.eos_token_id is None else (int(self.hf.eos_token_id),)

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """What the tokenizer puts before untemplated text by default: `(bos,)` or nothing."""
        bare = list(self.hf("a", add_special_tokens=False)["input_ids"])
        full = list(self.hf("a")["input_ids"])
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return tuple(int(i) for i in full[:start])
        return ()

    @cached_property
    def template_variables(self) -> dict[str, object]:
        """The variables that a chat template finds besides the conversation: `bos_token`, `eos_token`, ..."""
        return {str(name): _text(value) for name, value in self.hf.special_tokens_map.items()}

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """One `tokenizers.Encoding` a text, nothing added, nothing cut. Offsets are characters of the text.

        Raises UnicodeEncodeError or TypeError where a text holds lone surrogates.
        """
        encodings: list[Encoding] = []
        for part in _parts(texts):
            encodings += self._backend.encode_batch(part, add_special_tokens=False)
        return encodings

    def count(self, texts: Iterable[str]) -> int:
        """The number of tokens in all texts together, keeping none of them."""
        return sum(len(self._backend.encode_batch_fast([t], add_special_tokens=False)[0]) for t in texts)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids for people: special tokens shown, spaces untouched."""
        return str(self._backend.decode([int(i) for i in ids], skip_special_tokens=False))

    def fingerprint(self) -> str:
        """sha256 (hex) over the tokenizer's pipeline as canonical JSON; truncation and padding do not count."""
        return hashlib.sha256(self._json.encode()).hexdigest()


def load_tokenizer(path: str) -> Tokenizer:
    """The tokenizer of the model at `path` (a folder or a hub id). Code that comes with a model is never run.

    Raises ModelError where there is none, or only a slow one.
    """
    from transformers import AutoTokenizer

    try:
        hf = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except Exception as error:  # transformers raises its own, the hub's, json's and tokenizers' plain Exception
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"no tokenizer can be loaded from {path}: {reason}", _NEXT) from error
    return Tokenizer(hf)


def _canonical(backend: Backend) -> str:
    """The pipeline as JSON with sorted keys, without the state that calls leave behind."""
    try:
        value = json.loads(backend.to_str())
    except Exception as error:  # a pipeline step written in Python cannot be written down
        raise ModelError(f"the tokenizer cannot be written down: {error}", _NEXT) from error
    value["truncation"] = value["padding"] = None
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(value: object) -> object:
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else str(value)


def _parts(texts: Sequence[str]) -> Iterable[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > BATCH_CHARS:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part
