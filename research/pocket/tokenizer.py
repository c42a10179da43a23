"""The embedded model's tokenizer: byte-level BPE with ChatML-like turns. Knows nothing of the corpus."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB: Final = 4096
PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE: Final = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}{{- message['content'] }}
{%- elif message['content'] %}
{%- for part in message['content'] %}{{- part['text'] if part['text'] is string else '' }}{%- endfor %}
{%- endif %}
{%- if message['tool_calls'] %}
{%- for call in message['tool_calls'] %}{{- '\\n' + (call['function'] or call) | tojson }}{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def learn_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the vocabulary; every byte is in it, so that any text can be written and read back."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and a tokenizer_config.json that holds the chat template."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "bos_token": None,
        "model_max_length": 1024,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "chat_template": CHAT_TEMPLATE,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def render(messages: Iterable[dict[str, str]]) -> tuple[str, list[tuple[int, int]]]:
    """Write plain messages as the chat template does; also the character span of each answer with its end mark."""
    text, spans = "", []
    for message in messages:
        text += f"{START}{message['role']}\n"
        begin = len(text)
        text += message["content"] + END
        if message["role"] == "assistant":
            spans.append((begin, len(text)))
        text += "\n"
    return text, spans


def special_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token, which is always there."""
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise ValueError(f"the tokenizer has no {token}")
    return token_id
