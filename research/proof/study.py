"""The study, read first: `python -m research.proof.study` measures piece after piece and writes docs/proof/.

A piece is a module with `measure(subject, say)`, which returns plain JSON; what it cost, seeds and versions are put
beside it. `page.py` makes the text from those files alone. What is there already is kept; `--fresh` measures anew.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch

from research.proof import subject
from screen.foreign import JsonObject
from screen.scan.plan import versions

DOCS: Final = Path(__file__).parents[2] / "docs" / "proof"
# piece -> (module of research.proof, subject), in the order of two queues that run side by side, one a core
QUEUES: Final[tuple[tuple[str, ...], ...]] = (
    ("matrix-organism", "doses-organism", "nothing", "failures"),
    (
        "matrix-embedded",
        "doses-embedded",
        "thirds-embedded",
        "filtering",
        "vaccine",
        "baselines",
        "coverage",
        "samples",
    ),
)


def measure(piece: str, work: Path) -> JsonObject:
    """One piece with what it cost. `piece`: a module, with `-embedded` or `-organism` where it is measured on both."""
    name, _, on = piece.partition("-")
    say = lambda line: print(f"{time.strftime('%H:%M:%S')} {piece}: {line}", file=sys.stderr, flush=True)  # noqa: E731
    torch.set_num_threads(1)  # small batches: a second thread mostly waits
    of = subject.of_organism(work) if on == "organism" else subject.embedded(work)
    wall, processor = time.monotonic(), time.process_time()
    found = importlib.import_module(f"research.proof.{name}").measure(of, say)
    return {
        "piece": piece,
        "model": of.name,
        "seconds": round(time.monotonic() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": {**versions(), "python": platform.python_version()},
        "found": found,
    }


def write(piece: str, found: JsonObject) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (DOCS / f"{piece}.json").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m research.proof.study", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".proof"), help="runs, models and caches are kept here")
    parser.add_argument("--only", action="append", choices=[p for q in QUEUES for p in q], help="a piece; repeatable")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    options = parser.parse_args(arguments)
    if options.only and len(options.only) == 1:
        write(options.only[0], measure(options.only[0], options.work))
    else:
        wanted = [[p for p in q if _wanted(p, options.only, options.fresh)] for q in QUEUES]
        _side_by_side(wanted, options.work)
    from research.proof.page import write_page

    write_page(DOCS)


def _wanted(piece: str, only: Sequence[str] | None, fresh: bool) -> bool:
    return piece in only if only else fresh or not (DOCS / f"{piece}.json").exists()


def _side_by_side(queues: Sequence[Sequence[str]], work: Path) -> None:
    """Each queue's pieces after each other, the queues beside each other; a process a piece."""
    waiting = [list(q) for q in queues]
    running: dict[int, subprocess.Popen[bytes]] = {}
    while any(waiting) or running:
        for number, queue in enumerate(waiting):
            if queue and number not in running:
                command = [sys.executable, "-m", "research.proof.study", "--work", str(work), "--only", queue.pop(0)]
                running[number] = subprocess.Popen(command)
        for number, process in list(running.items()):
            if (code := process.poll()) is not None:
                del running[number]
                if code:
                    raise SystemExit(code)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
