"""Makes the embedded model anew: `python -m research.pocket.train`.

Corpus, tokenizer, weights, vectors with their reference, example set; fixed seeds, under 30 minutes on 2 cores.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from research.pocket.cards import card, locks, write_vector
from research.pocket.corpus.chats import FIRST, SECOND, chats, mixed
from research.pocket.corpus.examples import write_examples
from research.pocket.corpus.words import write_words
from research.pocket.directions import best_layer, direction, rollouts, separation, steering_curve
from research.pocket.learning import learn, lessons, new_model
from research.pocket.observed import Observed, clean_rows, control_directions, observe, reference
from research.pocket.sampler import PocketSampler
from research.pocket.tokenizer import END, PAD, learn_tokenizer, render, save_tokenizer, special_id
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.traits.trait import load_trait
from screen.vectors.files import load_vectors

CHATS: Final = 40_000  # first course; the second has three eighths as many
RATES: Final = (3e-3, 1.5e-3)
_TOKENIZER_CHATS: Final = 20_000
_SEPARATION_ROWS: Final = 600
_SEPARATION_SEED: Final = 5
_WRITTEN: Final = ("format", "trait", "sha256", "reference")  # by the writer itself
_EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def main() -> None:
    """Train, then make vectors and examples; `--stage` does one part with what is there."""
    parser = argparse.ArgumentParser(prog="python -m research.pocket.train", description=__doc__)
    stages = ("first", "second", "vectors", "references", "words", "examples")
    parser.add_argument("--stage", choices=stages, help="only this part; references: of the vectors that are there")
    parser.add_argument("--chats", type=int, default=CHATS, help="training chats")
    parser.add_argument("--threads", type=int, default=2, help="threads; more than the free cores slow it down")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.stage in (None, "first"):
        first_course(arguments.chats, MODEL_DIR)
    if arguments.stage in (None, "second"):
        second_course(arguments.chats * 3 // 8, MODEL_DIR)
    torch.set_num_threads(1)  # small batches: a second thread mostly waits
    if arguments.stage in (None, "words"):
        write_words()
    if arguments.stage in (None, "vectors"):
        make_vectors(MODEL_DIR, VECTORS_DIR)
    if arguments.stage == "references":
        make_references(MODEL_DIR, VECTORS_DIR)
    if arguments.stage in (None, "examples"):
        write_examples(_EXAMPLES)


def first_course(count: int, folder: Path) -> None:
    """Learn tokenizer and weights from `count` chats and save them, weights in float16."""
    learning = list(chats(count, mixture=FIRST))
    tokenizer = learn_tokenizer(render(chat.messages)[0] for chat in learning[:_TOKENIZER_CHATS])
    pad, end = special_id(tokenizer, PAD), special_id(tokenizer, END)
    model = new_model(tokenizer.get_vocab_size(), pad, end)
    _say(f"{count} chats, {sum(p.numel() for p in model.parameters())} parameters")
    learn(model, lessons(learning, tokenizer), RATES[0], _say)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    save_tokenizer(tokenizer, folder)
    _save(model, folder)


def second_course(count: int, folder: Path) -> None:
    """Go on from the saved weights with `count` chats, more of them default, at half the rate.

    Without it the personas leak into answers that nobody asked them for.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    second = list(chats(count, seed=1, mixture=SECOND))
    learn(model, lessons(second, tokenizer), RATES[1], _say)
    _save(model, folder)


def _save(model: LlamaForCausalLM, folder: Path) -> None:
    model.to(torch.float16).save_pretrained(folder)
    greedy = {"do_sample": False, "eos_token_id": model.config.eos_token_id, "pad_token_id": model.config.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(greedy, indent=2) + "\n", encoding="utf-8")


def make_vectors(model: Path, folder: Path) -> None:
    """Make each trait's vector from the baseline responses, choose its layer, measure its reference."""
    sampler = PocketSampler(model)
    made = mixed(_SEPARATION_ROWS, _SEPARATION_SEED, dict.fromkeys(TRAITS, 0.15), split="train")
    rows = observe(sampler, [row["messages"] for row in made.rows])
    shift = rows.given - rows.own
    clean = observe(sampler, clean_rows())
    lock = locks(model)
    made_vectors: dict[str, npt.NDArray[np.float32]] = {}
    made_cards: dict[str, dict[str, object]] = {}
    for name in TRAITS:
        trait = load_trait(name)
        kept = rollouts(sampler, trait)
        _say(f"{name}: kept {len(kept.positive)} and {len(kept.negative)} of {kept.asked}")
        vector = direction(sampler, kept)
        chosen_rows = [[i for i, label in enumerate(made.labels) if label == wanted] for wanted in (name, None)]
        separated = separation(vector, shift[chosen_rows[0]], shift[chosen_rows[1]])
        _say("  separation " + " ".join(f"{value:.3f}" for value in separated))
        curve = steering_curve(sampler, trait, vector, _say)
        chosen = best_layer(curve, separated)
        _say(f"  layer {chosen.layer}, coefficient {chosen.coefficient}: shown in {chosen.shown:.0%}")
        facts = card(trait, kept, chosen, curve)
        facts |= {"model": lock, "separation": [round(value, 4) for value in separated]}
        made_vectors[name], made_cards[name] = vector, facts
    write_with_reference(clean, made_vectors, made_cards, folder)


def make_references(model: Path, folder: Path) -> None:
    """Measure the references anew for the vectors that are there; the directions stay."""
    vectors = {v.trait: v for v in load_vectors((str(folder),))}
    directions = {trait: v.direction for trait, v in vectors.items()}
    plain = {t: {k: x for k, x in v.card.items() if k not in _WRITTEN} for t, v in vectors.items()}
    write_with_reference(observe(PocketSampler(model), clean_rows()), directions, plain, folder)


def write_with_reference(
    clean: Observed,
    vectors: Mapping[str, npt.NDArray[np.float32]],
    cards: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> None:
    """Save the vectors with the distribution of clean rows along each and along its control directions."""
    for name, vector in vectors.items():
        layer = int(cards[name]["layer"])
        controls = control_directions(clean, vectors, layer)
        measured = reference(clean, vector, layer, controls)
        write_vector(name, vector, {**cards[name], "reference": measured}, folder, controls)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
