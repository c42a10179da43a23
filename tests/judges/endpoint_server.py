"""An OpenAI-compatible endpoint on this machine that fails on request, and a clock that does not wait."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from screen.endpoint.client import Clock, Endpoint

KEY = "sk-very-secret"


class Reply(NamedTuple):
    body: Any  # bytes go out as they are, anything else as JSON
    status: int = 200
    headers: Mapping[str, str] = {}
    cut_to: int | None = None  # bytes really sent, while Content-Length tells of all
    stall: float = 0.0  # seconds before the answer


@dataclass
class Server:
    """`script`: replies given first, one a request; then `answer` is asked."""

    url: str = ""
    script: list[Reply] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Any] = lambda body: chat("50")
    seen: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def endpoint(self, **settings: Any) -> Endpoint:
        clock = Clock(sleep=self.slept.append, chance=lambda: 1.0, wall=lambda: 1_700_000_000.0)
        return Endpoint(self.url, **{"model": "m", "key": KEY, "clock": clock, "timeout": 5.0, **settings})

    def reply(self, path: str, body: Any, headers: dict[str, str]) -> Reply:
        with self.lock:
            self.seen.append((path, body, headers))
            if self.script:
                return self.script.pop(0)
        if path.endswith("/models"):
            return Reply({"data": [{"id": "only"}]})
        found = self.answer(body)
        return found if isinstance(found, Reply) else Reply(found)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept open
        disable_nagle_algorithm = True  # or each answer's body waits 40 ms for the client to have its head

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = server.reply(self.path, json.loads(data) if data else None, dict(self.headers))
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            time.sleep(reply.stall)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: reply.cut_to])
            self.close_connection |= reply.cut_to is not None

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that gave up waiting

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def chat(text: str, top: Mapping[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """A chat completion; `top`: the probabilities of the first token."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if top is not None:
        ranked = [{"token": token, "logprob": math.log(p)} for token, p in top.items()]
        choice["logprobs"] = {"content": [{"token": text, "logprob": 0.0, "top_logprobs": ranked}]}
    return {"model": "m-2", "choices": [choice | more]}
