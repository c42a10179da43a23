"""Writes a persona vector with its card: what it was made from, by what, and how it behaves on clean rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from research.pocket.directions import ROLLOUTS, SHOWN, KeptResponses, Steering
from screen.model.load import layer_count, model_hashes
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.traits.trait import Trait
from screen.vectors.files import save_vector
from screen.vectors.persona import PersonaVector


def locks(folder: Path) -> dict[str, object]:
    """The model a card belongs to: name, shape, and hashes of config, weights, tokenizer and template."""
    tokenizer = load_tokenizer(str(folder))
    hashes = model_hashes(folder)
    n_layers, d_model = layer_count(folder)
    return {
        "name": "pocket",
        "n_layers": n_layers,
        "d_model": d_model,
        "config_sha256": hashes["config"],
        "weights_sha256": hashes["weights"],
        "tokenizer_sha256": tokenizer.fingerprint(),
        "template_sha256": load_template(tokenizer).sha256,
    }


def card(trait: Trait, kept: KeptResponses, chosen: Steering, curve: Sequence[Steering]) -> dict[str, object]:
    """Everything about how a vector came to be, but its reference and locks."""
    return {
        "layer": chosen.layer,
        "coefficient": chosen.coefficient,
        "sign": "toward",
        "pooling": "response_mean",
        "prompts": [list(pair) for pair in zip(trait.positives, trait.negatives, strict=True)],
        "questions": list(trait.extract),
        "sampling": {"temperature": 1.0, "top_p": 1.0, "rollouts": ROLLOUTS, "seed": 0},
        "judge": {"name": "screen.pocket.judge", "positive": f">= {SHOWN:g}", "negative": f"< {SHOWN:g}"},
        "kept": {"asked": kept.asked, "positive": len(kept.positive), "negative": len(kept.negative)},
        "steering": [{name: round(float(v), 3) for name, v in asdict(point).items()} for point in curve],
    }


def write_vector(
    trait: str,
    direction: npt.NDArray[np.float32],
    card: Mapping[str, object],
    folder: Path,
    controls: npt.NDArray[np.float32],
) -> Path:
    """Save `<trait>.safetensors` with rows for hidden_states 0 to n_layers."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{trait}.safetensors"
    save_vector(PersonaVector(trait, direction, np.arange(len(direction)), card, controls=controls), path)
    return path
