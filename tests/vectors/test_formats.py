"""Every format in and out, bit for bit, against the tools that own it or bytes put together here."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from screen.errors import UsageError, VectorError
from screen.vectors.files import import_vector, load_vector
from screen.vectors.formats import container, sandbox
from screen.vectors.interchange import outgoing
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector
from tests.vectors import hostile
from tests.vectors.made import import_here, matrices, put, same_bits, torch_bytes, vector

DATA = Path(__file__).parents[3] / "shared" / "data"
BITS = {"persona-vectors": 0, "assistant-axis": 1, "llama.cpp": 1, "npz": 0, "npy": 0}  # target -> its first layer
HALVES = hnp.arrays(np.float16, (3, 4), elements=st.floats(-100, 100, width=16))


@pytest.mark.parametrize("target", BITS)
@settings(max_examples=40, deadline=None)
@given(direction=matrices())
def test_out_and_in_again_changes_no_bit(target: str, direction: np.ndarray[Any, Any]) -> None:
    made = vector(direction, BITS[target])
    exported = outgoing.export(made, target)
    convention = {"npy": "hs", "persona-vectors": "persona-vectors", "assistant-axis": "assistant-axis"}.get(target)
    sign = "toward" if target in ("npy", "assistant-axis") else None
    again = import_here(exported.data, Stated(trait="kind", convention=convention, sign=sign))
    assert same_bits(again.direction, made.direction)
    assert again.hs_index.tolist() == made.hs_index.tolist()


@settings(max_examples=40, deadline=None)
@given(direction=matrices())
def test_repeng_keeps_unit_directions_bit_for_bit(direction: np.ndarray[Any, Any]) -> None:
    norms = np.linalg.norm(direction.astype(np.float64), axis=1)
    unit = (direction[norms > 1e-30] / norms[norms > 1e-30, None]).astype(np.float32)
    if len(unit) == 0:
        return
    again = import_here(outgoing.export(vector(unit, 1), "repeng").data, Stated(trait="kind"))
    assert same_bits(again.direction, unit)
    assert again.hs_index.tolist() == list(range(1, len(unit) + 1))


@given(picked=st.sets(st.integers(0, 40), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_npz_keeps_any_set_of_layers(picked: set[int]) -> None:
    index = np.array(sorted(picked, key=lambda i: i * 7 % 11))
    direction = np.arange(1, len(index) * 3 + 1, dtype=np.float32).reshape(-1, 3)
    again = import_here(outgoing.export(PersonaVector("kind", direction, index), "npz").data, Stated(trait="kind"))
    assert same_bits(again.direction, direction)
    assert again.hs_index.tolist() == index.tolist()


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("view", ["whole", "transposed", "offset", "strided", "repeated"])
def test_pt_reads_what_torch_saves(kind: str, view: str) -> None:
    import torch

    whole = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)).to(getattr(torch, kind))
    views = {
        "whole": whole, "transposed": whole.T, "offset": whole[2:, 1:], "strided": whole[::2, ::3],
        "repeated": whole[0].expand(4, 5),
    }  # fmt: skip
    found = container.read(data := torch_bytes(views[view]))
    ours, theirs = sandbox.to_numpy(found.arrays[""], data), views[view]
    assert torch.equal(torch.from_numpy(ours.copy()), theirs.float() if kind == "bfloat16" else theirs)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pt_reads_any_view(data: st.DataObject) -> None:
    import torch

    base = torch.arange(60, dtype=torch.float32)
    rows, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    strides = data.draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
    view = base.as_strided((rows, width), strides, data.draw(st.integers(0, 12)))
    found = container.read(raw := torch_bytes(view))
    assert np.array_equal(sandbox.to_numpy(found.arrays[""], raw), view.numpy())


@pytest.mark.parametrize("form", ["parameter", "dict", "ordered", "list", "numbered"])
def test_pt_reads_the_plain_containers(form: str) -> None:
    from collections import OrderedDict

    import torch

    t = torch.arange(6.0).reshape(2, 3)
    value, names = {
        "parameter": (torch.nn.Parameter(t), {""}),
        "dict": ({"axis": t, "n": 3, "about": "text", "x": None, "y": 1 << 70, "z": 0.5}, {"axis"}),
        "ordered": (OrderedDict(a=t, b=t), {"a", "b"}),
        "list": ([t[0], t[1]], {"0", "1"}),
        "numbered": ({10: t[0], 11: t[1]}, {"10", "11"}),
    }[form]
    assert set(container.read(torch_bytes(value)).arrays) == names


def test_pt_of_the_old_kind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    import torch

    path = put(tmp_path / "old.pt", torch_bytes(torch.ones(2, 3), _use_new_zipfile_serialization=False))
    with pytest.raises(VectorError) as caught:
        import_vector(path, Stated())
    assert str(caught.value) == (
        f"{path}: it is of the form that torch.save wrote before 1.6: a row of pickles\n  next: {hostile.RESAVE}"
    )


def test_torch_reads_what_pt_writes() -> None:
    import torch

    direction = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    data = outgoing.export(vector(direction), "persona-vectors").data
    read = torch.load(io.BytesIO(data), weights_only=True)
    assert read.is_contiguous()
    assert torch.equal(read, torch.from_numpy(direction))
    assert data == outgoing.export(vector(direction), "persona-vectors").data  # equal vectors, equal bytes


def test_numpy_reads_what_npy_and_npz_write() -> None:
    direction = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    alone = np.load(io.BytesIO(outgoing.export(vector(direction), "npy").data), allow_pickle=False)
    together = np.load(io.BytesIO(outgoing.export(vector(direction, 3), "npz").data), allow_pickle=False)
    assert same_bits(alone, direction)
    assert same_bits(together["direction"], direction)
    assert together["hs_index"].tolist() == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(("target", "kind", "shift"), [("repeng", 4, 1), ("llama.cpp", 5, 0)])
def test_gguf_is_written_as_its_tools_write_it(target: str, kind: int, shift: int) -> None:
    """Against bytes put together here, field by field."""
    direction = np.eye(3, 5, dtype=np.float32)
    fields = [
        hostile.ARCH,
        hostile.field("controlvector.model_hint", ""),
        hostile.field("controlvector.layer_count", 3, kind),
    ]
    tensors = [hostile.direction(f"direction.{i + 1 - shift}", 5, offset=32 * i) for i in range(3)]
    header = hostile.gguf(3, 3, b"".join(fields + tensors))
    bodies = b"".join(row.tobytes() + bytes(12) for row in direction)
    expected = header + bytes(-len(header) % 32) + bodies
    assert outgoing.export(vector(direction, 1), target).data == expected


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_numpy_files_of_any_order_and_float(order: str, kind: str) -> None:
    array = np.asarray(np.arange(6).reshape(2, 3) / 4, dtype=kind, order=order)  # type: ignore[call-overload]
    found = container.read(data := hostile.npy(array))
    assert np.array_equal(sandbox.to_numpy(found.arrays[""], data), array)
    packed = container.read(data := hostile.npz(a=array, b=array[0]))
    assert np.array_equal(sandbox.to_numpy(packed.arrays["a"], data, packed.inflated), array)
    assert np.array_equal(sandbox.to_numpy(packed.arrays["b"], data, packed.inflated), array[0])


@settings(max_examples=25, deadline=None)
@given(values=HALVES.filter(np.any))
def test_narrow_floats_widen_exactly(values: np.ndarray[Any, Any]) -> None:
    made = import_here(hostile.npy(values), Stated(convention="hs", trait="kind", sign="toward"))
    assert np.array_equal(made.direction, values)
    assert "rounded" not in str(made.warnings)


def test_wide_floats_are_rounded_and_it_is_said() -> None:
    stated = Stated(convention="block", pooling="response_mean", trait="kind", sign="toward")
    made = import_here(hostile.npy(np.full((2, 3), 0.1)), stated)
    assert made.warnings == ("rounded from float64 to float32",)
    assert made.card["origin"]["dtype"] == "float64"


def test_what_a_format_cannot_hold_is_said_or_refused() -> None:
    made = PersonaVector("kind", hostile.ONES * 2, np.array([0, 1]), {"layer": 1})
    assert outgoing.export(made, "repeng").notes == (
        "the card (model, pooling, sign, layer) is not in it: keep the native file",
        "layer 0 (the embeddings) is left out: the format has no place for it",
        "the recommended layer 1 is number 0 in it",
        "repeng's directions are of unit norm: the norm of each layer is not in it",
    )
    gaps = PersonaVector("kind", hostile.ONES, np.array([3, 9]))
    for target in ("persona-vectors", "assistant-axis", "npy"):
        with pytest.raises(UsageError, match="3, 9") as caught:
            outgoing.export(gaps, target)
        assert caught.value.next_step == "export it to npz, which keeps the layer of each row"
    with pytest.raises(UsageError, match="its one direction is of layer 0"):
        outgoing.export(PersonaVector("kind", hostile.ONES[:1], np.array([0])), "llama.cpp")


@pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize("path", sorted(DATA.glob("*.pt")), ids=lambda p: p.stem)
def test_real_files_come_in_and_go_out_equal(path: Path, tmp_path: Path) -> None:
    import torch

    theirs = torch.load(path, weights_only=True)
    made = load_vector(path)
    assert made.direction.shape == (29, 3584)
    assert torch.equal(torch.from_numpy(made.direction), theirs)
    assert made.hs_index.tolist() == list(range(29))
    assert made.card["model"] == {"d_model": 3584, "n_layers": 28}
    assert made.card["origin"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    out = put(tmp_path / "out.pt", outgoing.export(made, "persona-vectors").data)
    assert torch.equal(torch.load(out, weights_only=True), theirs)
    said = f"{path.name} is a prompt {'mean' if 'avg' in path.name else 'last'} difference, not the response mean that"
    if "prompt" in path.name:
        assert made.warnings[0] == f"{said} scores are defined on"
    else:
        assert made.warnings == ()
    if path.name == "qwen2.5-7b_altruism_response_avg_diff.pt":
        assert float(np.linalg.norm(made.at(20))) == pytest.approx(10.508, abs=5e-4)


def test_reading_needs_no_torch() -> None:
    import subprocess

    modules = "screen.vectors.files, screen.cli.vectors.vectors"
    code = f"import sys, {modules}; print({{'torch', 'transformers'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
