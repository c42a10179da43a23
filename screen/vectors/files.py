"""Vector files: the native safetensors with a card; files of other tools by way of `formats`.

Native: `direction` (n, d_model) float32, `hs_index` (n,) int64, and the card as JSON under the metadata key
`card` (METHOD: vector files). The card holds a digest of the whole file, its own text included; in files of the format
persona-vector/1, which are read as well, only one of the directions. Its header is checked entry by entry in this
process, because a scan loads it; files of other tools are parsed in a child process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from screen import seal
from screen.disk import write_atomically, writing
from screen.errors import UsageError, VectorError
from screen.tensor_header import unique_json
from screen.vectors.card import VectorCard, card_of
from screen.vectors.checks import checked
from screen.vectors.controls import key
from screen.vectors.formats import safetensors
from screen.vectors.formats.arrays import GET_AGAIN, FileContents, Unreadable
from screen.vectors.formats.sandbox import read_bytes, to_numpy
from screen.vectors.interchange.amend import amended
from screen.vectors.interchange.incoming import foreign
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector

CARD_FORMAT = "persona-vector/2"
_UNSEALED = "persona-vector/1"  # two bits away from the other: no single flip makes a file look so
UNWRITABLE = "check the folder and its permissions"
LOADED = (".safetensors", ".pt")
_FOREIGN = (".gguf", ".npy", ".npz")


def save_vector(vector: PersonaVector, path: Path) -> None:
    """Write the native file, whole or not at all. The card gets `format`, `trait` and the digests."""
    from safetensors.numpy import save

    direction = np.ascontiguousarray(vector.direction, dtype=np.float32)
    card: VectorCard = {
        **vector.card,
        "format": CARD_FORMAT,
        "trait": vector.trait,
        "sha256": hashlib.sha256(direction.tobytes()).hexdigest(),
        "seal": seal.BLANK,
    }
    tensors = {"direction": direction, "hs_index": np.asarray(vector.hs_index, dtype=np.int64)}
    if vector.controls is not None:
        tensors["controls"] = np.ascontiguousarray(vector.controls, dtype=np.float32)
    data = seal.sealed_tensors(save(tensors, metadata={"card": json.dumps(card, sort_keys=True)}))
    with writing(path, UNWRITABLE):
        write_atomically(path, data)


def load_vector(path: Path) -> PersonaVector:
    """Read one vector file. Raises VectorError for a file that is damaged, hostile or of an unknown kind."""
    if not path.is_file():
        raise VectorError(f"no vector file at {path}", "check the path given to --vectors")
    if path.suffix in _FOREIGN:
        raise VectorError(
            f"{path}: a {path.suffix} file says neither its model nor its pooling, so it is not used as it is",
            f"import it first: screen vectors import {path} -o vectors/",
        )
    if path.suffix not in LOADED:
        raise VectorError(
            f"{path}: vector files are .safetensors (with a card) or .pt, not {path.suffix or 'without a suffix'}",
            "give --vectors a file of one of these kinds, or a folder of them",
        )
    data = read_bytes(path)
    if path.suffix == ".safetensors":
        return _native(path, data)
    try:
        return foreign(path, data, Stated())
    except UsageError as error:
        raise VectorError(error.message, f"import it first: screen vectors import {path} --help") from None


def load_vectors(paths: tuple[str, ...]) -> list[PersonaVector]:
    """Every vector under `paths` (files, or folders read in name order). Two of one trait are refused."""
    vectors = [load_vector(file) for file in vector_files(paths)]
    seen: dict[str, str] = {}
    for v in vectors:
        if v.trait in seen:
            raise VectorError(
                f"two vectors for the trait {v.trait!r}: {seen[v.trait]} and {v.source}",
                "give --vectors one file a trait",
            )
        seen[v.trait] = v.source
    return vectors


def vector_files(paths: tuple[str, ...]) -> list[Path]:
    """The files that `paths` name: themselves, or what a folder holds that can be loaded."""
    files: list[Path] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            in_folder = sorted(p for p in path.iterdir() if p.suffix in LOADED and not p.name.startswith("."))
            if not in_folder:
                raise VectorError(f"no .safetensors or .pt file in {path}", "check the folder given to --vectors")
            files += in_folder
        else:
            files.append(path)
    return files


def import_vector(path: Path, stated: Stated) -> PersonaVector:
    """A vector from a file of any kind, with what the user states about it on its card."""
    data = read_bytes(path)
    if data[8:9] == b"{" and _has_card(path, data):
        return amended(_native(path, data), data, stated)
    return foreign(path, data, stated)


def _has_card(path: Path, data: bytes) -> bool:
    return "card" in _parsed(path, data).says


def _parsed(path: Path, data: bytes) -> FileContents:
    try:
        return safetensors.read(data)
    except Unreadable as error:
        raise VectorError(f"{path}: {error.message}", error.next_step) from None


def _native(path: Path, data: bytes) -> PersonaVector:
    contents = _parsed(path, data)
    card = _card(path, contents)
    if card["format"] == CARD_FORMAT:
        try:
            seal.check_tensors(data)
        except seal.Broken as error:
            raise VectorError(f"{path} is damaged: {error}", "get the file again, or build the vector again") from None
    if set(contents.arrays) - {"controls"} != {"direction", "hs_index"}:
        raise VectorError(
            f"{path}: it holds {', '.join(ascii(n[:40]) for n in sorted(contents.arrays)[:8]) or 'nothing'}, not"
            " `direction` and `hs_index`",
            "the file is damaged; get it again",
        )
    direction, index = (to_numpy(contents.arrays[name], data) for name in ("direction", "hs_index"))
    if card.get("sha256") != hashlib.sha256(direction.data).hexdigest():
        raise VectorError(f"{path}: the directions do not match the card's sha256", "get the file again")
    controls = to_numpy(contents.arrays["controls"], data) if "controls" in contents.arrays else None
    if controls is not None and key(controls) != _controls_key(card):
        raise VectorError(f"{path}: the control directions do not match the card's digest", "get the file again")
    trait = card.get("trait")
    if not isinstance(trait, str):
        raise VectorError(f"{path}: the card names no trait", "the file is damaged; get it again")
    kept = {name: value for name, value in card.items() if name != seal.SEAL}
    return checked(PersonaVector(trait, direction, index, card_of(kept), str(path), _warnings(card), controls))


def _controls_key(card: VectorCard) -> object:
    """The digest under which the card's reference knows its control directions."""
    reference = card.get("reference")
    known = reference.get("controls") if isinstance(reference, Mapping) else None
    return known.get("key") if isinstance(known, Mapping) else None


def _card(path: Path, contents: FileContents) -> VectorCard:
    try:
        card = unique_json(str(contents.says.get("card", "null")))
    except ValueError as error:
        raise VectorError(f"{path}: the card is not readable JSON ({error})", GET_AGAIN) from None
    if not isinstance(card, dict) or card.get("format") not in (CARD_FORMAT, _UNSEALED):
        raise VectorError(
            f"{path}: the file has no card of the format {CARD_FORMAT}, so its model, sign and layers are unknown",
            f"state them on import: screen vectors import {path} --convention ... -o vectors/",
        )
    layer = card.get("layer")
    if layer is not None and (type(layer) is not int or layer < 0):
        raise VectorError(f"{path}: the card's layer is {str(layer)[:40]!a}", "the file is damaged; get it again")
    return card_of(card)


def _warnings(card: VectorCard) -> tuple[str, ...]:
    warnings = card.get("warnings")
    return tuple(str(w)[:500] for w in warnings) if isinstance(warnings, list) else ()
