"""A wrong flag of `screen run` is told before a model library is loaded, whichever flag it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from screen.vectors.files import save_vector
from screen.vectors.persona import PersonaVector
from tests.cli import fake_run
from tests.cli.conftest import Screen


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chats: Path) -> None:
    """Files for the flags below; whatever goes on to look for a device fails the test."""
    monkeypatch.setattr("screen.library.settings.build", lambda _chosen: pytest.fail("went on to load torch"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    card = {"layer": 1, "reference": {"rows": 200, "kinds": {"generate": {"1": {"quantiles": {"p99": 4.0}}}}}}
    (tmp_path / "v").mkdir()
    vector = PersonaVector("evil", np.ones((2, 3), np.float32), np.arange(2), card)
    save_vector(vector, tmp_path / "v" / "evil.safetensors")
    for name, text in (("bad.jsonl", "{"), ("a_file", ""), ("lists.jsonl", '{"x": [1]}\n')):
        (tmp_path / name).write_text(text)
    (tmp_path / "empty").mkdir()
    fake_run.write_run(fake_run.write_chats(tmp_path / "other.jsonl"))


WRONG = [
    (["--fail-on", "evill>1%"], "--fail-on names 'evill', which is not scored", 2),
    (["--traits", "evill"], "no vector for the trait 'evill' (found: evil)", 2),
    (["--layer", "kind=1"], "no vector for the trait 'kind' (found: evil)", 2),
    (["--layer", "evil=7"], "v/evil.safetensors", 4),
    (["--vectors", "nowhere.safetensors"], "no vector file at nowhere.safetensors", 4),
    (["--vectors", "bad.jsonl"], "bad.jsonl: vector files are .safetensors", 4),
    (["--model", "./nowhere"], "no model folder at ./nowhere", 4),
    (["--model", "empty"], "empty has no config.json, so it is not a model folder", 4),
    (["--out", "a_file"], "a_file is a file, not a folder", 2),
    (["--out", "a_file/run"], "a_file is a file, not a folder", 2),
    (["--out", "v"], "v is not a run: it has no scan.json and holds other files (evil.safetensors)", 2),
    (["--out", "other.screen"], "other.screen holds a run of something else; nothing was changed:", 2),
    (["--cache", "a_file"], "a_file is a file, not a folder", 2),
    (["--reference", "nowhere"], "--reference nowhere: there is no such file", 2),
    (["--reference", "bad.jsonl"], "bad.jsonl is not a reference", 2),
    (["--at", "p95"], "the card's reference has no p95 (it has p99)", 2),
    (["--fdr", "0.05"], "--fdr goes by a reference set, and none is given", 2),
    (["--group-by", "idd"], "--group-by idd: no row has this field", 2),
    (["--baseline", "answers:nowhere"], "--baseline answers:nowhere: there is no such file", 2),
    (["--baseline", "answers:bad.jsonl"], "bad.jsonl:1: not JSON", 2),
    (["--baseline", "last-prompt", "--refine"], "--refine goes with a calibrated baseline", 2),
    (["--answer-by", "endpoint"], "no endpoint: neither OPENAI_BASE_URL nor OPENAI_API_KEY is set", 2),
    (["--template", "nowhere.jinja"], "--template nowhere.jinja: there is no such file", 2),
    (["--config", "nowhere.yaml"], "--config nowhere.yaml: there is no such file", 2),
    (["--format", "banana"], "--format banana: no such shape", 2),
    (["--map", "prompt=nothing"], "--map", 2),
    (["--limit", "500-"], "--limit leaves no row of chats.jsonl", 2),
    (["--device", "banana"], "--device 'banana': no such device", 2),
    (["--devices", "banana"], "--devices 'banana' is not understood", 2),
    (["--dtype", "float8"], "Invalid value for '--dtype'", 2),
    (["--spec", "a_file"], "--spec a_file: no settings can be read there", 2),
    (["--max-errors", "many"], "--max-errors 'many' is neither a count nor a share", 2),
]


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(("flags", "why", "code"), WRONG, ids=[" ".join(flags) for flags, _, _ in WRONG])
def test_a_wrong_flag_is_told_first(flags: list[str], why: str, code: int, screen: Screen) -> None:
    vectors = [] if "--vectors" in flags else ["--vectors", "v"]
    said = screen("run", "chats.jsonl", *vectors, *flags)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith(f"error: {why}")
    assert not Path("chats.screen").exists()


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "empty").chmod(0o500)
    assert "no permission to write to empty" in screen("run", "chats.jsonl", "--vectors", "v", "--out", "empty/r").err


@pytest.mark.usefixtures("nothing_loaded")
def test_a_group_that_a_later_row_has_is_fine(screen: Screen, chats: Path) -> None:
    rows = [json.loads(line) for line in chats.read_text().splitlines()]
    rows[30]["meta"] = {"source": "forum"}
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = screen("run", "chats.jsonl", "--vectors", "v", "--group-by", "meta.sourc")
    assert said.err.endswith("next: did you mean meta.source? fields of the rows: id, meta.source\n")
    with pytest.raises(pytest.fail.Exception, match="went on to load torch"):
        screen("run", "chats.jsonl", "--vectors", "v", "--group-by", "meta.source")


@pytest.mark.usefixtures("nothing_loaded")
def test_no_model_library_is_loaded_for_it(tmp_path: Path) -> None:
    tried = [["run", "chats.jsonl", "--vectors", "v", *flags] for flags, why, _ in WRONG if "--vectors" not in flags]
    code = "import json, sys; from screen.cli.main import run; codes = [run(a) for a in json.loads(sys.argv[1])]"
    code += "; print(codes, 'torch' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps(tried)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert ended.stdout.splitlines()[-1].endswith("False")
    assert "0" not in ended.stdout


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["vectors", "build", "evill"], "there is no trait 'evill'"),
        (["vectors", "build", "evil", "--model", "./nowhere"], "no model folder at ./nowhere"),
        (["vectors", "build", "evil", "-o", "a_file"], "a_file is a file, not a folder"),
        (["vectors", "build", "evil", "--template", "nowhere"], "--template nowhere: there is no such file"),
        (["vectors", "build", "evil", "--judge", "endpoint"], "no endpoint"),
        (["vectors", "build", "evil", "--device", "banana"], "--device 'banana'"),
        (["vectors", "validate", "nowhere.safetensors"], "no vector file at nowhere.safetensors"),
        (["vectors", "validate", "v", "--layer", "kind=1"], "no vector for the trait 'kind'"),
        (["vectors", "validate", "v", "--labels", "nowhere"], "--labels nowhere: there is no such file"),
        (["vectors", "validate", "v", "--trait", "nowhere.yaml"], ""),
        (["inspect", "chats.jsonl", "--show-mask", "--model", "./nowhere"], "no model folder at ./nowhere"),
        (["reference", "build", "chats.jsonl", "-o", "empty"], "-o empty: is a folder"),
        (["reference", "build", "chats.jsonl", "--vectors", "v", "--at", "p95", "-o", "r"], "No such option '--at'"),
        (["selftest", "chats.jsonl", "--vectors", "v", "--traits", "evill"], "no vector for the trait 'evill'"),
    ],
)
def test_other_verbs_tell_theirs_first_too(
    args: list[str], why: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screen.library.devices.machine", lambda *_: pytest.fail("went on to load torch"))
    said = screen(*args)
    assert (said.code in (2, 4), said.out) == (True, "")
    assert said.err.startswith(f"error: {why}")
