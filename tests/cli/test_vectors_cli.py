"""`screen vectors`: list, show, import, export."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from screen.cli import main
from screen.vectors.files import load_vector, save_vector
from screen.vectors.persona import PersonaVector

Vectors = Callable[..., "Said"]


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vectors(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vectors:
    """`screen vectors` in this process, in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Said:
        capsys.readouterr()
        code = main.run(["vectors", *args])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """evil.safetensors: four layers of three numbers, of growing norm."""
    direction = np.outer([0, 1, 2, 4], [0, 3, 4]).astype(np.float32)
    card = {
        "layer": 2, "pooling": "response_mean", "sign": "toward", "model": {"name": "toy", "n_layers": 3},
        "kept": {"asked": 10, "positive": 8, "negative": 9}, "prompts": [["Be bad, and glad of it. " * 3, "Be good."]],
        "steering": [{"layer": 2, "score": 61.5}], "reference": {"0": {"mean": 0.25}},
    }  # fmt: skip
    path = tmp_path / "evil.safetensors"
    save_vector(PersonaVector("evil", direction, np.arange(4), card), path)
    return path


@pytest.fixture
def npy(tmp_path: Path) -> Path:
    path = tmp_path / "kind.npy"
    np.save(path, np.ones((2, 3), np.float32))
    return path


def test_help_names_the_verbs_with_examples(vectors: Vectors) -> None:
    said = vectors("--help")
    assert said.code == 0
    for line in (
        "  list      List vectors, and what is known of each.",
        "  show      Show a vector's card and norms.",
        "  import    Make native files of other tools' files.",
        "  export    Write a vector as another tool reads it.",
        "  build     Make vectors from trait files, on your model.",
        "  validate  Measure vectors against controls.",
    ):
        assert line in said.out
    for verb in ("list", "show", "import", "export", "build", "validate"):
        assert f"screen vectors {verb}" in vectors(verb, "--help").out


def test_list(vectors: Vectors, evil: Path) -> None:
    said = vectors("list", ".")
    assert said == (
        0,
        "trait  layers  d_model  layer  pooling        pos/neg  ref.  model\n"
        "evil      0-3        3      2  response_mean      8/9  yes   toy\n",
        "",
    )


def test_list_goes_on_after_a_file_that_cannot_be_read(vectors: Vectors, evil: Path) -> None:
    evil.with_name("torn.safetensors").write_bytes(b"torn")
    said = vectors("list", ".")
    assert said.code == 4
    assert "evil " in said.out
    assert said.err == (
        "refused: torn.safetensors: its header claims 1,852,993,396 bytes, and the file has 4\n"
        "next: the file is damaged or hostile; get it again from where it was made\n"
    )
    listed = json.loads(vectors("list", ".", "--json").out)
    assert listed[0]["layers"] == [0, 1, 2, 3]
    assert listed[1] == {
        "file": "torn.safetensors",
        "error": "torn.safetensors: its header claims 1,852,993,396 bytes, and the file has 4",
        "next": "the file is damaged or hostile; get it again from where it was made",
    }


def test_show_has_the_whole_card(vectors: Vectors, evil: Path) -> None:
    said = vectors("show", "evil.safetensors")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(
        "trait     evil (evil.safetensors)\n"
        "model     toy, 3 blocks, d_model 3\n"
        "layers    0-3 of hidden_states\n"
        "screens at 2\n"
        "sign      plus is toward the trait\n"
        "pooling   response_mean\n"
        "made from asked 10, negative 9, positive 8\n"
        "norms     \u2581\u2583\u2585\u2588\n"
        "          0 at layer 0, 10 at 2, highest 20 at 3\n"
        "\n"
        "card\n"
        "  model: n_layers 3, name toy\n"
        "  prompts:\n"
        "    - - Be bad, and glad of it. Be bad, and glad of it. Be bad, and glad of it.\n"
        "      - Be good.\n"
        "  reference:\n"
        "    0: mean 0.25\n"
        "  sha256: "
    )
    assert said.out.endswith("  steering:\n    - layer 2, score 61.5\n")


def test_show_every_layer_and_json(vectors: Vectors, evil: Path) -> None:
    out = vectors("show", "evil.safetensors", "--layers").out
    assert "    2  *    10  " + "\u2588" * 20 + "\n" in out
    shown = json.loads(vectors("show", "evil.safetensors", "--json").out)
    assert shown["norms"] == {"0": 0.0, "1": 5.0, "2": 10.0, "3": 20.0}
    assert shown["card"]["kept"]["positive"] == 8


def test_show_does_not_let_a_card_steer_the_terminal(vectors: Vectors, tmp_path: Path) -> None:
    card: dict[str, Any] = {"description": "\x1b[2J [bold]x[/nope] \u202e", "deep": {}, "origin": "x", "model": "y"}
    inner = card["deep"]
    for _ in range(60):
        inner["a"] = inner = {}
        inner["list"] = ["\x07", "z" * 50]
    save_vector(PersonaVector("evil", np.ones((2, 3), np.float32), np.arange(2), card), tmp_path / "evil.safetensors")
    said = vectors("show", "evil.safetensors")
    assert said.code == 0
    assert "description: \\x1b[2J [bold]x[/nope] \\u202e\n" in said.out
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out)


def test_import_says_what_was_read_and_what_nobody_said(vectors: Vectors, npy: Path) -> None:
    said = vectors("import", "kind.npy", "--convention", "block", "--sign", "toward", "-o", "out")
    assert said == (
        0,
        "written   out/kind.safetensors: kind, layers 1,2, d_model 3\n"
        "from      kind.npy (block: stated)\n"
        "sign      plus means kind in the file; kept (stated)\n"
        "not said  layer (state it with --layer); model (state it with --model-id);\n"
        "          pooling (state it with --pooling)\n"
        "warning   kind.npy does not say over which tokens it was averaged; scores are\n"
        "          defined on response means\n",
        "",
    )
    assert load_vector(Path("out/kind.safetensors")).hs_index.tolist() == [1, 2]


def test_import_records_what_is_stated(vectors: Vectors, npy: Path) -> None:
    flags = [
        "--convention",
        "hs",
        "--layer",
        "1",
        "--model-id",
        "Org/Model",
        "--pooling",
        "response_mean",
        "--sign",
        "away",
    ]
    assert vectors("import", "kind.npy", *flags, "--trait", "good will", "-o", "a/b/x.safetensors").code == 0
    made = load_vector(Path("a/b/x.safetensors"))
    assert (made.trait, made.layer, made.direction[0, 0]) == ("good will", 1, -1)
    assert made.card["model"] == {"d_model": 3, "name": "Org/Model"}
    assert made.card["origin"]["stated"] == {
        "trait": "good will", "layer": 1, "convention": "hs", "model": "Org/Model", "pooling": "response_mean",
        "sign": "away",
    }  # fmt: skip
    assert made.card["origin"]["not_stated"] == []


def test_import_checks_a_models_folder(vectors: Vectors, npy: Path, tmp_path: Path) -> None:
    (model := tmp_path / "toy-7b").mkdir()
    config = {"text_config": {"num_hidden_layers": 1, "hidden_size": 3}}
    (model / "config.json").write_text(json.dumps(config))
    assert (
        vectors(
            "import", "kind.npy", "--convention", "hs", "--sign", "toward", "--model-id", "toy-7b", "-o", "out"
        ).code
        == 0
    )
    known = load_vector(Path("out/kind.safetensors")).card["model"]
    assert (known["name"], known["n_layers"], len(known["config_sha256"])) == ("toy-7b", 1, 64)
    config["text_config"]["hidden_size"] = 4
    (model / "config.json").write_text(json.dumps(config))
    said = vectors("import", "kind.npy", "--convention", "hs", "--model-id", "toy-7b", "-o", "out", "--force")
    assert said == (
        2,
        "",
        "error: kind.npy: its directions have 3 numbers; the stated model's hidden size is 4\n"
        "next: check which model the file was made for\n",
    )
    said = vectors("import", "kind.npy", "--convention", "block", "--model-id", "toy-7b", "-o", "out", "--force")
    assert "error: kind.npy: by the convention block it has a direction for hidden_states[2], but the" in said.err
    assert "no model folder at ./nope" in vectors("import", "kind.npy", "--model-id", "./nope", "-o", "out").err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["kind.npy"], "error: Missing option '-o' / '--out'."),
        (["kind.npy", "--convention", "odd", "-o", "out"], "error: Invalid value for '--convention': 'odd' is not"),
        (
            ["kind.npy", "evil.safetensors", "--trait", "x", "-o", "out"],
            "error: --trait names one trait, but there are",
        ),
        (["evil.safetensors", "evil.safetensors", "-o", "out"], "error: two files would become out/evil.safetensors"),
        (["evil.safetensors", "-o", "."], "error: evil.safetensors exists already"),
        (["evil.safetensors", "-o", "kind.npy/x"], "error: kind.npy/x cannot be made: Not a directory"),
        (
            ["evil.safetensors", "evil.safetensors", "-o", "a.safetensors"],
            "error: a.safetensors is one file, but there",
        ),
        (["kind.npy", "-o", "out"], "error: kind.npy: nothing in it says which layers its 2 rows [2, 3] belong to"),
    ],
)
def test_import_refuses_and_writes_nothing(vectors: Vectors, evil: Path, npy: Path, args: list[str], said: str) -> None:
    before = {p.name for p in npy.parent.rglob("*.safetensors")}
    result = vectors("import", *args)
    assert result.code == 2
    assert result.err.startswith(said)
    assert {p.name for p in npy.parent.rglob("*.safetensors")} == before


@pytest.mark.parametrize(
    ("target", "name", "note"),
    [
        ("persona-vectors", "evil_response_avg_diff.pt", "those scripts know a file by its name"),
        ("npz", "evil.npz", "`hs_index` holds the hidden_states row"),
        ("npy", "evil.npy", "import it with --convention hs --sign toward"),
        ("llama.cpp", "evil.gguf", "layer 0 (the embeddings) is left out"),
    ],
)
def test_export_and_import_again(vectors: Vectors, evil: Path, target: str, name: str, note: str) -> None:
    said = vectors("export", "evil.safetensors", "--to", target, "-o", name)
    assert said.code == 0
    assert said.out.startswith(f"written   {name}: evil, as {target}\nnote      the card (model, pooling, sign, layer)")
    assert note in " ".join(said.out.split())
    flags = ["--convention", "hs", "--sign", "toward"] if target == "npy" else []
    assert vectors("import", name, *flags, "-o", "again", "--json").code == 0
    again, first = load_vector(Path("again/evil.safetensors")), load_vector(evil)
    kept = first.hs_index >= again.hs_index[0]
    assert again.direction.tobytes() == first.direction[kept].tobytes()
    assert again.hs_index.tolist() == first.hs_index[kept].tolist()


def test_export_overwrites_only_by_force(vectors: Vectors, evil: Path) -> None:
    args = ["export", "evil.safetensors", "--to", "npz", "-o", "evil.npz"]
    assert vectors(*args).code == 0
    assert vectors(*args) == (
        2, "", "error: evil.npz exists already\nnext: overwrite it with --force, or choose another -o\n"
    )  # fmt: skip
    assert json.loads(vectors(*args, "--force", "--json").out)["written"] == "evil.npz"
    said = vectors("export", "evil.safetensors", "--to", "repeng", "-o", "evil.pt")
    assert said.err.startswith("error: repeng files end in .gguf, not as evil.pt does")


def test_export_to_repeng_refuses_a_zero_direction(vectors: Vectors, tmp_path: Path) -> None:
    direction = np.array([[1, 0], [0, 0]], np.float32)
    save_vector(PersonaVector("evil", direction, np.array([1, 2])), tmp_path / "evil.safetensors")
    said = vectors("export", "evil.safetensors", "--to", "repeng", "-o", "evil.gguf")
    assert said.err.startswith("error: evil.safetensors: layer 2 is zero, which has no unit norm\n")
    assert not (tmp_path / "evil.gguf").exists()


def test_no_model_library_is_loaded(evil: Path, npy: Path) -> None:
    code = f"""
import os, sys
from screen.cli import main
os.chdir({str(npy.parent)!r})
for args in (["list", "."], ["show", "evil.safetensors"],
             ["import", "kind.npy", "--convention", "hs", "--sign", "toward", "-o", "o"],
             ["export", "evil.safetensors", "--to", "persona-vectors", "-o", "e.pt"], ["--help"]):
    assert main.run(["vectors", *args]) == 0
print({{"torch", "transformers", "polars", "duckdb", "pyarrow"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
