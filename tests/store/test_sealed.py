"""Files that carry their own digest: what is sealed is read back, and nothing else is."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen import seal
from screen.baselines.table import kind_of
from screen.errors import InputError, StoreError
from screen.store import context, index, liftfile
from screen.store.folder import RunFolder
from screen.store.reference import LEAST, MOST, QUANTILES, Reference
from screen.vectors import controls
from tests.store import fake

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3))


@given(st.dictionaries(st.text().filter(lambda k: k != "sha256"), JSON, min_size=1, max_size=4))
def test_sealed_json_is_json_and_reads_back(value):
    data = seal.sealed_json(value)
    assert seal.open_json(data) == value
    assert json.loads(data) == {**value, "sha256": json.loads(data)["sha256"]}


@pytest.mark.parametrize("value", [{}, {"sha256": "x"}])
def test_what_cannot_be_sealed_is_a_bug(value):
    with pytest.raises(ValueError, match="an object to be sealed has fields"):
        seal.sealed_json(value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d[:-1], "it does not end in its sha256"),
        (lambda d: d + b"\n", "it does not end in its sha256"),
        (lambda d: d.replace(b"1", b"2", 1), "its bytes are not those of its sha256"),
        (lambda d: b"", "it does not end in its sha256"),
    ],
)
def test_changed_json_says_what_is_wrong(change, why):
    with pytest.raises(seal.Broken, match=why):
        seal.open_json(change(seal.sealed_json({"a": 1})))


def encoded(**card):
    from safetensors.numpy import save

    return save({"x": np.ones(2, np.float32)}, metadata={"card": json.dumps(card)})


def test_sealed_tensors_are_read_by_the_library_and_sealed_once():
    from safetensors.numpy import load

    data = seal.sealed_tensors(encoded(seal=seal.BLANK))
    seal.check_tensors(data)
    assert load(data)["x"].tolist() == [1.0, 1.0]
    assert json.loads(seal.metadata(data)["card"])["seal"] != seal.BLANK
    with pytest.raises(ValueError, match="the seal's place is taken"):
        seal.sealed_tensors(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "its header has no seal"),
        (encoded(), "its header has no seal"),
        (encoded(seal=seal.BLANK), "its bytes are not those of its seal"),
        (encoded(seal=seal.BLANK, a={"seal": seal.BLANK}), "its header has two seals"),
    ],
)
def test_tensors_that_are_not_sealed_say_so(data, why):
    with pytest.raises(seal.Broken, match=why):
        seal.check_tensors(data)


def test_standards_belong_to_one_run(tmp_path):
    assert context.load(tmp_path, "a") is None
    arrays = {"b": np.arange(4, dtype=np.uint64), "a": np.ones((2, 3), np.float32)[:, ::2]}
    context.save(tmp_path, "a", arrays, {"screened": [2]})
    found, facts = context.load(tmp_path, "a")
    assert facts == {"screened": [2]}
    assert {n: (v.dtype, v.tolist()) for n, v in found.items()} == {n: (v.dtype, v.tolist()) for n, v in arrays.items()}
    assert all(v.flags.writeable for v in found.values())
    with pytest.raises(StoreError, match="is damaged: it is of a run with other inputs or settings"):
        context.load(tmp_path, "b")


def test_a_lift_belongs_to_one_run(tmp_path):
    fake.scan(tmp_path / "run")
    run = RunFolder.read(tmp_path / "run")
    assert liftfile.find(run) is None
    path = liftfile.keep(run, pa.table({"row": [0]}))
    assert liftfile.find(run) == path
    (tmp_path / "run/lift.json").unlink()
    with pytest.raises(StoreError, match=r"its lift\.json is damaged\n  next: make it anew: screen lift"):
        liftfile.find(run)
    with RunFolder.open(tmp_path / "other", fake.identity("def")) as other:
        liftfile.keep(other, pa.table({"row": [0]}))
    for name in ("lift.parquet", "lift.json"):
        (tmp_path / "run" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(StoreError, match="is damaged"):
        liftfile.find(run)


def clean_run(path, rows):
    """A finished run of one trait, whose scores fall from row to row, one of them missing."""
    facts = {"baseline": "generate", "dataset": {"files": ["clean.jsonl"]}}
    identity = {"traits": ["evil"], "model": {"weights": "w"}, "rendering": {}, "vectors": {"evil": {"layer": 2}}}
    place = {"variant": None, "turns_scored": 1, "file": "f", "line": 1, "offset": 0, "length": 1, "sha256": ""}
    scores = [{**place, "row": r, "evil": float(rows - r) if r else None, "sign": 1} for r in range(rows)]
    with RunFolder.open(path, identity, facts) as run:
        run.publish(0, 0, rows, {"scores": fake.build("scores", scores, ["evil"])})
        run.finish({"rows": rows})
        return run


def test_a_reference_holds_a_finished_runs_scores(tmp_path):
    clean = clean_run(tmp_path / "clean", LEAST + 1)
    made = Reference.from_run(clean)
    made.save(tmp_path / "c.reference")
    found = Reference.load(tmp_path / "c.reference")
    assert found.scores["evil"].tolist() == [float(n) for n in range(1, LEAST + 1)]
    assert dict(found.card) == {**made.card}
    assert found.card["rows"] == {"evil": LEAST}
    assert found.card["summary"]["evil"]["mean"] == (LEAST + 1) / 2
    assert len(found.sha256) == 64


MODEL = {"config": "c", "weights": "w", "tokenizer": "t"}
IDENTITY = {"model": MODEL, "rendering": {"a": 1}, "vectors": {"evil": {"layer": 2}}}


@pytest.mark.parametrize(
    ("change", "kind", "differs"),
    [
        ({}, "generate", None),
        ({}, "calibrated", None),
        ({}, "last-prompt", "the kind of baseline"),
        ({"model": {**MODEL, "weights": "x"}}, "generate", "the model's weights"),
        ({"model": {**MODEL, "dtype": "bfloat16"}}, "generate", None),
        ({"rendering": {}}, "generate", "the chat template or rendering"),
        ({"vectors": {"evil": {"layer": 3}}}, "generate", "the vector or layer of evil"),
        ({"vectors": {}}, "generate", None),
    ],
)
def test_a_reference_fits_runs_of_its_kind_alone(change, kind, differs):
    reference = Reference("clean", {}, {**IDENTITY, "baseline": "generate"})
    if differs is None:
        reference.check({**IDENTITY, **change}, kind_of(kind))
        return
    with pytest.raises(InputError, match=f"the reference clean does not fit this run: {differs} differs"):
        reference.check({**IDENTITY, **change}, kind_of(kind))


def test_a_reference_needs_a_finished_run_with_enough_scores(tmp_path):
    few = clean_run(tmp_path / "few", LEAST)
    with pytest.raises(InputError, match=f"{LEAST - 1} rows have a score for evil; a reference needs {LEAST} at least"):
        Reference.from_run(few)
    (tmp_path / "few/summary.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        Reference.from_run(few)


def test_a_reference_of_many_rows_keeps_an_even_choice(tmp_path):
    found = Reference.from_run(clean_run(tmp_path / "many", MOST + 101))
    scores = found.scores["evil"]
    assert (len(scores), scores[0], scores[-1]) == (MOST, 1.0, MOST + 100.0)
    assert set(np.diff(scores).tolist()) == {1.0, 2.0}


@pytest.mark.parametrize(
    "content", [b"", b"{}", encoded(seal=seal.BLANK), seal.sealed_tensors(encoded(seal=seal.BLANK))]
)
def test_what_is_no_reference_is_named(tmp_path, content):
    path = tmp_path / "x.reference"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.reference is not a reference"):
        Reference.load(path)


def sealed_reference(path, card, arrays):
    """A file with a good seal, whatever it holds."""
    Reference("x", arrays, card).save(path)
    return path


GOOD = {"model": MODEL, "rendering": {"a": 1}, "vectors": {"evil": {}}, "baseline": "generate"}
SCORES = {"evil": np.arange(3, dtype=np.float32)}


@pytest.mark.parametrize(
    ("card", "arrays"),
    [
        *[({n: v for n, v in GOOD.items() if n != lost}, SCORES) for lost in GOOD],
        *[({**GOOD, name: 1}, SCORES) for name in ("model", "vectors", "baseline", "controls")],
        ({**GOOD, "vectors": {"evil": {}, "kind": {}}}, SCORES),
        ({**GOOD, "controls": {"evil": {"key": "none"}}}, SCORES),
        ({**GOOD, "controls": {"evil": 1}}, SCORES),
        (GOOD, {"evil": np.arange(3, dtype=np.float64)}),
        (GOOD, {"evil": np.ones((2, 2), np.float32)}),
        (GOOD, {"evil": np.array([1, np.nan], np.float32)}),
        (GOOD, {}),
    ],
)
def test_a_good_seal_on_what_is_no_reference_is_refused(tmp_path, card, arrays):
    assert Reference.load(sealed_reference(tmp_path / "good", GOOD, SCORES)).scores["evil"].tolist() == [0, 1, 2]
    with pytest.raises(StoreError, match="is not a reference: its arrays or its card are not of that kind"):
        Reference.load(sealed_reference(tmp_path / "bad", card, arrays))


def test_control_directions_are_those_that_the_card_tells_of(tmp_path):
    rows = controls.directions(np.zeros((0, 4), np.float32), count=3)
    key, other = controls.key(rows), rows.astype(np.float64)
    along = {"key": key, **controls.distribution(np.ones((5, 3)), QUANTILES)}
    card = {**GOOD, "controls": {"evil": along}}
    Reference("x", SCORES, card, controls={key: rows}).save(tmp_path / "good")
    assert Reference.load(tmp_path / "good").directions("evil").tolist() == rows.tolist()
    for name, wrong in {"key": "x", "rows": "5", "effective": None, "quantiles": {}}.items():
        bad = {**GOOD, "controls": {"evil": {**along, name: wrong}}}
        Reference("x", SCORES, bad, controls={key: rows}).save(tmp_path / "bad")
        with pytest.raises(StoreError, match="its arrays or its card are not of that kind"):
            Reference.load(tmp_path / "bad")
    Reference("x", SCORES, card, controls={key: other}).save(tmp_path / "bad")
    with pytest.raises(StoreError, match=f"the control directions {key} are not those written"):
        Reference.load(tmp_path / "bad")


def test_equal_standards_are_equal_bytes_in_any_order(tmp_path):
    a, b = np.ones(2, np.float32), np.zeros(3, np.float32)
    for name, arrays, facts in (
        ("one", {"a": a, "b": b}, {"x": 1, "y": 2}),
        ("two", {"b": b, "a": a}, {"y": 2, "x": 1}),
    ):
        (tmp_path / name).mkdir()
        context.save(tmp_path / name, "run", arrays, facts)
    one, two = ((tmp_path / n / context.STANDARDS).read_bytes() for n in ("one", "two"))
    assert one == two


def test_an_index_is_of_one_manifest(tmp_path):
    fake.scan(tmp_path)
    run = RunFolder.read(tmp_path)
    found = run.index()
    assert found is not None
    assert (found.rows.tolist()[:3], found.signs.tolist()[:3]) == ([0, 0, 1], [1, -1, 1])
    assert found.scores["evil"][0] == np.float32(fake.number(0, "evilchosen"))
    assert index.load(tmp_path, "another") is None


def test_rows_choose_their_shards(tmp_path):
    fake.scan(tmp_path)
    run = RunFolder.read(tmp_path)
    names = [f.name for f in run.files("scores")]
    assert [f.name for f in run.files("scores", [4, 5])] == names[:2]
    assert [f.name for f in run.files("scores", [22])] == names[4:]
    assert [f.name for f in run.files("scores", [10, 14])] == names[2:3]
    assert run.files("scores", []) == []
    assert run.tables("scores", [9]) == run.paths("scores", [9]) == [tmp_path / names[1]]


def test_bytes_of_a_shard_are_checked(tmp_path):
    fake.scan(tmp_path)
    run = RunFolder.read(tmp_path)
    file = run.files("scores")[1]
    whole = (tmp_path / file.name).read_bytes()
    assert run.bytes_of(file) == whole
    (tmp_path / file.name).write_bytes(whole[:-1] + b"?")
    with pytest.raises(StoreError, match=f"{file.name} does not have the bytes that were published"):
        run.bytes_of(file)
    (tmp_path / file.name).unlink()
    with pytest.raises(StoreError, match=f"{file.name} is missing"):
        run.bytes_of(file)


def test_a_file_that_was_hashed_is_hashed_again_once_it_changed(tmp_path):
    fake.scan(tmp_path)
    run = RunFolder.read(tmp_path)
    first = run.tables("scores")[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + b"?")
    with pytest.raises(StoreError, match="does not have the bytes"):
        run.tables("scores")
    first.write_bytes(whole)
    assert run.tables("scores")[0] == first
