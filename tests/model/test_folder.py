"""Hostile model folders are refused, with file and field, before anything of them is loaded."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.errors import ModelError
from screen.model.folder import check_folder, weights_of
from screen.model.load import load_model, resolve
from screen.model.safetensors_head import read_head

Spoil = Callable[[Path], object]


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(json.dumps(value))


def config(**fields: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        write(folder, "config.json", json.loads((folder / "config.json").read_text()) | fields)

    return spoil


def index(**where: Any) -> Spoil:
    return lambda folder: write(folder, "model.safetensors.index.json", {"weight_map": where})


def header(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The weight file with another header, its length corrected."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        entries = json.loads(data[8 : 8 + size])
        entries.pop("__metadata__", None)
        change(entries)
        raw = json.dumps(entries).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])

    return spoil


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def elsewhere(folder: Path) -> None:
    moved = folder.parent / "elsewhere.safetensors"
    (folder / "model.safetensors").rename(moved)
    (folder / "model.safetensors").symlink_to(moved)


def linked_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").symlink_to("/etc/hostname")


def raw(data: bytes) -> Spoil:
    return lambda folder: (folder / "model.safetensors").write_bytes(data)


NORM = "model.norm.weight"
HOSTILE: dict[str, tuple[Spoil, str]] = {
    "code": (config(auto_map={"AutoModel": "evil.py--X"}), r"config\.json: auto_map names code .* none is run"),
    "inner code": (config(text_config={"auto_map": {"A": "b"}}), r"config\.json: text_config\.auto_map names code"),
    "tokenizer code": (
        lambda f: write(f, "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}),
        r"tokenizer_config\.json: auto_map names code",
    ),
    "pickle": (pickled, r"pytorch_model\.bin: the weights are pickled"),
    "adapter": (
        lambda f: write(f, "adapter_config.json", {"base_model_name_or_path": "someone/else"}),
        r"adapter_config\.json: the folder is an adapter of 'someone/else'",
    ),
    "map above": (index(a="../../x.safetensors"), r"weight_map points outside the folder .*\.\./\.\./x"),
    "map absolute": (index(a="/etc/x.safetensors"), "weight_map points outside the folder"),
    "map backslash": (index(a="..\\x.safetensors"), "weight_map points outside the folder"),
    "map to a pickle": (index(a="x.bin"), "no safetensors file"),
    "map number": (index(a=3), "weight_map points outside"),
    "map absent": (index(a="x.safetensors"), r"names x\.safetensors, which is not in the folder"),
    "map to another tensor": (index(a="model.safetensors"), r"looks for 'a' in model\.safetensors, which lacks it"),
    "map empty": (index(), "weight_map is not an object"),
    "link": (elsewhere, r"model\.safetensors is a link that leads outside the folder"),
    "tokenizer link": (linked_tokenizer, r"tokenizer\.json is a link that leads outside the folder"),
    "width": (config(hidden_size=10**9), r"config\.json: hidden_size is '1000000000'"),
    "layers": (config(num_hidden_layers=10**6), "num_hidden_layers is '1000000'"),
    "more layers than weights": (config(num_hidden_layers=4000), "num_hidden_layers is '4000'.*tensors of the weights"),
    "vocabulary": (config(vocab_size=10**7), "vocab_size is '10000000'; it must be what the weights are"),
    "inner width": (config(intermediate_size=10**6), "intermediate_size is '1000000'; it must be what the weights are"),
    "heads": (config(num_attention_heads=10**9), "num_attention_heads"),
    "negative": (config(hidden_size=-64), "hidden_size is '-64'"),
    "zero": (config(vocab_size=0), "vocab_size is '0'"),
    "text": (config(num_hidden_layers="many"), "num_hidden_layers is 'many'"),
    "fraction": (config(hidden_size=64.5), "hidden_size is '64.5'"),
    "truth": (config(num_hidden_layers=True), "num_hidden_layers is 'True'"),
    "nothing": (config(hidden_size=None), "hidden_size is 'None'"),
    "list": (config(vocab_size=[1, 2]), "vocab_size is"),
    "odd kind": (config(model_type=[1], max_position_embeddings=None, hidden_size="x"), "hidden_size"),
    "positions": (config(max_position_embeddings=10**12), "max_position_embeddings"),
    "inner sizes": (config(text_config={"num_hidden_layers": 10**6}), r"text_config\.num_hidden_layers"),
    "learned positions": (config(model_type="gpt_neo", max_position_embeddings=10**6), "at most 65,536"),
    "not an object": (lambda f: write(f, "config.json", []), r"config\.json holds no JSON object"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 100_000), r"config\.json cannot be read as JSON"),
    "not text": (lambda f: (f / "config.json").write_bytes(b"\xff{"), r"config\.json cannot be read as JSON"),
    "empty weights": (raw(b""), r"model\.safetensors: its header claims"),
    "header beyond the file": (raw((1 << 40).to_bytes(8, "little") + b"{}"), r"claims 1,099,511,627,776 bytes"),
    "header no JSON": (raw((4).to_bytes(8, "little") + b"[[[["), "its header cannot be read"),
    "overlap": (
        header(lambda h: h[NORM].update(data_offsets=[0, h[NORM]["data_offsets"][1] - h[NORM]["data_offsets"][0]])),
        "overlaps another one",
    ),
    "beyond the end": (
        header(lambda h: h[NORM].update(data_offsets=[n + (1 << 40) for n in h[NORM]["data_offsets"]])),
        "leaves a gap",
    ),
    "shape": (
        header(lambda h: h[NORM].update(shape=[10**12])),
        r"'model\.norm\.weight' has the shape \[1000000000000\]",
    ),
    "negative shape": (header(lambda h: h[NORM].update(shape=[-1, -64])), "no readable shape"),
    "dtype": (header(lambda h: h[NORM].update(dtype="OBJECT")), "unknown dtype 'OBJECT'"),
    "no tensor": (header(lambda h: h.update(x=3)), "the tensor 'x' is no object"),
    "trailing": (lambda f: raw((f / "model.safetensors").read_bytes() + b"more")(f), "its tensors end at byte"),
}


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused(name: str, folder: Path) -> None:
    spoil, expected = HOSTILE[name]
    spoil(folder)
    began = time.process_time()
    for go in (check_folder, lambda f: resolve(str(f), Path("pocket"))):
        with pytest.raises(ModelError, match=expected) as error:
            go(folder)
        assert error.value.next_step
    assert time.process_time() - began < 5
    with pytest.raises(ModelError, match=expected):
        load_model("m", folder, deepest=1, generate=False, dtype="float32", device="cpu")


def test_a_folder_as_saved_is_taken(folder: Path) -> None:
    check_folder(folder)
    assert weights_of(folder) == [folder / "model.safetensors"]
    entries = read_head(folder / "model.safetensors")
    index(**dict.fromkeys(entries, "model.safetensors"))(folder)
    check_folder(folder)
    assert load_model("m", folder, deepest=1, generate=False, dtype="float32", device="cpu").loaded_layers == 1


def test_the_hubs_cache_links_to_its_blobs(folder: Path) -> None:
    snapshot = folder.parent / "models--x" / "snapshots" / "abc"
    blobs = folder.parent / "models--x" / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    check_folder(snapshot)
    (snapshot / "more.json").symlink_to("../../../../other/secret")
    with pytest.raises(ModelError, match="leads outside"):
        check_folder(snapshot)


def test_a_model_type_that_transformers_knows_is_named(folder: Path) -> None:
    config(auto_map={"AutoModel": "evil.X"})(folder)
    with pytest.raises(ModelError) as known:
        check_folder(folder)
    assert "transformers knows 'llama' without that code" in known.value.next_step
    config(model_type="evil")(folder)
    with pytest.raises(ModelError) as unknown:
        check_folder(folder)
    assert "use a model whose model_type" in unknown.value.next_step


def test_pickles_beside_safetensors_do_not_matter(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    check_folder(folder)
