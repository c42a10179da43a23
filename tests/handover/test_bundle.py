"""`screen export --as audit`: every row of the dataset, once, from every kind of file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from screen.data.dataset import open_dataset
from screen.data.digests import row_digests
from screen.handover.bundle.verify import verify
from tests.cli import fake_run
from tests.cli.conftest import Screen
from tests.data.test_kinds import MAKERS, ROWS

TEXT = "\n".join(map(json.dumps, ROWS)).encode()
PACKED = {
    "rows.jsonl.gz": lambda p: p.write_bytes(gzip.compress(TEXT)),
    "rows.json.zst": lambda p: p.write_bytes(zstandard.compress(json.dumps(ROWS).encode())),
    "bom.jsonl": lambda p: p.write_bytes(b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n\n")),
    "rows.txt": lambda p: p.write_bytes(TEXT),  # lines of JSON under another name
}


@pytest.mark.parametrize("name", [*MAKERS, *PACKED])
def test_a_bundle_of_every_kind_of_file(screen: Screen, tmp_path: Path, name: str) -> None:
    (MAKERS | PACKED)[name](tmp_path / name)
    run = fake_run.write_run(tmp_path / name, shards=7, out=tmp_path / "r.screen")  # two of 30 rows are not reached
    if name == "rows.txt":
        run = fake_run.write_run(tmp_path / name, shards=0, out=tmp_path / "t.screen")
    said = screen("export", str(run), "--as", "audit", "--no-report", "--rest", "drop", "-o", "a.audit", "--json")
    assert said.code == 0, said.err
    found = verify(tmp_path / "a.audit", dataset=[str(tmp_path / name)])
    assert found.problems == ()
    assert found.against == ("its own digests", "the dataset")
    told = json.loads(said.out)
    assert (told["kept"] + told["dropped"] + told["skipped"], told["rows"]) == (told["rows"], found.counts["rows"])


@pytest.mark.parametrize("name", [*MAKERS, *PACKED])
def test_a_digest_begins_with_what_the_run_stores(tmp_path: Path, name: str) -> None:
    (MAKERS | PACKED)[name](tmp_path / name)
    dataset = open_dataset([str(tmp_path / name)])
    stored = [entry.place.sha256 for window in dataset.windows(99) for entry in window.entries]
    assert [sha[:16] for sha in row_digests(dataset.files[0])] == stored


def test_two_identical_rows_are_two_rows(screen: Screen, tmp_path: Path) -> None:
    line = json.dumps(ROWS[0]) + "\n"
    (tmp_path / "same.jsonl").write_text(line * 8)
    run = fake_run.write_run(tmp_path / "same.jsonl")
    screen("export", str(run), "--as", "audit", "--no-report", "-o", "a.audit")
    assert (tmp_path / "a.audit/kept/same.jsonl").read_text() == line * 5
    (tmp_path / "same.jsonl").write_text(line * 7)
    assert "has 7 rows" in screen("verify", "a.audit", "--dataset", "same.jsonl").err


def test_each_file_of_a_dataset_has_parts_of_its_own(screen: Screen, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for at, place in enumerate(("a/x.jsonl", "b/x.jsonl", "b/odd \u202e\nname.json")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        rows = ROWS[4 * at : 4 * at + 4]
        text = json.dumps(rows) if place.endswith("json") else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / place).write_text(text)
    run = fake_run.write_run(folder, shards=3, out=tmp_path / "r.screen")
    said = screen("export", str(run), "--as", "audit", "--no-report", "-o", "a.audit", "--drop", "evil >= 8")
    assert said.code == 0, said.err
    names = sorted(p.relative_to(tmp_path / "a.audit").as_posix() for p in (tmp_path / "a.audit").glob("*/*"))
    assert names == ["dropped/x-2.jsonl", "kept/odd_name.json", "kept/x.jsonl", "skipped/x.jsonl"]
    assert verify(tmp_path / "a.audit", dataset=[str(folder)]).problems == ()


def test_a_run_of_skipped_rows_only(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + "{\n" * 3)
    run = fake_run.write_run(tmp_path / "one.jsonl", shards=0)
    assert screen("export", str(run), "--as", "audit", "--no-report", "--rest", "keep", "-o", "a").code == 0
    assert verify(tmp_path / "a", dataset=[str(tmp_path / "one.jsonl")]).ok


def test_an_unfinished_run_is_refused_with_the_command_that_goes_on(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    fake_run.write_run(chats, shards=1, finish=False)
    said = screen("export", "chats.screen", "--as", "audit", "--no-report", "--rest", "keep", "-o", "a.audit")
    assert said.code == 2
    assert "error: chats.screen is not finished: it holds 4 of 8 rows\nnext: finish it: screen run --spec" in said.err
    assert not (tmp_path / "a.audit").exists()


def test_a_bundle_that_fails_leaves_nothing(
    screen: Screen, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("screen.handover.bundle.write.write_rows", full)
    said = screen("export", str(run), "--as", "audit", "--no-report", "-o", "a.audit")
    assert "error: a.audit cannot be written: No space left on device" in said.err
    assert (said.code, sorted(tmp_path.iterdir())) == (2, before)


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_old_bundle_is_replaced_by_force_and_another_folder_never(screen: Screen, bundle: Path) -> None:
    again = ("export", "chats.screen", "--as", "audit", "--no-report", "-o")
    assert "exists already" in screen(*again, "chats.audit").err
    assert screen(*again, "chats.audit", "--force", "--drop", "evil > 1").code == 0
    assert verify(bundle).counts["dropped"] == 5
    (bundle.parent / "mine").mkdir()
    (bundle.parent / "mine" / "thesis.txt").write_text("x")
    said = screen(*again, "mine", "--force")
    assert (said.code, "no export, so it is not replaced" in said.err) == (2, True)
    assert (bundle.parent / "mine" / "thesis.txt").exists()
