"""The proxy as a process of its own, with the embedded model; and clients of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2

SECRET = "sk-very-secret"
SETTINGS = ("--device", "cpu", "--traits", "evil", "--port", "0", "--json")
Got = tuple[int, list[tuple[bytes, bytes]], bytes]


@dataclass
class Running:
    folder: Path
    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def url(self) -> str:
        return f"{self.told['url']}/v1"

    def lines(self, kind: str = "message") -> list[dict[str, Any]]:
        log = self.folder / "scores.jsonl"
        found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in found if line["kind"] == kind]

    def health(self) -> dict[str, Any]:
        return dict(httpx2.get(f"{self.told['url']}/healthz", trust_env=False, timeout=60).json())

    def metrics(self) -> dict[str, float]:
        page = httpx2.get(f"{self.told['url']}/metrics", trust_env=False, timeout=60).text
        pairs = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}

    def drained(self, seconds: float = 240.0) -> None:
        """Until all that was acknowledged is in the log."""
        until = time.monotonic() + seconds
        while (health := self.health())["waiting"]:
            assert time.monotonic() < until, health
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """What it wrote to stderr."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=120)[1]


def start(upstream: str, folder: Path, *more: str) -> Running:
    command = [sys.executable, "-m", "screen", "monitor", "serve", "--upstream", upstream, "-o", str(folder), *SETTINGS]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "no_proxy": "*"}
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    return Running(folder, process, json.loads(line))


@contextmanager
def running(upstream: str, folder: Path, *more: str) -> Iterator[Running]:
    proxy = start(upstream, folder, *more)
    try:
        yield proxy
    finally:
        if proxy.process.poll() is None:
            proxy.stop()


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def got(client: httpx2.AsyncClient, url: str, body: Any, path: str = "/chat/completions") -> Got:
    """Status, headers and the bytes of a body as they came, still packed."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with client.stream("POST", url + path, json=body, headers=headers) as response:
        data = b"".join([piece async for piece in response.aiter_raw()])
        return response.status_code, response.headers.raw, data


def asking() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=240, limits=httpx2.Limits(max_connections=None), trust_env=False)


@contextmanager
def hooking(*answers: int) -> Iterator[tuple[str, list[bytes]]]:
    """A webhook that answers with these, then 200: its URL, and the bodies that it is sent."""
    left, bodies = list(answers), list[bytes]()

    class Hooks(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hooks) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        thread.join()
