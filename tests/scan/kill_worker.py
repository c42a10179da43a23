"""Runs a scan in forked children and kills them with SIGKILL at random moments. Used by test_kill.py.

    python kill_worker.py SPEC_JSON OUT CACHE KILLS SEED

Forked, not spawned: torch is imported once, so that fifty deaths take seconds. Prints how many children died.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from screen.scan.run import run_scan
from screen.spec import ScanSpec


def child(spec: ScanSpec, out: Path, cache: Path) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            run_scan(spec, out, cache=cache)
            code = 0
        finally:
            os._exit(code)
    return pid


def main() -> None:
    spec = ScanSpec.from_json(json.loads(sys.argv[1]))
    out, cache, kills = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(int(sys.argv[5]))
    deaths, ends, longest = 0, 0, 0.05
    while deaths < kills:
        began = time.monotonic()
        pid = child(spec, out, cache)
        time.sleep(rng.uniform(0.0, longest))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            deaths += 1
        elif os.WEXITSTATUS(status) != 0:
            sys.exit(f"the scan failed on its own after {deaths} kills")
        else:
            ends += 1
            break  # finished: nothing is left to kill
        longest = min(longest * 1.1, max(0.05, 2 * (time.monotonic() - began)))
    print(json.dumps({"deaths": deaths, "finished": ends}))


if __name__ == "__main__":
    main()
