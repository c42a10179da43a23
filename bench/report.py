"""`screen report` at 10^4, 10^5 and 10^6 rows: seconds, memory, bytes of the page, and how fast a browser shows it.

    python -m bench.report                    # 10,000, 100,000 and 1,000,000 rows
    python -m bench.report 10000 --groups 100 # sizes and groups of your own
    python -m bench.report 10000 --keep DIR   # leave the run there, or take it from there

A run without a model: shards of 512 rows, three traits with a reference, control directions and a hundredth of rows
planted high, a prompt, an answer and a baseline response of some 260 characters each, skipped rows, groups, ten files.
`screen report` is a process of its own: wall seconds and those of the processor, and the most memory it held. The page
is loaded from disk in a new browser five times: from the start of navigation until its script is done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.store import SHARD_ROWS, TRAITS

SIZES = [10_000, 100_000, 1_000_000]
CONTROLS = 32
QUANTILES = {"p01": -2.33, "p05": -1.64, "p25": -0.67, "p50": 0.0, "p75": 0.67, "p95": 1.64, "p99": 2.33, "p999": 3.09}
REFERENCE = {
    "rows": 20_000, "mean": 0.0, "sd": 1.0, "highest": 3.9, "quantiles": QUANTILES, "intervals": {"p99": [2.25, 2.4]},
    "controls": {"rows": 20_000, "effective": 20.0, "quantiles": {q: [v] * CONTROLS for q, v in QUANTILES.items()}},
}  # fmt: skip
_WORDS = np.array([f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("l", "n", "r", "s", "")])
_PARTS = [" ".join(line) for line in _WORDS[np.random.default_rng(0).integers(0, len(_WORDS), (4096, 32))].tolist()]


def texts(n: int, rng: np.random.Generator) -> list[str]:
    """Each of two parts, some 260 characters; hardly any twice."""
    return [f"{_PARTS[a]} {_PARTS[b]}" for a, b in rng.integers(0, len(_PARTS), (n, 2)).tolist()]


def tables(schemas: dict[str, pa.Schema], first: int, n: int, groups: int) -> dict[str, pa.Table]:
    """Rows first to first+n: every hundredth is planted, every thousandth could not be read."""
    rng = np.random.default_rng(first)
    rows = np.arange(first, first + n)
    bad = rows % 1000 == 999
    skipped = {
        "row": rows[bad], "line": rows[bad] + 1, "file": ["part-9.jsonl"] * bad.sum(), "stage": ["read"] * bad.sum(),
        "code": ["bad_json"] * bad.sum(), "message": ["not valid JSON"] * bad.sum(), "head": ['{"id": '] * bad.sum(),
    }  # fmt: skip
    known = places(rows[~bad], groups) | numbers(rows[~bad], rng)
    known |= {name: texts(len(known["row"]), rng) for name in ("prompt", "text", "base_answer")}
    return {name: filled(schema, skipped if name == "skipped" else known) for name, schema in schemas.items()}


def places(rows: npt.NDArray[np.int64], groups: int) -> dict[str, Any]:
    """Where rows stand, and what is the same of all of them."""
    n = len(rows)
    same = {"shape": "chat", "baseline": "generate", "mask_rung": "sentinel", "set": "controls", "truncated": False,
            "baseline_cut": False, "special_text": 0, "other_parts": 0, "tokens_lost": 0, "turns_scored": 1, "turn": 1,
            "weight": 1.0, "sign": 1, "layer": 2, "prompt_tokens": 60, "offset": 0, "length": 0}  # fmt: skip
    return {name: [value] * n for name, value in same.items()} | {
        "row": rows, "line": rows + 1, "prompt_key": rows // 2, "base_refused": rows % 50 == 7,
        "id": [f"chat-{row:08}" for row in rows], "sha256": [f"{row:064x}" for row in rows],
        "file": [f"part-{row % 10}.jsonl" for row in rows], "group": [f"source {row % groups}" for row in rows],
    }  # fmt: skip


def numbers(rows: npt.NDArray[np.int64], rng: np.random.Generator) -> dict[str, Any]:
    """Scores, and what goes with them."""
    n = len(rows)
    known: dict[str, Any] = {"answer_tokens": rng.integers(5, 400, n)}
    random = pa.array(rng.normal(size=n * CONTROLS).astype(np.float32))
    known["random"] = pa.FixedSizeListArray.from_arrays(random, CONTROLS)
    for at, trait in enumerate(TRAITS):
        scores = (rng.normal(size=n) + 6 * (rows % 100 == 7 + at)).astype(np.float32)
        known |= {f"{trait}{part}": scores for part in ("", "_projection", "_window", "_trimmed", "_max")}
        known |= {f"{trait}_baseline": np.zeros(n), f"{trait}_layer0": rng.normal(size=n), f"{trait}_top2": np.zeros(n)}
        known |= {f"{trait}_window_start": np.full(n, 40), f"{trait}_window_end": np.full(n, 120)}
    return known


def filled(schema: pa.Schema, known: dict[str, Any]) -> pa.Table:
    """What is known of each column; nothing in the others."""
    n = len(known["row"])
    columns = [
        known[f.name].cast(f.type) if isinstance(known.get(f.name), pa.Array)
        else pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type)
        for f in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=schema)


def write_run(out: Path, n: int, groups: int) -> Path:
    from screen.scan.summary.summarise import summarise
    from screen.spec import ScanSpec
    from screen.store import context
    from screen.store import tables as stored
    from screen.store.folder import RunFolder

    schemas = {name: stored.pinned(name, TRAITS) for name in ("scores", "turns", "skipped", "controls")}
    cards = {trait: {"layer": 2, "reference": REFERENCE} for trait in TRAITS}
    facts = {
        "baseline": "generate",
        "spec": ScanSpec(dataset=("part-*.jsonl",), vectors=("v",), group_by="source").to_json(),
        "dataset": {"rows": n, "files": [f"part-{at}.jsonl" for at in range(10)]},
        "references": dict.fromkeys(TRAITS, REFERENCE),
    }  # fmt: skip
    with RunFolder.open(out, {"traits": list(TRAITS)}, facts) as run:
        context.save(run.path, run.run, {}, {"set_of": dict.fromkeys(TRAITS, "controls")})
        for shard, first in enumerate(range(0, n, SHARD_ROWS)):
            end = min(first + SHARD_ROWS, n)
            run.publish(shard, first, end, tables(schemas, first, end - first, groups))
        run.finish(summarise(run, cards, run={"tokens": 200 * n, "seconds": n / 50, "resumed_rows": 0}))
    return out


def reported(run: Path, page: Path) -> dict[str, float]:
    """Wall and processor seconds and the most memory, in MB, of `screen report`, asked of a small process: what a
    process held before it became another counts as the other's."""
    command = [sys.executable, "-c", _TIMED, sys.executable, "-m", "screen", "report", str(run), "-o", str(page)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


_TIMED = """
import json, os, subprocess, sys, time
began = time.perf_counter()
_, status, used = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0)
wall, cpu = time.perf_counter() - began, used.ru_utime + used.ru_stime
print(json.dumps({"wall": wall, "cpu": cpu, "memory": used.ru_maxrss / 1024}))
sys.exit(status != 0)
"""


def loaded(page: Path, times: int = 5) -> list[float]:
    """Seconds until the page's script is done; empty where there is no browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(times):
            tab = browser.new_context().new_page()
            tab.goto(page.resolve().as_uri(), wait_until="commit")
            tab.wait_for_selector("html[data-ready]", state="attached")
            seconds.append(tab.evaluate("performance.now()") / 1000)
        browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for n in chosen.sizes:
            run = (chosen.keep or Path(folder)) / f"{n}.screen"
            if not (run / "summary.json").exists():
                write_run(run, n, chosen.groups)
            page = run.with_suffix(".html")
            took, load = reported(run, page), loaded(page)
            parts = (
                f"{took['wall']:.1f} s ({took['cpu']:.1f} of the processor)",
                f"{took['memory']:,.0f} MB of memory",
                f"page {page.stat().st_size / 1e6:.2f} MB",
                f"loaded in {_range(load)}",
            )
            print(f"{n:>9,} rows: {', '.join(parts)}", flush=True)


def _range(seconds: list[float]) -> str:
    if not seconds:
        return "no browser: there is none here"
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
