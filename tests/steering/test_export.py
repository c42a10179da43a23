"""What other programs get adds what `steered` adds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from screen.errors import UsageError
from screen.steering.export import Adapter, export_adapter
from screen.steering.given import steering_vectors
from screen.steering.hook import blocks_of, steered
from screen.vectors.files import import_vector
from screen.vectors.formats import gguf
from screen.vectors.interchange.stated import Stated

IDS = torch.arange(12)[None]
ALONE = """
import importlib.util, sys, torch
from transformers import AutoModelForCausalLM

made, ids = [], torch.arange(12)[None]
for dtype in ("float32", "bfloat16"):
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, dtype))
    for folder in ("one", "all"):
        spec = importlib.util.spec_from_file_location("steering", folder + "/steering.py")
        steering = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(steering)
        with torch.no_grad(), steering.steered(model) as same:
            made.append(same(ids).logits)
        assert not any(module._forward_hooks for module in model.modules())
assert not any(name.split(".")[0] == "screen" for name in sys.modules)
torch.save([made, steering.about()], "out.pt")
"""


def adapter(folder: Path, *texts: str, **how: object) -> Adapter:
    given = steering_vectors([str(folder), *texts], "./tiny", **how)  # type: ignore[arg-type]
    return Adapter(given, {"name": "tiny", "n_layers": 3, "d_model": 32}, "llama")


def test_the_python_file_alone_gives_what_steered_gives(tiny_model: Path, tiny_vectors: Path, tmp_path: Path) -> None:
    made = {how: adapter(tiny_vectors, "evil=-1.5", "kind=0.25", layers=how) for how in ("one", "all")}
    for how, each in made.items():
        export_adapter(each, tmp_path / how, force=False)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", ALONE, tiny_model], env=alone, cwd=tmp_path, check=True)
    theirs, about = torch.load(tmp_path / "out.pt")
    ours = []
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)
        for each in made.values():
            with torch.no_grad(), steered(blocks_of(model), each.steering.additions()):
                ours.append(model(IDS).logits)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert [vector["coefficient"] for vector in about["vectors"]] == [-1.5, 0.25]


def test_the_control_vector_is_added_where_llama_cpp_counts_it(tiny_vectors: Path, tmp_path: Path) -> None:
    made = adapter(tiny_vectors, "evil=-1.5", at={"evil": 3})
    export_adapter(made, tmp_path / "evil.gguf", force=False)
    contents = gguf.read((tmp_path / "evil.gguf").read_bytes())
    assert list(contents.arrays) == ["direction.2"]  # of block 2, from 0: its output is hidden_states[3]
    (told,) = json.loads(str(contents.says["screen.steering"]))["vectors"]
    assert (told["trait"], told["coefficient"], told["layer"]) == ("evil", -1.5, 3)
    back = import_vector(tmp_path / "evil.gguf", Stated(trait="evil", layer=3, pooling="response_mean"))
    np.testing.assert_array_equal(back.at(3), made.added[3])
    np.testing.assert_array_equal(back.at(3), np.float32(-1.5) * made.steering.vectors[0].at(3))


def test_what_llama_cpp_cannot_add_is_told_and_the_python_file_has_it(tiny_vectors: Path, tmp_path: Path) -> None:
    made = adapter(tiny_vectors, "evil=1", layers="all")
    with pytest.raises(UsageError, match=r"llama\.cpp adds nothing to the output of the first block"):
        export_adapter(made, tmp_path / "evil.gguf", force=False)
    files, notes = export_adapter(made, tmp_path / "adapter", force=False)
    assert [path.name for path in files] == ["steering.py", "steering.safetensors"]
    assert "there is no steering.gguf" in notes[0]


def test_nothing_of_anybody_else_is_overwritten(tiny_vectors: Path, tmp_path: Path) -> None:
    made, out = adapter(tiny_vectors, "evil=1"), tmp_path / "adapter"
    export_adapter(made, out, force=False)
    with pytest.raises(UsageError, match=r"adapter exists already\n"):
        export_adapter(made, out, force=False)
    assert len(export_adapter(made, out, force=True)[0]) == 3
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already and is no export"):
        export_adapter(made, out, force=True)
