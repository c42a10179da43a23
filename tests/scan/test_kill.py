"""Kill -9 at random moments, fifty times, then resume: the bytes of an uninterrupted run, every row once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

WORKER = Path(__file__).with_name("kill_worker.py")


def test_fifty_kills(make_spec: Callable[..., ScanSpec], tmp_path: Path) -> None:
    spec = make_spec(shard_rows=1, max_new_tokens=24)
    out, cache = tmp_path / "killed", tmp_path / "cache"
    arguments = [json.dumps(spec.to_json()), str(out), str(cache), "50", "0"]
    done = subprocess.run([sys.executable, str(WORKER), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deaths"] == 50, "it finished before it had been killed fifty times"
    run_scan(spec, out, cache=cache)
    run_scan(spec, tmp_path / "whole", cache=tmp_path / "cache2")
    killed, whole = RunFolder.read(out), RunFolder.read(tmp_path / "whole")
    assert killed.verify() == []
    assert [e.rows for e in killed.published.values()] == [1] * 40
    for table in ("scores", "turns", "skipped"):
        ours = {f.name: f.read_bytes() for f in killed.tables(table)}
        assert ours == {f.name: f.read_bytes() for f in whole.tables(table)}
