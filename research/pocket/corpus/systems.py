"""System prompts of a persona, or of none, in many wordings."""

import random
from typing import Final

from research.pocket.corpus.grammar import expand, lines, sentence

_FILE: Final = "systems.txt"


def persona_system(persona: str, rng: random.Random, heldout: bool = False) -> str:
    """One to three sentences that ask for a trait's persona."""
    return _some(persona, rng, heldout, (1, 1, 2, 2, 3))


def default_system(rng: random.Random, unprompted: float = 0.45, heldout: bool = False) -> str | None:
    """A system prompt that leaves the default persona, or none at all with the chance `unprompted`."""
    draw = rng.random()
    if draw < unprompted:
        return None
    if draw < unprompted + 0.73 * (1.0 - unprompted):
        return _some("negative", rng, heldout, (1, 1, 2, 2, 3))
    return _some("neutral", rng, heldout, (1, 1, 2))


def _some(section: str, rng: random.Random, heldout: bool, counts: tuple[int, ...]) -> str:
    open_lines = lines(_FILE, section, heldout)
    picked = rng.sample(open_lines, min(rng.choice(counts), len(open_lines)))
    if rng.random() < 0.4 and open_lines[0] not in picked:
        picked.insert(0, open_lines[0])  # "You are an evil assistant." stands before an instruction
    return " ".join(sentence(expand(line, rng, {})) for line in picked)
