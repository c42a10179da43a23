"""What the user says of a file that does not say it itself."""

from __future__ import annotations

from dataclasses import dataclass

CONVENTIONS = ("hs", "block", "persona-vectors", "assistant-axis", "repeng", "llama.cpp")
SIGNS = ("toward", "away")
POOLINGS = ("response_mean", "prompt_mean", "prompt_last", "last_token")
_FIELDS = ("trait", "layer", "convention", "model", "n_layers", "pooling", "sign", "key")


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user says of a file; None where nothing is said. `layer` is a hidden_states row."""

    trait: str | None = None
    layer: int | None = None
    convention: str | None = None
    model: str | None = None
    n_layers: int | None = None
    d_model: int | None = None
    config_sha256: str | None = None
    pooling: str | None = None
    sign: str | None = None  # where plus points in the file, seen from the trait
    key: str | None = None

    @property
    def turned(self) -> bool:
        """The file points away from the trait, so its numbers change sign."""
        return self.sign == "away"

    def given(self) -> dict[str, str | int]:
        return {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
