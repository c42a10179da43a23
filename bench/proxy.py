"""The proxy under 200 streams at once, against a stand-in server on this machine; then killed in the middle.

    python -m bench.proxy [--streams 200] [--pieces 20] [--pause 0.1] [-o bench/proxy.json]

Bytes beside those of the server itself; how long after it was sent a piece arrives, with the proxy in between and
without, in turns in one run; messages lost, and scored twice. Exits 1 where a byte differs or a message is not there
once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.monitor.serve.proxies import Running, chat, running, start

SENT = re.compile(rb'"sent": ([0-9.]+)')


@contextmanager
def standing_in(pause: float, pieces: int) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.monitor.stand_in", str(pause), str(pieces)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


async def stream(url: str, body: dict[str, Any], delays: list[float]) -> bytes:
    """The body's bytes without the framing of the connection; b"" where it broke off. `delays`: seconds, of pieces."""
    host = urlsplit(url)
    data = json.dumps(body).encode()
    try:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        head = f"POST {host.path}/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await reader.readuntil(b"\r\n\r\n")
        parts = []
        while size := int(await reader.readline(), 16):
            part = await reader.readexactly(size)
            await reader.readexactly(2)
            parts.append(part)
            now = time.monotonic()
            delays += [now - float(sent) for sent in SENT.findall(part)]
        writer.close()
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return b""
    return b"".join(parts)


def streams(url: str, names: Sequence[str], **more: Any) -> tuple[list[bytes], list[float]]:
    """All at once."""

    async def ask() -> list[bytes]:
        return await asyncio.gather(*(stream(url, chat(f"Tell me {n}", stream=True, **more), delays) for n in names))

    delays: list[float] = []
    return asyncio.run(ask()), delays


def milliseconds(delays: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(1000 * float(np.percentile(delays, q)), 2) for q in (50, 99)}


def latency(server: str, proxy: Running, n: int, rounds: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {"direct": [], "proxy": []}
    for turn in range(rounds):
        for name, url in (("direct", server), ("proxy", proxy.url)):
            found[name] += streams(url, [f"t{turn}x{i}" for i in range(n)], timed=True)[1]
            proxy.drained(600)  # what is scored later is measured apart
    made: dict[str, Any] = {name: milliseconds(delays) for name, delays in found.items()}
    made["added"] = {q: round(made["proxy"][q] - made["direct"][q], 2) for q in ("p50", "p99")}
    return {"pieces": len(found["proxy"]), **made}


def once(proxy: Running, seen: set[str]) -> dict[str, int]:
    """What became of messages that clients saw whole."""
    counted = Counter(str(line["id"]).rpartition("-")[2] for line in proxy.lines())
    return {
        "seen_whole": len(seen),
        "lost": len(seen - set(counted)),
        "twice": sum(n - 1 for n in counted.values()),
        "dropped": sum(sum(line["messages"].values()) for line in proxy.lines("dropped")),
    }


def killed(server: str, folder: Path, n: int, pause: float, pieces: int) -> dict[str, int]:
    """SIGKILL while n streams are under way, a start on the same folder, and n more."""

    async def load(proxy: Running, first: int, kill_after: int) -> list[bytes]:
        """Begun one after the other; killed once so many are whole."""
        whole: list[int] = []

        async def one(i: int) -> bytes:
            await asyncio.sleep(pause * pieces * i / n)
            data = await stream(proxy.url, chat(f"Tell me k{first + i}", stream=True), [])
            whole.extend([i] if data else [])
            if len(whole) == kill_after and data:
                proxy.process.kill()
            return data

        return await asyncio.gather(*(one(i) for i in range(n)))

    proxy = start(server, folder)
    before = asyncio.run(load(proxy, 0, n // 2))
    proxy.kill()
    with running(server, folder) as again:
        after = asyncio.run(load(again, n, 0))
        again.drained(600)
        answers = {f"k{i}" for i, data in enumerate([*before, *after]) if data.endswith(b"[DONE]\n\n")}
        return {"before": sum(map(bool, before)), **once(again, answers)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-kill", action="store_true", help="Leave out the part that is killed.")
    parser.add_argument("-o", "--out", type=Path)
    a = parser.parse_args()
    names = [f"b{i}" for i in range(a.streams)]
    with tempfile.TemporaryDirectory() as folder, standing_in(a.pause, a.pieces) as server:
        with running(server, Path(folder) / "first") as proxy:
            direct, passed = streams(server, names)[0], streams(proxy.url, names)[0]
            proxy.drained(600)
            made: dict[str, Any] = {
                "streams": a.streams,
                "pieces": a.pieces,
                "pause": a.pause,
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "bytes": sum(map(len, direct)),
                "answers_that_differ": sum(x != y for x, y in zip(direct, passed, strict=True)),
                **once(proxy, set(names)),
                "milliseconds": latency(server, proxy, a.streams, a.rounds),
            }
            metrics = proxy.metrics()
            held = metrics["screen_proxy_held_seconds_total"] / max(1.0, metrics["screen_proxy_held_total"])
            made["held_milliseconds_mean"] = round(1000 * held, 2)
            made["not_held"] = int(metrics["screen_proxy_not_held_total"])
        if not a.no_kill:
            made["killed"] = killed(server, Path(folder) / "second", a.streams, a.pause, a.pieces)
    print(json.dumps(made, indent=1))
    if a.out:
        a.out.write_text(json.dumps(made, indent=1) + "\n")
    parts = [made, made.get("killed", {})]
    return int(made["answers_that_differ"] or any(part.get(name) for part in parts for name in ("lost", "twice")))


if __name__ == "__main__":
    sys.exit(main())
