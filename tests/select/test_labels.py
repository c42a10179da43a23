"""Labels in a run's folder: the last one counts, writers do not lose each other's, nothing else changes."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from screen.disk import Disk
from screen.errors import StoreError, UsageError
from screen.select.labels import LabelGiven, add, counts, from_file, named
from screen.store.labels.file import LABELS, append
from screen.store.scan import Scan
from tests.cli import fake_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.write_run(fake_run.write_chats(tmp_path_factory.mktemp("labels") / "chats.jsonl"))


@pytest.fixture
def scan(finished: Path) -> Scan:
    """The run of eight rows, without labels."""
    (finished / LABELS).unlink(missing_ok=True)
    return Scan.open(finished)


def say(scan: Scan, row: int | str, label: str | None, note: str | None = None, trait: str | None = None) -> None:
    add(scan, [named(str(row), False, label, note, trait)])


def test_the_last_label_counts_and_one_of_the_whole_row_replaces_all(scan: Scan) -> None:
    say(scan, 1, "drop")
    say(scan, "c1", "keep", trait="evil")
    assert (scan.labels.of(1, "evil"), scan.labels.of(1, "kind"), scan.labels.verdict(1)) == ("keep", "drop", "drop")
    say(scan, 1, "unsure")
    assert (scan.labels.of(1, "evil"), scan.labels.verdict(1)) == ("unsure", "unsure")
    say(scan, 1, None)
    assert scan.labels.listed() == []
    assert counts(scan) == {"keep": 0, "drop": 0, "unsure": 0}


def test_labels_leave_every_other_file_as_it_is(scan: Scan) -> None:
    def digests() -> dict[str, str]:
        files = (p for p in scan.path.rglob("*") if p.is_file() and p.name != LABELS)
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = digests()
    say(scan, 3, "drop", "a row that was skipped is there too")
    assert digests() == before
    assert Scan.open(scan.path).folder.finished


@pytest.mark.parametrize(
    ("row", "label", "why"),
    [(8, "drop", "there is no row 8 in"), ("zz", "keep", "has the id 'zz'"), (1, "dorp", "'dorp' is no label")],
)
def test_a_label_that_cannot_be_leaves_nothing_written(row: int | str, label: str, why: str, scan: Scan) -> None:
    with pytest.raises(UsageError, match=why):
        add(scan, [named("1", False, "keep", None, None), named(str(row), False, label, None, None)])
    assert not (scan.path / LABELS).exists()


@pytest.mark.parametrize("note", ["nul \0", "half \ud800", "x" * 2001])
def test_a_note_that_is_no_text(note: str, scan: Scan) -> None:
    with pytest.raises(UsageError, match="the note"):
        say(scan, 1, "keep", note)


def test_a_torn_line_is_cut_off_by_the_next_label_and_a_damaged_one_is_told(scan: Scan) -> None:
    path = scan.path / LABELS
    say(scan, 1, "drop", "a b@c")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    assert scan.labels.verdict(1) == "drop"
    say(scan, 2, "keep")
    assert len(path.read_bytes().splitlines()) == 2
    path.write_bytes(path.read_bytes().replace(b"drop", b"dr0p"))
    with pytest.raises(StoreError, match=r"labels\.jsonl is damaged at line 1: its checksum does not match"):
        say(scan, 1, "keep")


def test_two_processes_that_label_at_once_lose_nothing(scan: Scan) -> None:
    code = (
        "import sys; from pathlib import Path; from screen.store.scan import Scan; from screen.select.labels import *\n"
        "scan = Scan.open(Path(sys.argv[1]))\n"
        "for i in range(30): add(scan, [named(sys.argv[2], False, 'keep', str(i), None)])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(scan.path), row]) for row in ("1", "2")]
    assert [w.wait() for w in writers] == [0, 0]
    assert sorted((s.row, int(s.note or 0)) for s in scan.labels.said) == [(r, i) for r in (1, 2) for i in range(30)]


def test_labels_of_another_run_are_not_taken_for_this_ones(scan: Scan, tmp_path: Path) -> None:
    say(scan, 1, "drop")
    other = fake_run.write_run(fake_run.write_chats(tmp_path / "others.jsonl", rows=12))
    (other / LABELS).write_bytes((scan.path / LABELS).read_bytes())
    with pytest.raises(StoreError, match="holds labels of another run"):
        _ = Scan.open(other).labels


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.jsonl", '{"row": 1, "label": "Drop ", "note": "no"}\n\n{"id": "c2", "label": ""}\n'),
        ("l.csv", "\ufeffrow,id,label,note,score\n1,c1,drop,no,3.5\n,c2,,,\n"),
    ],
)
def test_a_file_of_labels(name: str, text: str, scan: Scan, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    given, empty = from_file(str(tmp_path / name), "evil")
    assert [(g.row, g.label, g.note, g.trait) for g in given] == [(1, "drop", "no", "evil")]
    assert empty == 1
    assert [label.row for label in add(scan, given)] == [1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "l.jsonl:1: no JSON object"),
        ('{"label": "drop"}', "l.jsonl:1: neither row nor id"),
        ('{"row": 1, "lable": "drop"}', "l.jsonl:1: no `label`"),
        ("", "l.jsonl holds no rows"),
        ('{"row": true, "label": "drop"}', "row 'True' is no number"),
        ('{"row": 1, "label": 3}', "label is no text"),
        ('{"row": 1, "label": "bad"}', "l.jsonl:1: 'bad' is no label"),
        ('{"row": 1, "id": "c2", "label": "drop"}', "l.jsonl:1: row 1 has the id 'c1', not 'c2'"),
        ('{"row": 1, "label": "drop", "trait": "evli"}', "l.jsonl:1: the run has no trait 'evli'"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_number(line: str, why: str, scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError) as told:
        add(scan, from_file(str(tmp_path / "l.jsonl"))[0])
    assert why in told.value.message


HOSTILE = "'); drop table scores; -- \x1b[31m \u202e <script> =1+1\nsecond line"


def test_the_view_of_labels_holds_what_was_said(scan: Scan) -> None:
    assert scan.sql("select count(*) n from labels")["n"].to_pylist() == [0]
    add(scan, [LabelGiven(6, None, "drop", HOSTILE, "evil"), LabelGiven(7, None, "keep")])
    table = scan.sql("select labels.*, evil as score from labels join scores using (row) order by row")
    rows = table.to_pylist()
    assert [(r["row"], r["label"], r["trait"], r["note"], r["score"]) for r in rows] == [
        (6, "drop", "evil", HOSTILE, 6.0), (7, "keep", None, None, 7.0),
    ]  # fmt: skip
    assert rows[0]["at"].year >= 2024


class FullDisk(Disk):
    """Writes a part of what is added, then has no room."""

    def append(self, path: Path, data: bytes) -> None:
        super().append(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_labels_that_cannot_be_written_leave_the_file_as_it_was(scan: Scan) -> None:
    say(scan, 1, "drop")
    before = (scan.path / LABELS).read_bytes()
    with pytest.raises(UsageError, match=r"labels\.jsonl cannot be written: No space left on device") as told:
        append(scan.folder, [*scan.labels.said, *scan.labels.said], FullDisk())
    assert told.value.next_step.startswith("labels are kept in the run's folder: make it writable")
    assert (scan.path / LABELS).read_bytes() == before


@pytest.mark.parametrize("text", ["1,drop\n", "row,lable\n1,drop\n", "label\ndrop\n", ""])
def test_a_csv_file_without_its_header_is_not_taken_for_an_empty_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UsageError, match=r"l\.csv has no header with label and row \(or id\)"):
        from_file(str(tmp_path / "l.csv"))
