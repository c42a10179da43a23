"""What `--vectors evil=-1.5` comes to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from screen.errors import ScreenError
from screen.steering.given import steering_vectors


def test_a_name_is_of_the_embedded_model_or_of_the_places_given(tiny_vectors: Path) -> None:
    embedded = steering_vectors(["evil=-1.5", "sycophancy=2"], "pocket")
    assert str(embedded) == "evil -1.5, sycophancy +2"
    assert embedded.layer_of(embedded.vectors[0]) == 5
    (vector,) = steering_vectors([str(tiny_vectors), "kind=-1e-1"], "./mine", at={"kind": 1}).vectors
    assert vector.source == str(tiny_vectors / "kind.safetensors")


def test_a_file_or_a_folder_takes_its_own_coefficient(tiny_vectors: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    (odd / "evil.safetensors").write_bytes((tiny_vectors / "evil.safetensors").read_bytes())
    for texts in ([f"{odd / 'evil.safetensors'}=3"], [f"{odd}=3"], [str(odd), "evil=3"]):
        assert str(steering_vectors(texts, "./mine")) == "evil +3"
    assert str(steering_vectors([f"{tiny_vectors}=-1"], "./mine")) == "evil -1, kind -1"


@pytest.mark.parametrize(
    ("texts", "layers", "at", "message"),
    [
        (["evil=nan"], "one", {}, "evil=nan: the coefficient is no finite number"),
        (["evil=-inf"], "one", {}, "no finite number"),
        (["evil=much"], "one", {}, "'much' is no number"),
        (["evil="], "one", {}, "'' is no number"),
        (["=3"], "one", {}, "'3' is no number"),
        ([], "one", {}, "names no vector with a coefficient"),
        (["evil=1", "evil=2"], "one", {}, "gives 'evil' two coefficients"),
        (["kindness=1"], "one", {}, "no vector for the trait 'kindness' .found: evil, hallucination, sycophancy"),
        (["gone.safetensors=1"], "one", {}, "no vector file at gone.safetensors"),
        (["evil=1"], "one", {"kind": 2}, "--layer kind: that trait is not steered"),
        (["evil=1"], "one", {"evil": 0}, "layer 0 of 'evil' is the embeddings"),
        (["evil=1"], "one", {"evil": 99}, "no direction for layer 99"),
        (["evil=1"], "all", {"evil": 2}, "--layers all steers all of them"),
    ],
)
def test_what_cannot_be_is_told(texts: list[str], layers: str, at: dict[str, int], message: str) -> None:
    with pytest.raises(ScreenError, match=message):
        steering_vectors(texts, "pocket", layers, at)  # type: ignore[arg-type]


def test_a_name_needs_a_place_where_the_model_is_another() -> None:
    with pytest.raises(ScreenError, match=r"no vectors for the model './mine' to look 'evil' up in") as caught:
        steering_vectors(["evil=1"], "./mine")
    assert "--vectors vectors/ --vectors evil=-1" in caught.value.next_step
