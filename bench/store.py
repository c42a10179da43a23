"""The store's own costs, from 10^4 to 10^6 rows: planning, Parquet, files, the manifest, opening again, `screen sql`.

    python bench/store.py                 # 10,000, 100,000 and 1,000,000 rows
    python bench/store.py 10000 100000    # sizes of your own
    python bench/store.py --verbs 1000000 # seconds of the processor that each reading verb takes, start included

Shards of 512 rows, three traits, one answer of 600 characters a row; random scores. One process a size. Times are wall
seconds, microseconds a row beside them; memory is what the process grew by while it published.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SHARD_ROWS = 512
TRAITS = ("evil", "sycophancy", "hallucination")
TEXT = "please keep the small garden alive through a dry summer without much water " * 8
QUERY = "select row, evil from scores order by evil desc limit 20"


def table(schema: pa.Schema, first: int, n: int, rng: np.random.Generator) -> pa.Table:
    """Rows first to first+n: random numbers, the text above, nothing where a column is a list or optional."""
    columns = []
    for field in schema:
        if field.name in ("row", "offset", "line"):
            values: Any = np.arange(first, first + n)
        elif pa.types.is_floating(field.type):
            values = rng.normal(size=n).astype(np.float32)
        elif field.type == pa.int8():
            values = np.ones(n, np.int8)
        elif pa.types.is_integer(field.type):
            values = rng.integers(0, 300, n)
        elif field.name == "text":
            values = [TEXT[i % 64 :] for i in range(n)]
        elif field.name == "sha256":
            values = [f"{first + i:016x}" for i in range(n)]
        else:
            values = [None] * n
        columns.append(
            pa.array(values).cast(field.type) if not isinstance(values, list) else pa.array(values, field.type)
        )
    return pa.Table.from_arrays(columns, schema=schema)


class Clock(dict[str, float]):
    """Seconds a stage; `on` puts itself around a function."""

    def on(self, owner: Any, name: str, stage: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return real(*args, **named)
            finally:
                self[stage] = self.get(stage, 0.0) + time.perf_counter() - began

        setattr(owner, name, timed)


def sequences(n: int, rng: np.random.Generator) -> list[npt.NDArray[np.int32]]:
    """Rows of 100 to 600 tokens under one of four system prompts of 50."""
    first = rng.integers(0, 1 << 15, (4, 50))
    return [
        np.concatenate([first[i % 4], rng.integers(0, 1 << 15, k)]).astype(np.int32)
        for i, k in enumerate(rng.integers(50, 550, n))
    ]


def one_size(n: int) -> dict[str, Any]:
    from screen.model.forward import plan
    from screen.store import shards, tables
    from screen.store.folder import RunFolder
    from screen.store.manifest import Manifest

    clock = Clock()
    clock.on(plan, "plan_shared", "plan")
    clock.on(tables, "encode", "Parquet")
    clock.on(shards, "place", "files")
    clock.on(Manifest, "append", "manifest")
    rng = np.random.default_rng(0)
    schemas = {name: tables.pinned(name, TRAITS) for name in ("scores", "turns")}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        with RunFolder.open(out, {"traits": list(TRAITS)}) as run:
            before = 0
            for shard, first in enumerate(range(0, n, SHARD_ROWS)):
                end = min(first + SHARD_ROWS, n)
                plan.plan_shared(sequences(end - first, rng), 2048)
                run.publish(shard, first, end, {k: table(s, first, end - first, rng) for k, s in schemas.items()})
                if shard == 16:  # what every run needs is loaded by now
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            run.finish({"rows": n})
        size = sum(f.stat().st_size for f in out.rglob("*.parquet"))
        lines = (out / "manifest.jsonl").stat().st_size
        began = time.perf_counter()
        RunFolder.read(out)
        clock["read again"] = time.perf_counter() - began
        began = time.perf_counter()
        RunFolder.open(out, {"traits": list(TRAITS)}).close()
        clock["resume (all hashed)"] = time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "screen", "sql", str(out), QUERY], check=True, stdout=subprocess.DEVNULL)
        clock["screen sql"] = time.perf_counter() - began
    return {"rows": n, "stages": clock, "grown_mb": grown / 1024, "parquet_mb": size / 1e6, "manifest_mb": lines / 1e6}


def write_run(folder: Path, n: int) -> Path:
    """A finished run of n rows over a JSONL file of n short rows."""
    from screen.data.dataset import open_dataset
    from screen.spec import ScanSpec
    from screen.store import tables
    from screen.store.folder import RunFolder

    data, out, rng = folder / "rows.jsonl", folder / "rows.screen", np.random.default_rng(0)
    data.write_text("".join(f'{{"prompt":"{i}?","completion":"{i}"}}\n' for i in range(n)))
    dataset = open_dataset((str(data),))
    schemas = {name: tables.pinned(name, TRAITS) for name in ("scores", "turns")}
    facts = {"baseline": "generate", "spec": ScanSpec(dataset=(str(data),), vectors=("v",)).to_json(),
             "dataset": {"rows": n}}  # fmt: skip
    with RunFolder.open(out, {"traits": list(TRAITS), "dataset": dataset.fingerprint()}, facts) as run:
        for shard, first in enumerate(range(0, n, SHARD_ROWS)):
            end = min(first + SHARD_ROWS, n)
            run.publish(shard, first, end, {k: table(s, first, end - first, rng) for k, s in schemas.items()})
        flags = {t: {"threshold": 2.5, "rule": "fixed", "column": t} for t in TRAITS}
        run.finish({"rows": n, "at": "p99", "fdr": None, "traits": {t: {"reference": False} for t in TRAITS},
                    "flags": flags})  # fmt: skip
    return out


VERBS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "show": ("show", "77777"),
    "rank": ("rank", "--by", "evil"),
    "rank --flagged --csv": ("rank", "--by", "evil", "--flagged", "--csv"),
    "sql count(*)": ("sql", "select count(*) from scores"),
    "sql top 20": ("sql", QUERY),
    "sql over text": ("sql", "select count(*) from samples where answer like '%summer%'"),
    "filter --dry-run": ("filter", "--drop", "evil > run.p99 or flagged", "--dry-run"),
    "status --verify": ("status", "--verify"),
}


def verbs(n: int) -> None:
    """Best of three: processor and wall seconds of each verb's process."""
    with tempfile.TemporaryDirectory() as folder:
        out = write_run(Path(folder), n)
        size = sum(f.stat().st_size for f in out.rglob("*.parquet"))
        print(f"{n:,} rows, {size / 1e6:,.0f} MB of Parquet")
        for name, (verb, *more) in VERBS.items():
            command, best = [sys.executable, "-m", "screen", verb, str(out), *more], (float("inf"), float("inf"))
            for _ in range(3):
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                best = min(best, (cpu, time.perf_counter() - began))
            print(f"  {name:<22} {best[0]:6.2f} s of the processor, {best[1]:6.2f} s")


def main() -> None:
    if sys.argv[1:2] == ["--verbs"]:
        for size in sys.argv[2:] or ["100000", "1000000"]:
            verbs(int(size))
        return
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        print(json.dumps(one_size(int(sys.argv[2]))))
        return
    for n in [int(a) for a in sys.argv[1:]] or [10_000, 100_000, 1_000_000]:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(n)], stdout=subprocess.PIPE, text=True, check=True
        )
        r = json.loads(done.stdout)
        print(f"{n:>9,} rows: {r['parquet_mb']:,.0f} MB of Parquet, manifest {r['manifest_mb']:.2f} MB, "
              f"grown by {r['grown_mb']:.1f} MB")  # fmt: skip
        for stage, seconds in r["stages"].items():
            print(f"  {stage:<20} {seconds:8.2f} s  {seconds / n * 1e6:8.2f} us a row")


if __name__ == "__main__":
    main()
