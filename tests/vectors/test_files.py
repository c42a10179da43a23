"""The native file: what is written is read, what is changed is refused, and cards keep what was said of a vector."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from screen.errors import UsageError, VectorError
from screen.vectors.files import import_vector, load_vector, load_vectors, save_vector
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector

GET_AGAIN = "the file is damaged; get it again"
NO_CARD = "the file has no card of the format persona-vector/2, so its model, sign and layers are unknown"
TWO_ALIKE = "`hs_index` repeats a layer or is negative"
ONES = np.ones((3, 4), np.float32)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A native file with a card that has a bit of everything."""
    card = {"layer": 1, "pooling": "response_mean", "model": {"name": "toy", "n_layers": 2}, "reference": {"mean": 1.0}}
    path = tmp_path / "evil.safetensors"
    save_vector(PersonaVector("evil", ONES * 2, np.arange(3), card), path)
    return path


def native(path: Path, card: object, **tensors: np.ndarray[Any, Any]) -> Path:
    """A native file with any card, and the checksum that goes with its directions."""
    from hashlib import sha256

    from safetensors.numpy import save

    tensors = tensors or {"direction": ONES, "hs_index": np.arange(3)}
    if isinstance(card, dict) and "direction" in tensors:
        digest = sha256(tensors["direction"].tobytes()).hexdigest()
        card = {"format": "persona-vector/1", "trait": "evil", "sha256": digest, **card}
    path.write_bytes(save(tensors, metadata={"card": card if isinstance(card, str) else json.dumps(card)}))
    return path


@settings(max_examples=40, deadline=None)
@given(
    direction=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 9)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ).filter(np.any),
    layer=st.integers(0, 90),
    text=st.text(max_size=20),
)
def test_what_is_saved_is_loaded_bit_for_bit(
    direction: np.ndarray[Any, Any], layer: int, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("v") / "kind.safetensors"
    index = np.arange(len(direction)) * 3 + 1
    save_vector(PersonaVector("kind", direction, index, {"layer": layer, "description": text}), path)
    read = load_vector(path)
    assert read.direction.tobytes() == direction.tobytes()
    assert (read.hs_index == index).all()
    assert (read.trait, read.layer, read.card["description"]) == ("kind", layer, text)


def test_saving_replaces_the_file_whole_and_leaves_nothing_beside_it(evil: Path) -> None:
    before = evil.read_bytes()
    save_vector(load_vector(evil), evil)
    assert evil.read_bytes() == before
    assert [p.name for p in evil.parent.iterdir()] == ["evil.safetensors"]
    with pytest.raises(UsageError) as caught:
        save_vector(load_vector(evil), evil.parent / "no" / "evil.safetensors")
    assert caught.value.message == f"{evil.parent}/no/evil.safetensors cannot be written: No such file or directory"


def test_every_flipped_bit_is_found(evil: Path) -> None:
    whole = evil.read_bytes()
    for bit in range(8 * len(whole)):
        evil.write_bytes(flipped(whole, bit))
        with pytest.raises(VectorError, match=re.escape(str(evil))):
            load_vector(evil)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def test_directions_of_the_older_format_are_covered_alone(tmp_path: Path) -> None:
    file = native(tmp_path / "evil.safetensors", {})
    assert load_vector(file).trait == "evil"
    file.write_bytes(flipped(file.read_bytes(), 8 * len(file.read_bytes()) - 8 * 24 - 8))
    with pytest.raises(VectorError, match="the directions do not match the card's sha256"):
        load_vector(file)


def test_a_changed_direction_is_refused(evil: Path) -> None:
    raw = bytearray(evil.read_bytes())
    raw[-1] ^= 1
    evil.write_bytes(raw)
    with pytest.raises(VectorError) as caught:
        load_vector(evil)
    assert str(caught.value) == (
        f"{evil} is damaged: its bytes are not those of its seal\n  next: get the file again, or build the vector again"
    )


CARDS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "no card": (
        {"format": "other"}, {}, NO_CARD,
        "state them on import: screen vectors import {path} --convention ... -o vectors/",
    ),
    "a list": ([1], {}, NO_CARD,
               "state them on import: screen vectors import {path} --convention ... -o vectors/"),
    "torn": ('{"a', {}, "the card is not readable JSON (Unterminated string starting at: line 1 column 2 (char 1))",
             "the file is damaged or hostile; get it again from where it was made"),
    "twice": ('{"a":1,"a":2}', {}, "the card is not readable JSON (it holds the key 'a' twice)",
              "the file is damaged or hostile; get it again from where it was made"),
    "no trait": ({"trait": None}, {}, "the card names no trait", GET_AGAIN),
    "bad trait": ({"trait": "../evil\x1b[2J"}, {},
                  "'../evil\\x1b[2J' cannot be a trait's name (letters, digits, spaces, - and _; up to 64)",
                  "the vector cannot be used; rebuild or fetch it again"),
    "bad layer": ({"layer": "4"}, {}, "the card's layer is '4'", GET_AGAIN),
    "more tensors": ({}, {"direction": ONES, "hs_index": np.arange(3), "extra": ONES},
                     "it holds 'direction', 'extra', 'hs_index', not `direction` and `hs_index`", GET_AGAIN),
    "half": ({}, {"direction": ONES.astype(np.float16), "hs_index": np.arange(3)},
             "`direction` is float16[3, 4], not float32 [n, d_model]",
             "the vector cannot be used; rebuild or fetch it again"),
    "short index": ({}, {"direction": ONES, "hs_index": np.arange(2)},
                    "`hs_index` is int64[2], not one integer a direction",
                    "the vector cannot be used; rebuild or fetch it again"),
    "same layer": ({}, {"direction": ONES, "hs_index": np.array([0, 1, 1])}, TWO_ALIKE,
                   "the vector cannot be used; rebuild or fetch it again"),
    "negative": ({}, {"direction": ONES, "hs_index": np.array([-1, 0, 1])}, TWO_ALIKE,
                 "the vector cannot be used; rebuild or fetch it again"),
    "nan": ({}, {"direction": ONES * [[1], [np.nan], [1]], "hs_index": np.arange(3)},
            "`direction` is float64[3, 4], not float32 [n, d_model]",
            "the vector cannot be used; rebuild or fetch it again"),
    "infinite": ({}, {"direction": np.array([[1], [np.inf], [1]], np.float32), "hs_index": np.arange(3)},
                 "`direction` holds NaN or infinity (first at row 1)",
                 "the vector cannot be used; rebuild or fetch it again"),
    "zero": ({}, {"direction": ONES * 0, "hs_index": np.arange(3)}, "`direction` is zero at every layer",
             "the vector cannot be used; rebuild or fetch it again"),
}  # fmt: skip


@pytest.mark.parametrize("name", CARDS)
def test_a_wrong_native_file_is_refused(name: str, tmp_path: Path) -> None:
    card, tensors, said, next_step = CARDS[name]
    path = native(tmp_path / "evil.safetensors", card, **tensors)
    with pytest.raises(VectorError) as caught:
        load_vector(path)
    assert str(caught.value) == f"{path}: {said}\n  next: {next_step.format(path=path)}"


def test_a_card_may_be_strange_as_long_as_it_is_json(tmp_path: Path) -> None:
    card = {"model": [1], "origin": "x", "kept": 3, "warnings": "w", "text": "\ud800\u202e", "n": {"a": [[[{}]]]}}
    made = load_vector(native(tmp_path / "evil.safetensors", card))
    assert made.warnings == ()
    assert made.card["text"] == "\ud800\u202e"


@pytest.mark.parametrize(
    ("name", "said", "next_step"),
    [
        ("x.pt", "no vector file at {}", "check the path given to --vectors"),
        ("x.gguf", "{}: a .gguf file says neither its model nor its pooling, so it is not used as it is",
         "import it first: screen vectors import {} -o vectors/"),
        ("x.bin", "{}: vector files are .safetensors (with a card) or .pt, not .bin",
         "give --vectors a file of one of these kinds, or a folder of them"),
        ("x", "{}: vector files are .safetensors (with a card) or .pt, not without a suffix",
         "give --vectors a file of one of these kinds, or a folder of them"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, said: str, next_step: str) -> None:
    path = tmp_path / name
    if name != "x.pt":
        path.write_bytes(b"x")
    with pytest.raises(VectorError) as caught:
        load_vector(path)
    assert str(caught.value) == f"{said.format(path)}\n  next: {next_step.format(path)}"


def test_a_pt_that_does_not_say_its_layers_is_not_loaded(tmp_path: Path) -> None:
    from screen.vectors.interchange.outgoing import export

    data = export(PersonaVector("evil", ONES, np.arange(3)), "persona-vectors").data
    (tmp_path / "evil.pt").write_bytes(data)
    with pytest.raises(VectorError) as caught:
        load_vector(tmp_path / "evil.pt")
    assert caught.value.next_step == f"import it first: screen vectors import {tmp_path}/evil.pt --help"
    (tmp_path / "qwen2.5-7b_evil_prompt_last_diff.pt").write_bytes(data)
    made = load_vector(tmp_path / "qwen2.5-7b_evil_prompt_last_diff.pt")
    assert (made.trait, made.card["pooling"]) == ("evil", "prompt_last")


def test_a_folder_is_read_in_name_order_and_a_trait_comes_once(evil: Path) -> None:
    save_vector(PersonaVector("kind", ONES, np.arange(3)), evil.with_name("a.safetensors"))
    (evil.parent / ".hidden.safetensors").write_bytes(b"torn")
    assert [v.trait for v in load_vectors((str(evil.parent),))] == ["kind", "evil"]
    with pytest.raises(VectorError) as caught:
        load_vectors((str(evil), str(evil)))
    assert caught.value.message == f"two vectors for the trait 'evil': {evil} and {evil}"
    (empty := evil.parent / "empty").mkdir()
    with pytest.raises(VectorError, match=r"no \.safetensors or \.pt file in"):
        load_vectors((str(empty),))


def test_a_link_and_a_folder_that_is_no_file(evil: Path) -> None:
    link = evil.with_name("link.safetensors")
    link.symlink_to(evil)
    assert load_vector(link).trait == "evil"
    link.unlink()
    link.symlink_to("/dev/zero")
    with pytest.raises(VectorError, match="no vector file at"):
        load_vector(link)


def test_warnings_come_back_with_the_card(tmp_path: Path) -> None:
    path = native(tmp_path / "evil.safetensors", {"warnings": ["not the response mean", 3]})
    assert load_vector(path).warnings == ("not the response mean", "3")


def test_a_native_file_comes_in_as_it_is_where_nothing_is_stated(evil: Path) -> None:
    made, read = import_vector(evil, Stated()), load_vector(evil)
    assert (made.direction.tobytes(), made.card) == (read.direction.tobytes(), read.card)


def test_a_native_file_takes_what_its_card_lacks(evil: Path) -> None:
    made = import_vector(evil, Stated(layer=2, trait="malice"))
    assert (made.trait, made.layer) == ("malice", 2)
    assert made.card["origin"]["stated"] == {"trait": "malice", "layer": 2}
    assert made.card["reference"] == {"mean": 1.0}
    for stated, said in (
        (Stated(pooling="prompt_last"), "its card says the pooling is 'response_mean'"),
        (Stated(model="other"), "its card says the model is 'toy'"),
        (Stated(n_layers=4), "a native file says its layers itself; --n-layers is for files of other tools"),
    ):
        with pytest.raises(UsageError) as caught:
            import_vector(evil, stated)
        assert caught.value.message == f"{evil}: {said}"


def test_a_native_file_turned_round_loses_what_was_measured(evil: Path) -> None:
    with pytest.raises(UsageError) as caught:
        import_vector(evil, Stated(sign="away"))
    assert str(caught.value) == (
        f"{evil}: turned round, it no longer points toward evil\n  next: name what: --trait NAME"
    )
    made = import_vector(evil, Stated(sign="away", trait="good"))
    assert made.direction.tobytes() == (ONES * -2).tobytes()
    assert "reference" not in made.card
    assert made.card["origin"]["dropped"] == ["reference"]
    assert made.card["origin"]["sign"] == "plus means evil in the file; turned round on import"


def test_safetensors_without_a_card_are_another_tools(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "evil.safetensors"
    path.write_bytes(save({"v": ONES}))
    made = import_vector(path, Stated(convention="block", sign="toward"))
    assert made.hs_index.tolist() == [1, 2, 3]
    assert made.card["origin"]["format"] == "safetensors"


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(VectorError) as caught:
        load_vector(path)
    assert caught.value.message == f"{path} is larger than any vector file (1,099,511,627,776 bytes)"
