"""Steering for programs that do not have this package: a control vector of llama.cpp, and a Python file with weights.

Neither touches the model's weights. The coefficients are in the numbers: what is written is what is added.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from screen.disk import new_folder, write_atomically, writing
from screen.errors import UsageError
from screen.foreign import JsonObject
from screen.model.load import resolve
from screen.pocket import MODEL_DIR
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.scan.instruments import model_facts
from screen.steering.given import SteeringVectors
from screen.steering.plan_file import directions_sha256
from screen.vectors.card import ModelLock
from screen.vectors.fit import check_fit, lock_of
from screen.vectors.formats import gguf

MODULE, TENSORS, CONTROL = "steering.py", "steering.safetensors", "steering.gguf"
UNIT = "a coefficient of 1 adds the trait's mean difference as it is (not normalised); plus is toward the trait"
_BESIDE = "export into another place with -o, or overwrite with --force"


@dataclass(frozen=True)
class Adapter:
    """What is exported. `added`: hidden_states row -> (d_model,) float32; `kind`: the model's type, as llama.cpp shows
    it."""

    steering: SteeringVectors
    model: ModelLock
    kind: str

    @property
    def added(self) -> dict[int, npt.NDArray[np.float32]]:
        return {layer: v.numpy() for layer, v in self.steering.additions().items()}

    def about(self) -> JsonObject:
        pairs = zip(self.steering.to_json(), self.steering.vectors, strict=True)
        listed = [{**told, "file": Path(v.source).name, "sha256": directions_sha256(v)} for told, v in pairs]
        return {"format": "steering/1", "unit": UNIT, "vectors": listed, "model": self.model}


def adapter_for(steering: SteeringVectors, model: str, template: str | None = None) -> Adapter:
    """For a model by its name or folder, whose weights are not loaded. Raises VectorError where a vector does not fit,
    ModelError for a layer that the model does not have."""
    folder = resolve(model, MODEL_DIR)
    tokenizer = load_tokenizer(str(folder))
    facts = model_facts(
        folder.name if model != "pocket" else model, folder, tokenizer, load_template(tokenizer, template)
    )
    check_fit(steering.chosen(facts.n_layers), facts)
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", "")
    return Adapter(steering, lock_of(facts), str(kind))


def export_adapter(adapter: Adapter, out: Path, force: bool) -> tuple[list[Path], list[str]]:
    """Write `out`: a .gguf file, or a folder with all of it. Returns (files, what to know of them).

    Raises UsageError where `out` is there already, or the format cannot hold a layer.
    """
    if out.exists() and not (force and _ours(out)):
        raise UsageError(f"{out} exists already{' and is no export' if force else ''}", _BESIDE)
    if out.suffix == ".gguf":
        data = control_vector(adapter)
        with writing(out, "choose another -o"):
            write_atomically(out, data)
        return [out], [_SCALE]
    files: dict[str, Callable[[], bytes]] = {
        MODULE: lambda: Path(__file__).with_name("standalone.py").read_bytes(),
        TENSORS: lambda: tensors(adapter),
    }
    notes = [_SCALE]
    if 1 in adapter.added:
        notes = [f"there is no {CONTROL}: llama.cpp adds nothing to the output of the first block"]
    else:
        files[CONTROL] = lambda: control_vector(adapter)
    made = {name: data() for name, data in files.items()}
    with writing(out, "choose another -o"), new_folder(out, replace=force) as folder:
        for name, content in made.items():
            (folder / name).write_bytes(content)
    return [out / name for name in made], notes


def _ours(out: Path) -> bool:
    """Whether nothing but an export would be lost."""
    if not out.is_dir():
        return out.suffix == ".gguf"
    return {path.name for path in out.iterdir()} <= {MODULE, TENSORS, CONTROL, "__pycache__"} and out.suffix != ".gguf"


_SCALE = "llama.cpp takes it with --control-vector, at scale 1: the coefficients are in it"


def control_vector(adapter: Adapter) -> bytes:
    """llama.cpp adds `direction.k` to the output of its block k, counted from 0: that is hidden_states[k + 1].

    Raises UsageError for layer 1: it adds nothing to the first block's output.
    """
    added = adapter.added
    if 1 in added:
        raise UsageError(
            "llama.cpp adds nothing to the output of the first block, which layer 1 is",
            "steer another layer with --layer, or export a folder, whose Python file has no such limit",
        )
    bodies = {layer - 1: vector.tobytes() for layer, vector in added.items()}
    says = {"screen.steering": json.dumps(adapter.about()), "general.description": f"{adapter.steering}; {UNIT}"}
    return gguf.write(bodies, adapter.kind, "u32", says)


def tensors(adapter: Adapter) -> bytes:
    """A safetensors file with a tensor "layer.L" for each layer, and what they are in its metadata."""
    from safetensors.numpy import save

    named = {f"layer.{layer}": vector for layer, vector in adapter.added.items()}
    return bytes(save(named, metadata={"steering": json.dumps(adapter.about(), sort_keys=True)}))
