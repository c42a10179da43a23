"""`screen.load_vectors` and `screen.build_vectors`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from screen.endpoint.client import Endpoint
from screen.library import devices, early, settings
from screen.library.options import BuildOptions, check_names, check_types, check_values, keywords
from screen.progress import Progress
from screen.traits.trait import Trait, load_trait
from screen.vectors.persona import PersonaVector

if TYPE_CHECKING:
    from screen.building.build import Built
    from screen.building.judges import Kind
    from screen.building.spec import BuildSpec

Traits: TypeAlias = str | os.PathLike[str] | Trait | Sequence[str | os.PathLike[str] | Trait]
_OUT = "vectors"
_SAME = ("rollouts", "held_out", "max_new_tokens", "temperature", "seed", "minimum", "layer_by", "denoise", "force")


def load_vectors(
    vectors: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
) -> dict[str, PersonaVector]:
    """Trait -> its vector, from files (.safetensors with a card, .pt) and folders; without any, the embedded model's.

    `direction` is (n, d_model) float32, not normalised, and points toward the trait; `hs_index` (n,) int64 says which
    of a model's hidden_states each row is of; `card` says what it was made from. Loads no model.

    Raises VectorError for a file that is missing, damaged or of another kind, and for two of one trait.

    >>> evil = screen.load_vectors()["evil"]
    >>> evil.direction.shape, evil.direction.dtype.name, evil.layer
    ((7, 192), 'float32', 5)
    """
    from screen.pocket import VECTORS_DIR
    from screen.vectors import files

    found = files.load_vectors(settings.paths(vectors) or (str(VECTORS_DIR),))
    return {vector.trait: vector for vector in found}


@keywords(BuildOptions)
def build_vectors(traits: Traits, **options: Unpack[BuildOptions]) -> Built:
    """From traits to validated vectors for a model, saved as `out`/TRAIT.safetensors; goes on where a build stopped.

    traits   names of the library (`screen traits list`), paths of YAML files, or Trait objects; one or several
    options  the flags of `screen vectors build`, by name: model, judge, rollouts, out, ...
             (screen.library.options.BuildOptions has them all, each with its default)

    `vectors` holds each vector with its path and card, `refused` a VectorError for each that is no better than its
    controls, or whose trait the model does not show: the others are saved all the same.

    Raises UsageError for a setting or a trait, ModelError for a model, that cannot be used. Prints nothing.

    One answer of eight tokens to each prompt is soon made, and too little:

    >>> few = {"rollouts": 1, "held_out": 1, "max_new_tokens": 8, "layer_by": "separation"}
    >>> built = screen.build_vectors("evil", out=folder / "vectors", **few)
    >>> built.vectors, built.refused[0].message
    ((), 'evil: no better than its controls: AUROC ...')
    """
    check_names("build_vectors", options, BuildOptions)
    return build_request(traits, options).perform(options.get("progress"))


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a build is asked for, checked as far as that goes without a model."""

    spec: BuildSpec
    out: Path
    judge: Kind
    endpoint: Endpoint | None  # that makes the answers

    def perform(self, progress: Progress | None = None) -> Built:
        from screen.building.build import build_vectors
        from screen.building.judges import judge_for

        judge = judge_for(self.judge, self.spec.model)
        return build_vectors(self.spec, self.out, judge=judge, progress=progress, answers_from=self.endpoint)


def build_request(traits: Traits, options: BuildOptions) -> BuildRequest:
    """Raises the error of the first setting that cannot be acted on."""
    check_types(options, BuildOptions)
    check_values(options)
    model, template = settings.text(options.get("model")) or "pocket", settings.text(options.get("template"))
    out = Path(options.get("out") or _OUT)
    early.check_model(model, template)
    early.check_writable(out)
    asked = (options.get("judge"), options.get("answers"))
    endpoint = Endpoint.from_env() if "endpoint" in asked else None
    devices.check_device(options.get("device") or "auto")
    listed = [traits] if isinstance(traits, str | os.PathLike | Trait) else traits
    chosen = {trait.name: trait for trait in map(_trait, listed)}
    device, dtype = devices.machine(options.get("device") or "auto", options.get("dtype") or "auto")
    given: dict[str, Any] = {name: options.get(name) for name in _SAME if options.get(name) is not None}
    from screen.building.spec import BuildSpec

    spec = BuildSpec(
        traits=tuple(chosen.values()),
        model=model,
        template=template,
        device=device,
        dtype="bfloat16" if dtype == "bfloat16" else "float32",
        **given,
    )
    kind: Any = options.get("judge") or "auto"
    return BuildRequest(spec, out, kind, endpoint if options.get("answers") == "endpoint" else None)


def _trait(given: str | os.PathLike[str] | Trait) -> Trait:
    return given if isinstance(given, Trait) else load_trait(os.fspath(given))
