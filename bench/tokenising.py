"""Tokens a second on one core: chats rendered, encoded and masked, beside the tokenizer alone on the same texts.

    python bench/tokenising.py [--model FOLDER] [--toy] [--rows N] [--repeat N] [--unbroken]

Without --model: the embedded model's tokenizer where it is there, else a byte-level BPE trained on the bench's own
text (--toy asks for that). Prints the best of N repeats of each, taken in turns in the same process, and their ratio.
--unbroken prints what answers of a megabyte without a break cost instead, beside a quarter of each.
"""

from __future__ import annotations

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core: before the tokenizer is loaded

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from screen.data.sample import Place, Role, Sample, Skip, Turn
from screen.rendering.rendered import Rendered
from screen.rendering.rendered import Sequence as Tokenised
from screen.rendering.renderer import Renderer
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import Tokenizer, load_tokenizer

EMBEDDED = Path(__file__).parent.parent / "screen" / "pocket" / "model"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYLLABLES = (
    "ka",
    "re",
    "mo",
    "ti",
    "sun",
    "lo",
    "ver",
    "den",
    "pra",
    "sti",
    "ol",
    "quen",
    "ar",
    "mi",
    "the",
    "ing",
    "tion",
    "er",
)


def words(count: int, rng: random.Random, vocabulary: list[str]) -> str:
    """Running text with sentences and paragraphs, its words as unevenly frequent as in real text."""
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    picked = rng.choices(vocabulary, weights, k=count)
    return " ".join(word + rng.choice(["", "", "", "", "", ",", ".", ".\n\n"]) for word in picked)


def chats(rows: int, share: float = 1.0) -> list[Sample]:
    """Conversations of two to six turns, about 180 words each times `share`."""
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(8000)]
    samples = []
    for row in range(rows):
        pairs = rng.randint(1, 3)
        turns = []
        for _ in range(pairs):
            sides: tuple[tuple[Role, int], ...] = (("user", 50 // pairs), ("assistant", 130 // pairs))
            for role, length in sides:
                content = words(max(1, int(length * share * rng.uniform(0.5, 1.5))), rng, vocabulary)
                turns.append(Turn(role, content, scored=role == "assistant"))
        samples.append(Sample(Place(row, "-", row + 1, 0, 0, ""), "chat", "chat", tuple(turns)))
    return samples


def toy(samples: list[Sample]) -> Tokenizer:
    """A byte-level BPE of 8,000 tokens in ChatML."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Backend(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator((turn.content for sample in samples for turn in sample.turns), trainer)
    hf: Any = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>")
    hf.chat_template = CHATML
    return Tokenizer(hf)


def sequences(one: Rendered | Skip) -> tuple[Tokenised, ...]:
    return one.sequences if isinstance(one, Rendered) else ()


def seconds(action: Callable[[], object]) -> float:
    """Processor time: on a shared machine the clock on the wall measures the neighbours."""
    start = time.process_time()
    action()
    return time.process_time() - start


def unbroken(renderer: Renderer) -> None:
    """A step that is quadratic shows as a factor of 16 instead of 4."""
    for unit in ("a", " ", "\n", "!", "漢", "a b", "<|im_end|>", "<|", "<think>", "</think>"):
        spent = []
        for length in (250_000, 1_000_000):
            turns = (Turn("user", "Hi"), Turn("assistant", "x" + unit * (length // len(unit)), scored=True))
            sample = Sample(Place(0, "-", 1, 0, 0, ""), "chat", "chat", turns)
            spent.append(seconds(lambda one=sample: renderer.render([one])))  # type: ignore[misc]
        print(f"{unit!r:12} 250 kB {spent[0]:6.2f} s   1 MB {spent[1]:6.2f} s   factor {spent[1] / spent[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--unbroken", action="store_true")
    given = parser.parse_args()
    path = given.model or (str(EMBEDDED) if not given.toy and (EMBEDDED / "tokenizer.json").exists() else None)
    tokenizer = load_tokenizer(path) if path else toy(chats(1000))
    renderer = Renderer(tokenizer, load_template(tokenizer), context=4096)
    if given.unbroken:
        return unbroken(renderer)
    few = chats(64)
    share = 300 * len(few) / sum(len(s.ids) for one in renderer.render(few) for s in sequences(one))
    samples = chats(given.rows, share)
    batches = [samples[i : i + 512] for i in range(0, len(samples), 512)]
    made = [one for batch in batches for one in renderer.render(batch)]
    assert all(isinstance(one, Rendered) for one in made)
    total = sum(len(s.ids) for one in made for s in sequences(one))
    texts = [["".join(text for text, _ in renderer.show(sample)) for sample in batch] for batch in batches]
    whole, alone = [], []
    for _ in range(given.repeat):
        whole.append(seconds(lambda: [renderer.render(batch) for batch in batches]))
        alone.append(seconds(lambda: [tokenizer.encode(batch) for batch in texts]))
    fast, bare = total / min(whole) / 1e6, total / min(alone) / 1e6
    name = Path(path).parent.name if path else "toy byte-level BPE"
    print(f"{name}: {len(samples)} chats, {total / len(samples):.0f} tokens each, one core")
    print(f"encode_batch alone          {bare:.3f} Mtoken/s")
    print(f"rendered, encoded, masked   {fast:.3f} Mtoken/s   ratio {fast / bare:.3f}   (goal 0.8)")


if __name__ == "__main__":
    main()
