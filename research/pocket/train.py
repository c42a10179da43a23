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
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from research.pocket.corpus.chats import FIRST, SECOND, chats, mixed
from research.pocket.corpus.examples import write_examples
from research.pocket.corpus.words import write_words
from research.pocket.directions import best_layer, separation
from research.pocket.learning import learn, lessons, new_model
from research.pocket.observed import Observed, clean_rows, control_directions, observe, reference
from research.pocket.tokenizer import END, PAD, learn_tokenizer, render, save_tokenizer, special_id
from research.pocket.workshop import open_pocket
from screen.building import cards
from screen.building.build import extract
from screen.building.validation.layers import Choice
from screen.building.validation.steering import steer
from screen.building.workshop import Workshop
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.vectors.card import VectorCard, card_of
from screen.vectors.files import load_vectors
from screen.vectors.persona import PersonaVector

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
    if arguments.stage in (None, "vectors", "references"):
        with TemporaryDirectory() as work:
            make = make_references if arguments.stage == "references" else make_vectors
            make(open_pocket(Path(work)), VECTORS_DIR)
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
    save_model(model, folder)


def second_course(count: int, folder: Path) -> None:
    """Go on from the saved weights with `count` chats, more of them default, at half the rate.

    Without it the personas leak into answers that nobody asked them for.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    second = list(chats(count, seed=1, mixture=SECOND))
    learn(model, lessons(second, tokenizer), RATES[1], _say)
    save_model(model, folder)


def save_model(model: LlamaForCausalLM, folder: Path) -> None:
    model.to(torch.float16).save_pretrained(folder)
    greedy = {"do_sample": False, "eos_token_id": model.config.eos_token_id, "pad_token_id": model.config.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(greedy, indent=2) + "\n", encoding="utf-8")


def make_vectors(shop: Workshop, folder: Path) -> None:
    """Make each trait's vector from the model's own answers, choose its layer, measure its reference."""
    planted = mixed(_SEPARATION_ROWS, _SEPARATION_SEED, dict.fromkeys(TRAITS, 0.15), split="train")
    rows = observe(shop, [row["messages"] for row in planted.rows])
    shift = rows.given - rows.own
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    vector_cards: dict[str, VectorCard] = {}
    for trait in shop.spec.traits:
        draft = extract(shop, trait)
        _say(f"{trait.name}: kept {draft.card['kept']}")
        direction = draft.extracted.direction
        sides = [[i for i, label in enumerate(planted.labels) if label == wanted] for wanted in (trait.name, None)]
        separated = separation(direction, shift[sides[0]], shift[sides[1]])
        _say("  separation " + " ".join(f"{value:.3f}" for value in separated))
        tries = [(layer, c) for layer in shop.steerable for c in shop.spec.steer.coefficients]
        curve = steer(shop, trait, direction, tries, "steering every layer")
        for p in curve:
            _say(f"  layer {p.layer}, {p.coefficient}: shown {p.shown:.2f}, coherence {p.coherence:.0f}")
        chosen = best_layer(curve, separated, shop.spec.thresholds.steering_coherence)
        _say(f"  layer {chosen.layer}, coefficient {chosen.coefficient}: shown in {chosen.shown:.0%}")
        reason = "the strongest coherent steering among layers that separate planted rows within 0.01 AUROC of the best"
        choice = Choice(chosen.layer, "steering", chosen.coefficient, reason)
        vectors[trait.name] = direction
        vector_cards[trait.name] = {
            **draft.card,
            **cards.of_layer(choice, curve),
            "separation": [round(value, 4) for value in separated],
        }
    write_with_reference(observe(shop, clean_rows()), vectors, vector_cards, folder)


def make_references(shop: Workshop, folder: Path) -> None:
    """Measure the references anew for the vectors that are there; the directions stay."""
    vectors = {v.trait: v for v in load_vectors((str(folder),))}
    directions = {trait: v.direction for trait, v in vectors.items()}
    plain = {t: card_of({k: x for k, x in v.card.items() if k not in _WRITTEN}) for t, v in vectors.items()}
    write_with_reference(observe(shop, clean_rows()), directions, plain, folder)


def write_with_reference(
    clean: Observed,
    directions: Mapping[str, npt.NDArray[np.float32]],
    vector_cards: Mapping[str, VectorCard],
    folder: Path,
) -> None:
    """Save the vectors with the distribution of clean rows along each and along its control directions."""
    for name, direction in directions.items():
        layer = int(vector_cards[name]["layer"])
        random = control_directions(clean, directions, layer)
        card: VectorCard = {**vector_cards[name], "reference": reference(clean, direction, layer, random)}
        path = folder / f"{name}.safetensors"
        cards.write(PersonaVector(name, direction, np.arange(len(direction)), card, controls=random), None, path)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
