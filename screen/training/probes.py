"""What a monitor asks: each trait's evaluation questions, rendered as the trainer's tokenizer renders them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from screen.errors import ModelError, UsageError
from screen.rendering.templates.chat_template import RenderRequest, Template, load_template
from screen.rendering.templates.sandbox import TemplateFailed
from screen.rendering.tokenizer import Tokenizer
from screen.training.reading import Ids, Probe
from screen.traits.trait import LIBRARY, library, read_trait
from screen.vectors.persona import PersonaVector, VectorSet

Questions = Mapping[str, Sequence[str]]


def questions_of(vector: PersonaVector) -> tuple[str, ...]:
    """The evaluation questions on its card, else those of the library's trait of this name. Raises UsageError without
    either."""
    artefacts: object = vector.card.get("artefacts")
    asked = artefacts.get("questions") if isinstance(artefacts, Mapping) else None
    held_out = asked.get("evaluate") if isinstance(asked, Mapping) else None
    if isinstance(held_out, Sequence) and held_out and all(isinstance(q, str) for q in held_out):
        return tuple(held_out)
    name = re.sub(r"[\s_]+", "-", vector.trait.strip().lower())
    if name in library():
        return read_trait(LIBRARY / f"{name}.yaml").evaluate
    raise UsageError(
        f"there are no evaluation questions for the trait {vector.trait!r}: its card has none, nor has the library",
        f'give them: questions={{"{vector.trait}": [...]}}',
    )


def probes_of(vectors: VectorSet, questions: Questions, tokenizer: Tokenizer) -> list[Probe]:
    """A probe a trait and question."""
    template = load_template(tokenizer)
    asked = list(dict.fromkeys(q for trait in vectors.traits for q in questions[trait]))
    prompts = dict(zip(asked, _prompts(asked, template, tokenizer), strict=True))
    units = {t: torch.from_numpy(u.copy()) for t, u in zip(vectors.traits, vectors.matrix(), strict=True)}
    layers = dict(zip(vectors.traits, vectors.layers, strict=True))
    return [Probe(t, prompts[q], layers[t], units[t]) for t in vectors.traits for q in questions[t]]


def _prompts(questions: Sequence[str], template: Template, tokenizer: Tokenizer) -> list[Ids]:
    """Each as the user's only turn, the generation header after it: (seq,) int32."""
    requests = [RenderRequest([{"role": "user", "content": q}], add_generation_prompt=True) for q in questions]
    texts = []
    for made in template.render_all(requests):
        if isinstance(made, TemplateFailed):
            raise ModelError(f"{template.where} makes no prompt: {made}", "train with another chat template")
        texts.append(made.text)
    prefix = tokenizer.prefix_ids if template.adds_prefix else ()
    return [np.asarray([*prefix, *encoded.ids], dtype=np.int32) for encoded in tokenizer.encode(texts)]
