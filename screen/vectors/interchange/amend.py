"""What the user states, put on the card of a vector that is native already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from screen.errors import UsageError
from screen.vectors.card import card_of
from screen.vectors.checks import checked
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector

_MEASURED = ("reference", "steering", "coefficient", "separation", "validation")  # along the direction as it was


def amended(vector: PersonaVector, data: bytes, stated: Stated) -> PersonaVector:
    """A native vector with what the user states put on its card; as it is where nothing is stated."""
    path = Path(vector.source)
    card: dict[str, object] = dict(vector.card)
    given = stated.given()
    for flag in ("convention", "key", "n_layers"):
        if flag in given:
            raise UsageError(
                f"{path}: a native file says its layers itself; --{flag.replace('_', '-')} is for files of other tools",
                "leave the flag out",
            )
    for field, on_card in (("pooling", card.get("pooling")), ("model", _name_of(card.get("model")))):
        if field in given and on_card not in (None, "unstated", given[field]):
            raise UsageError(f"{path}: its card says the {field} is {on_card!a}", f"leave --{field} out")
    if not given:
        return vector
    if "model" in given:
        locked = card.get("model")
        card["model"] = {**(locked if isinstance(locked, Mapping) else {}), "name": given["model"]}
    card.update({k: given[k] for k in ("layer", "pooling") if k in given})
    dropped = [k for k in _MEASURED if stated.turned and k in card]
    for field in dropped:
        del card[field]
    trait = stated.trait or vector.trait
    if stated.turned and stated.trait is None:
        raise UsageError(f"{path}: turned round, it no longer points toward {trait}", "name what: --trait NAME")
    card["origin"] = {
        "format": "native", "file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "stated": given,
        "sign": f"plus means {vector.trait} in the file; {'turned round on import' if stated.turned else 'kept'}",
        "dropped": dropped, "before": card.get("origin"),
    }  # fmt: skip
    direction = -vector.direction if stated.turned else vector.direction
    controls = vector.controls if "reference" in card else None
    amended_vector = PersonaVector(
        trait, direction, vector.hs_index, card_of(card), vector.source, vector.warnings, controls
    )
    if stated.layer is not None:
        amended_vector.unit(stated.layer)
    return checked(amended_vector)


def _name_of(model: object) -> object:
    return model.get("name") if isinstance(model, Mapping) else None
