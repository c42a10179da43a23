"""Do these vectors belong to this model? Asked before any work; the field that does not fit is named.

Knows models only as a `ModelFacts`, so that vectors can be checked without loading one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from screen.errors import UsageError, VectorError
from screen.vectors.card import ModelLock
from screen.vectors.persona import PersonaVector, VectorSet


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a card is checked against. Hashes are SHA-256 hex, "" where there is nothing to hash."""

    name: str
    n_layers: int
    d_model: int
    config: str = ""
    weights: str = ""
    tokenizer: str = ""
    template: str = ""


def lock_of(model: ModelFacts) -> ModelLock:
    """The model as cards and plans name it."""
    return {
        "name": model.name,
        "n_layers": model.n_layers,
        "d_model": model.d_model,
        "config_sha256": model.config,
        "weights_sha256": model.weights,
        "tokenizer_sha256": model.tokenizer,
        "template_sha256": model.template,
    }


_LOCKS = (
    ("config", "config_sha256"),
    ("weights", "weights_sha256"),
    ("tokenizer", "tokenizer_sha256"),
    ("template", "template_sha256"),
)


def choose(vectors: Sequence[PersonaVector], traits: Sequence[str], layers: Mapping[str, int]) -> VectorSet:
    """The vectors a run applies, in the order of `traits` (or as found), each with its layer."""
    by_name = {v.trait: v for v in vectors}
    wanted = list(traits) or list(by_name)
    for name in [*wanted, *layers]:
        if name not in by_name:
            raise UsageError(
                f"no vector for the trait {name!r} (found: {', '.join(sorted(by_name)) or 'none'})",
                "check --traits and --layer, or add its file with --vectors",
            )
    alike = {name.lower(): name for name in wanted}
    if len(alike) < len(wanted):
        twice = sorted(set(wanted) - set(alike.values()))[0]
        raise UsageError(
            f"the traits {twice!r} and {alike[twice.lower()]!r} differ in case only, and SQL takes them for one",
            "rename one of the vectors, or leave one out with --traits",
        )
    chosen = [by_name[name] for name in wanted]
    picked = []
    for v in chosen:
        layer = layers.get(v.trait, v.layer)
        if layer is None:
            raise VectorError(
                f"{v.source}: the file does not say which layer to screen for {v.trait!r}",
                f"state it: --layer {v.trait}=L, e.g. the layer its authors recommend",
            )
        v.unit(layer)  # raises where there is no usable direction at that layer
        picked.append(layer)
    return VectorSet(tuple(chosen), tuple(picked))


def check_fit(vectors: VectorSet, model: ModelFacts) -> None:
    """Raises VectorError naming the first field of a vector that does not fit the model."""
    for v, layer in zip(vectors.vectors, vectors.layers, strict=True):
        if v.d_model != model.d_model:
            _refuse(v, model, "hidden size", v.d_model, model.d_model)
        deepest = int(v.hs_index.max())
        if deepest > model.n_layers:
            _refuse(v, model, "layer count", deepest, model.n_layers)
        on_card: object = v.card.get("model")
        locked = on_card if isinstance(on_card, Mapping) else {}
        if "n_layers" in locked and locked["n_layers"] != model.n_layers:
            _refuse(v, model, "layer count", locked["n_layers"], model.n_layers)
        for field, key in _LOCKS:
            ours = getattr(model, field)
            if locked.get(key) and ours and locked[key] != ours:
                _refuse(v, model, key, str(locked[key])[:19], ours[:19])
        if layer > model.n_layers or layer < 0:
            raise VectorError(
                f"layer {layer} for {v.trait!r} is not there: {model.name} has layers 0 to {model.n_layers}",
                f"choose one of these, e.g. --layer {v.trait}={model.n_layers // 2}",
            )


def _refuse(v: PersonaVector, model: ModelFacts, field: str, theirs: object, ours: object) -> None:
    if field == "template_sha256":
        raise VectorError(
            f"{v.source or v.trait} was made with another chat template than this run's: its {field} is {theirs},"
            f" this run's is {ours}",
            "leave out --template, or build the vector anew with this one",
        )
    raise VectorError(
        f"{v.source or v.trait} was not made for {model.name}: its {field} is {theirs}, the model's is {ours}",
        "use the vectors made for this model, or the model they were made for (--model)",
    )
