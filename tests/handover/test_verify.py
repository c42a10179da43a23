"""`screen verify`: any change of any file of a bundle is found, and what was not looked at is said."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from screen import seal
from screen.handover.bundle.verify import verify
from tests.cli.conftest import Screen

FILES = (
    "README.txt", "dropped/chats.jsonl", "kept/chats.jsonl", "manifest.json", "reasons.jsonl", "rows.csv",
    "skipped.jsonl", "skipped/chats.jsonl", "summary.json",
)  # fmt: skip
LINES = ("kept/chats.jsonl", "dropped/chats.jsonl", "skipped/chats.jsonl", "reasons.jsonl", "skipped.jsonl", "rows.csv")


def problems(bundle: Path) -> tuple[str, ...]:
    return verify(bundle).problems


def test_the_files_of_a_bundle(bundle: Path) -> None:
    assert tuple(sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())) == FILES
    assert problems(bundle) == ()


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_bit_is_found(bundle: Path, name: str) -> None:
    whole = (bundle / name).read_bytes()
    chosen = random.Random(name).sample(range(len(whole)), min(9, len(whole)))
    for at in {0, len(whole) // 2, len(whole) - 1, *chosen}:
        bit = 1 << at % 8
        (bundle / name).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        assert any(name in problem for problem in problems(bundle)), at
    (bundle / name).write_bytes(whole)
    assert problems(bundle) == ()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_renamed_emptied_or_cut_short(bundle: Path, name: str) -> None:
    whole = (bundle / name).read_bytes()
    (bundle / name).rename(bundle / "elsewhere")
    assert any(name in problem for problem in problems(bundle))
    (bundle / "elsewhere").unlink()
    assert any(name in problem for problem in problems(bundle))
    for part in (b"", whole[:-1], whole + b"\n"):
        (bundle / name).write_bytes(part)
        assert any(name in problem for problem in problems(bundle))


@pytest.mark.parametrize("name", FILES)
def test_a_file_swapped_for_another(bundle: Path, name: str) -> None:
    whole = {other: (bundle / other).read_bytes() for other in FILES}
    for other in set(FILES) - {name}:
        (bundle / name).write_bytes(whole[other])
        (bundle / other).write_bytes(whole[name])
        found = "manifest.json" if other == "manifest.json" else name
        assert any(found in problem for problem in problems(bundle))
        (bundle / other).write_bytes(whole[other])


@pytest.mark.parametrize("name", LINES)
def test_a_line_dropped_doubled_or_moved(bundle: Path, name: str) -> None:
    lines = (bundle / name).read_bytes().splitlines(keepends=True)
    for changed in (lines[1:], lines[:-1], [*lines, lines[-1]], [lines[0], *lines]):
        (bundle / name).write_bytes(b"".join(changed))
        assert any(name in problem for problem in problems(bundle))
    if len(lines) > 1:
        (bundle / name).write_bytes(b"".join(lines[::-1]))
        assert any(name in problem for problem in problems(bundle))


def test_a_file_too_many_and_a_link(bundle: Path) -> None:
    (bundle / "kept" / "more.jsonl").write_text("{}\n")
    assert problems(bundle) == ("kept/more.jsonl is not in manifest.json",)
    (bundle / "kept" / "more.jsonl").unlink()
    (bundle / "README.txt").rename(bundle.parent / "README.txt")
    (bundle / "README.txt").symlink_to(bundle.parent / "README.txt")
    assert problems(bundle) == ("README.txt is a link, or no file",)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_or_a_link_without_end_is_not_read(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert any(name in problem for problem in problems(bundle))
    (bundle / name).unlink()
    (bundle / name).symlink_to("/dev/zero")
    assert any(name in problem for problem in problems(bundle))


def resealed(bundle: Path, name: str) -> None:
    """What a careful forger does: the file's new digest into the manifest, and a new seal."""
    import hashlib

    raw = seal.open_json((bundle / "manifest.json").read_bytes())
    data = (bundle / name).read_bytes()
    raw["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (bundle / "manifest.json").write_bytes(seal.sealed_json(raw))


@pytest.mark.parametrize("name", LINES)
def test_a_line_less_under_a_new_digest_is_found_by_the_other_files(bundle: Path, name: str) -> None:
    lines = (bundle / name).read_bytes().splitlines(keepends=True)
    (bundle / name).write_bytes(b"".join(lines[:-1]))
    resealed(bundle, name)
    assert problems(bundle)


def test_the_row_that_was_changed_is_named(bundle: Path) -> None:
    kept = bundle / "kept" / "chats.jsonl"
    kept.write_bytes(kept.read_bytes().replace(b"Question 4?", b"Question 5?"))
    assert problems(bundle) == (
        "kept/chats.jsonl does not have the bytes of its digest",
        "kept/chats.jsonl: number 4 in it is not row 4 of the dataset",
    )
    resealed(bundle, "kept/chats.jsonl")
    assert problems(bundle) == ("kept/chats.jsonl: number 4 in it is not row 4 of the dataset",)


def forge(bundle: Path) -> str:
    """Change a row and every digest of it. Returns the seal before."""
    import hashlib

    before = json.loads((bundle / "manifest.json").read_text())["sha256"]
    kept, rows = bundle / "kept" / "chats.jsonl", bundle / "rows.csv"
    old = kept.read_bytes().splitlines()[3]
    new = old.replace(b"Question 4?", b"Question 9?")
    kept.write_bytes(kept.read_bytes().replace(old, new))
    rows.write_text(rows.read_text().replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest()))
    for name in ("kept/chats.jsonl", "rows.csv"):
        resealed(bundle, name)
    return str(before)


def test_a_forgery_of_everything_is_seen_beside_the_dataset_or_the_seal_alone(
    screen: Screen, bundle: Path, tmp_path: Path
) -> None:
    noted = forge(bundle)
    by_itself = screen("verify", "chats.audit")
    assert by_itself.code == 0
    assert "not checked against the dataset" in by_itself.out
    assert "nothing altered" not in by_itself.out
    beside = screen("verify", "chats.audit", "--dataset", "chats.jsonl")
    assert beside.code == 1
    assert "row 4 (kept) is not what stands in chats.jsonl as row 4 of that file" in beside.err
    with_seal = screen("verify", "chats.audit", "--seal", noted)
    assert (with_seal.code, f"not {noted}" in with_seal.err) == (1, True)


def test_a_whole_bundle_says_what_it_was_held_against(screen: Screen, bundle: Path) -> None:
    noted = json.loads((bundle / "manifest.json").read_text())["sha256"]
    said = screen("verify", "chats.audit", "--dataset", "chats.jsonl", "--seal", noted)
    assert said.code == 0
    assert said.out.startswith("8 rows: 5 kept, 2 dropped, 1 skipped; each once, nothing altered\nsigned by Somebody, ")
    assert said.out.endswith("\nchecked against its own digests, the seal and the dataset\n")


def test_a_dataset_with_other_rows_or_bytes(screen: Screen, bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "chats.jsonl"
    whole = data.read_bytes()
    data.write_bytes(whole + whole.splitlines(keepends=True)[0])
    assert "chats.jsonl has more rows than the 8 of it in rows.csv" in screen_err(screen)
    data.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert "chats.jsonl has 7 rows, and rows.csv goes on with row 7 (dropped)" in screen_err(screen)
    data.write_bytes(whole + b"\n")
    assert "is not the file that was screened, though it has the same rows" in screen_err(screen)
    (tmp_path / "more.jsonl").write_bytes(whole)
    data.write_bytes(whole)
    said = screen("verify", "chats.audit", "--dataset", "chats.jsonl", "--dataset", "more.jsonl")
    assert "the bundle is of 1 files, and the dataset given has 2" in said.err


def screen_err(screen: Screen) -> str:
    said = screen("verify", "chats.audit", "--dataset", "chats.jsonl")
    assert said.code == 1
    return said.err


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[1]", b"\xff\xfe", seal.sealed_json({"format": 1, "kind": "audit"}),
     seal.sealed_json({"format": 2, "kind": "audit"}),
     seal.sealed_json({"format": 1, "kind": "audit", "inputs": [3], "files": {}, "counts": {}})],
)  # fmt: skip
def test_a_manifest_that_is_none(bundle: Path, raw: bytes) -> None:
    (bundle / "manifest.json").write_bytes(raw)
    (found,) = problems(bundle)
    assert found.startswith("manifest.json is not as it was sealed: ")


def test_names_that_lead_out_of_the_folder_are_not_followed(bundle: Path) -> None:
    raw = seal.open_json((bundle / "manifest.json").read_bytes())
    (bundle.parent / "out.txt").write_text("x")
    raw["files"]["../out.txt"] = {"bytes": 1, "sha256": "0" * 64}
    raw["inputs"][0]["parts"]["kept"]["file"] = "../chats.jsonl"
    (bundle / "manifest.json").write_bytes(seal.sealed_json(raw))
    assert "../out.txt is missing" in problems(bundle)


def test_what_is_no_bundle(screen: Screen, tmp_path: Path) -> None:
    assert screen("verify", "nowhere").code == 2
    (tmp_path / "empty").mkdir()
    said = screen("verify", "empty", "--json")
    assert said.code == 1
    assert json.loads(said.out)["problems"] == [
        "manifest.json is missing, or cannot be read: no bundle, or not a whole one"
    ]
    assert screen("verify", "empty", "--dataset", "nowhere.jsonl").code == 2


def test_a_copied_bundle_verifies(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "copy")
    assert problems(tmp_path / "copy") == ()
