"""Which layer a row belongs to, and which way it points: said by the file or by the user, never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from screen.errors import UsageError
from screen.vectors.files import import_vector
from screen.vectors.formats import child, sandbox
from screen.vectors.interchange import outgoing
from screen.vectors.interchange.stated import Stated
from tests.vectors import hostile
from tests.vectors.made import put, same_bits, torch_bytes, vector


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse here instead of in a child: the same code, at a thousandth of the price."""
    monkeypatch.setattr(sandbox, "_child", child.reply)


@pytest.mark.parametrize(("kind", "first"), [(4, 2), (5, 1)])
def test_gguf_kinds_are_told_apart_by_the_type_of_their_count(tmp_path: Path, kind: int, first: int) -> None:
    fields = hostile.ARCH + hostile.field("controlvector.layer_count", 2, kind)
    header = hostile.gguf(2, 2, fields + hostile.direction("direction.1", 2) + hostile.direction("direction.2", 2))
    path = put(tmp_path / "kind.gguf", header + bytes(-len(header) % 32) + np.array([1, 0], np.float32).tobytes())
    made = import_vector(path, Stated())
    assert made.hs_index.tolist() == [first, first + 1]
    assert made.card["origin"]["convention_from"] == f"controlvector.layer_count is {'u32' if kind == 4 else 'i32'}"
    assert "not of unit norm" not in str(made.warnings)


def test_gguf_without_a_count_asks_and_takes_what_is_stated(tmp_path: Path) -> None:
    header = hostile.gguf(1, 1, hostile.ARCH + hostile.direction("direction.7", 2))
    path = put(tmp_path / "kind.gguf", header + bytes(-len(header) % 32) + np.array([2, 0], np.float32).tobytes())
    with pytest.raises(UsageError) as caught:
        import_vector(path, Stated())
    assert str(caught.value) == (
        f"{path}: controlvector.layer_count is missing, so it does not say whether repeng or llama.cpp numbered its"
        " layers\n  next: state it: --convention repeng (direction.k = hidden_states[k+1]) or llama.cpp (direction.k ="
        " hidden_states[k])"
    )
    made = import_vector(path, Stated(convention="repeng"))
    assert made.hs_index.tolist() == [8]
    assert made.warnings[1:] == (
        "the layers are numbered as repeng does because you state it; the file does not say so",
        "its directions are not of unit norm, as repeng's own are",
    )


def test_numbered_arrays_are_layers(tmp_path: Path) -> None:
    rows = np.eye(2, 3, dtype=np.float32)
    path = put(tmp_path / "kind.npz", hostile.npz(layer_12=rows[1], layer_3=rows[0]))
    made = import_vector(path, Stated(convention="block", sign="toward"))
    assert made.hs_index.tolist() == [4, 13]
    assert same_bits(made.direction, rows)


def test_one_of_several_arrays_is_chosen_by_key(tmp_path: Path) -> None:
    path = put(tmp_path / "kind.npz", hostile.npz(a=hostile.ONES, b=hostile.ONES * 2))
    with pytest.raises(UsageError) as caught:
        import_vector(path, Stated(convention="hs"))
    assert str(caught.value) == (
        f"{path}: it holds several arrays\n  next: say which one is the vector: --key, of 'a', 'b'"
    )
    assert import_vector(path, Stated(convention="hs", key="b", sign="toward")).direction[0, 0] == 2


def test_nothing_is_guessed(tmp_path: Path) -> None:
    ask = (
        "state it with --convention: hs (row i = hidden_states[i], as in persona-vectors files) or block (row i = the"
        " output of block i = hidden_states[i+1], as in assistant-axis files)"
    )
    npy = put(tmp_path / "kind.npy", hostile.npy(hostile.ONES))
    with pytest.raises(UsageError) as caught:
        import_vector(npy, Stated())
    said = f"{npy}: nothing in it says which layers its 2 rows [2, 3] belong to"
    assert str(caught.value) == f"{said}\n  next: {ask}"
    bare = put(tmp_path / "bare.npy", hostile.npy(hostile.ONES[0]))
    with pytest.raises(UsageError) as caught:
        import_vector(bare, Stated())
    assert str(caught.value) == (
        f"{bare}: it holds one direction and does not say of which layer\n"
        "  next: state its hidden_states row: --layer L (0 = embeddings, L = output of the L-th block)"
    )
    assert import_vector(bare, Stated(layer=7, sign="toward")).hs_index.tolist() == [7]
    with pytest.raises(UsageError, match="there are no rows to number"):
        import_vector(bare, Stated(layer=7, convention="block"))


@pytest.mark.parametrize("n_layers", [None, 1, 2, 9])
def test_a_shape_says_nothing(tmp_path: Path, n_layers: int | None) -> None:
    """Two rows are an assistant axis of two layers, or a persona vector of one, or neither."""
    path = put(tmp_path / "kind.pt", outgoing.export(vector(hostile.ONES), "persona-vectors").data)
    with pytest.raises(UsageError, match="nothing in it says which layers its 2 rows"):
        import_vector(path, Stated(n_layers=n_layers))
    with pytest.raises(UsageError, match="nothing in it says whether plus points toward kind or away from it"):
        import_vector(path, Stated(convention="hs"))
    made = import_vector(path, Stated(convention="block", sign="away"))
    origin = made.card["origin"]
    assert (made.trait, made.direction[0, 0], made.hs_index.tolist()) == ("kind", -1, [1, 2])
    assert (origin["convention"], origin["convention_from"]) == ("block", "stated")
    assert (origin["sign"], origin["sign_from"]) == (
        "plus means the opposite of kind in the file; turned round on import", "stated",
    )  # fmt: skip
    assert "n_layers" not in made.card["model"]


def test_a_stated_convention_is_held_against_the_models_layers(tmp_path: Path) -> None:
    path = put(tmp_path / "kind.pt", outgoing.export(vector(hostile.ONES), "persona-vectors").data)
    with pytest.raises(UsageError) as caught:
        import_vector(path, Stated(n_layers=1, convention="block", sign="toward"))
    assert caught.value.message == (
        f"{path}: by the convention block it has a direction for hidden_states[2], but the model has 1 layers"
    )


def test_a_name_that_the_scripts_give_is_what_the_file_says(tmp_path: Path) -> None:
    data = outgoing.export(vector(hostile.ONES), "persona-vectors").data
    path = put(tmp_path / "kind_response_avg_diff.pt", data)
    made = import_vector(path, Stated(n_layers=1))
    assert (made.hs_index.tolist(), made.card["pooling"]) == ([0, 1], "response_mean")
    assert made.card["origin"]["sign_from"] == "persona-vectors files"
    assert made.card["origin"]["convention_from"] == "the file's name"
    with pytest.raises(UsageError, match=r"whose files have 3 rows for a model with 2 layers; this one is \[2, 3\]"):
        import_vector(path, Stated(n_layers=2))
    assert import_vector(path, Stated(sign="away", trait="unkind")).direction[0, 0] == -1


def test_the_assistant_axis_keeps_its_sign_unless_turned_round(tmp_path: Path) -> None:
    import torch

    t = torch.arange(1.0, 7).reshape(2, 3)
    saved = {"axis": t.bfloat16(), "default_mean": t, "role_mean": t, "n_default": 1, "n_roles": 275}
    path = put(tmp_path / "axis.pt", torch_bytes(saved))
    kept = import_vector(path, Stated(pooling="response_mean"))
    assert (kept.trait, kept.hs_index.tolist(), kept.direction[0].tolist()) == ("assistant-like", [1, 2], [1, 2, 3])
    assert kept.card["origin"]["sign"] == "plus means assistant-like in the file; kept"
    assert kept.card["origin"]["says"] == {"n_default": 1, "n_roles": 275}
    with pytest.raises(UsageError, match="turned round, it no longer points toward assistant-like"):
        import_vector(path, Stated(sign="away"))
    turned = import_vector(path, Stated(sign="away", trait="role-playing"))
    assert same_bits(turned.direction, -kept.direction)
    assert turned.card["origin"]["sign"] == "plus means assistant-like in the file; turned round on import"
    assert turned.card["origin"]["stated"] == {"trait": "role-playing", "sign": "away"}
    with pytest.raises(UsageError, match="nothing says how evil lies to that"):
        import_vector(path, Stated(trait="evil", pooling="response_mean"))
    assert same_bits(import_vector(path, Stated(trait="polite", sign="toward")).direction, kept.direction)
