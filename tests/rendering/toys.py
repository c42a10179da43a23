"""Small tokenizers of the kinds in use, trained on the spot, and samples in a line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from screen.data.sample import Layout, Place, Sample, Turn
from screen.rendering.rendered import Rendered
from screen.rendering.renderer import Renderer
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import Tokenizer

SPECIAL = [
    "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|end|>", "<|User|>", "<|Assistant|>",
]  # fmt: skip
_WORDS = (
    "Hello there, how are you today? I am fine. Thank you; what is the answer?\n\nThe answer is 42.\n\n"
    "user\nassistant\nsystem\n<think>\nLet me see\n</think>\n\nNaïve café über 漢字 😀 ok ok ok\n\n\n  two  spaces"
)
_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KINDS = ("bytes", "pieces", "unigram")


@cache
def backend(kind: str) -> str:
    """The pipeline as JSON: byte-level BPE, SentencePiece-like BPE with byte fallback, or Unigram over NFKC."""
    corpus = [_WORDS, *_WORDS.split("\n"), *_WORDS.split(" ")] * 4
    if kind == "unigram":
        made = Backend(models.Unigram())
        made.normalizer = normalizers.NFKC()
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        made.train_from_iterator(
            corpus,
            trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
        )
        return str(made.to_str())
    if kind == "pieces":
        made = Backend(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=SPECIAL + [f"<0x{i:02X}>" for i in range(256)], show_progress=False
        )
        made.train_from_iterator(corpus, trainer)
        return str(made.to_str())
    made = Backend(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    return str(made.to_str())


def fast(template: str | None = None, kind: str = "bytes") -> Any:
    """A transformers tokenizer with a chat template. The "bytes" kind adds BOS by default, the others do not."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=Backend.from_str(backend(kind)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    made.chat_template = template
    return made


def renderer(template: str | None, kind: str = "bytes", context: int = 4096, **settings: Any) -> Renderer:
    tokenizer = Tokenizer(fast(template, kind))
    return Renderer(tokenizer, load_template(tokenizer), context=context, **settings)


def turn(role: Any, content: str = "", **more: Any) -> Turn:
    return Turn(role, content, **({"scored": role == "assistant"} | more))


def chat(*turns: tuple[str, str] | Turn, layout: Layout = "chat", **more: Any) -> Sample:
    made = tuple(t if isinstance(t, Turn) else turn(*t) for t in turns)
    return Sample(Place(0, "-", 1, 0, 0, ""), "chat", layout, made, **more)


def call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": dict(arguments)}}


def rendered(made: Renderer, sample: Sample) -> Rendered:
    result = made.render([sample])[0]
    assert isinstance(result, Rendered), result
    return result


def texts(made: Renderer, sample: Sample) -> list[str]:
    """The scored texts of all turns."""
    return [t.text for sequence in rendered(made, sample).sequences for t in sequence.turns]


def refusal(made: Renderer, sample: Sample) -> str:
    """The code of the sample's Skip."""
    result = made.render([sample])[0]
    assert not isinstance(result, Rendered), result
    return result.code
