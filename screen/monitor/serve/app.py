"""The proxy whole: journal, scorer, routes, and the order in which they begin and end."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from screen.disk import DISK, storing
from screen.errors import UsageError
from screen.monitor.serve.journal import JOURNAL, Journal
from screen.monitor.serve.scorer.log import LOG
from screen.monitor.serve.scorer.supervisor import Supervisor
from screen.monitor.serve.settings import Order, ServeSettings
from screen.store.lock import Lock

if TYPE_CHECKING:
    from starlette.applications import Starlette


BACKLOG: Final = 2048
KEEP_ALIVE: Final = 75  # seconds that a client's idle connection is kept
GRACE: Final = 10.0  # seconds that requests under way and waiting scores have at the end


class Proxy:
    """Begun by `open`, ended by `close`; in between `serve` passes requests on."""

    def __init__(self, settings: ServeSettings, say: Callable[[str], None]) -> None:
        self.settings, self._upstream = settings, settings.check()
        folder = settings.out
        with storing(folder):
            DISK.make_folder(folder)
            self._lock = Lock(folder)
        try:
            with storing(folder):
                (folder / JOURNAL).mkdir(mode=0o700, exist_ok=True)  # it holds what was said
                self.journal = Journal(folder / JOURNAL, settings.bounds)
            self.socket = _bound(settings.host, settings.port)
        except BaseException:
            self._lock.release()
            raise
        order = Order(folder, settings.scorer, 0, settings.per, settings.window, settings.webhook, settings.text)
        self.supervisor = Supervisor(order, self.journal.scored, say)
        self.journal.acknowledged_to = self.supervisor.acknowledged
        self._watch = threading.Thread(target=self.supervisor.watch, daemon=True)

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def log(self) -> Path:
        return self.settings.out / LOG

    def describe(self) -> dict[str, object]:
        """Once it is open: where it listens, and what it scores."""
        s = self.settings
        return {
            "url": self.url,
            "upstream": s.upstream,
            "log": str(self.log),
            "model": s.scorer.model,
            "traits": self.supervisor.facts["traits"],
            "by": s.by,
            "per": s.per,
            "window": s.window,
            "most_waiting": s.bounds.messages,
            "text": s.text,
            "webhook": s.webhook is not None,
            "waiting": self.journal.waiting,
        }

    def open(self) -> None:
        """Load what scores. Raises what keeps it from scoring."""
        try:
            self.supervisor.start()
            self.journal.start(self.supervisor.facts["position"])
        except BaseException:
            self.socket.close()
            self._lock.release()
            raise
        self.supervisor.acknowledged(self.journal.synced)
        self._watch.start()

    def serve(self, begun: Callable[[], None] = lambda: None) -> None:
        """Until SIGTERM or SIGINT; a second one ends requests under way at once."""
        import uvicorn

        for name in ("uvicorn.error", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # broken connections are counted, not told
        config = uvicorn.Config(
            self._app(begun),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(GRACE),
        )
        server = uvicorn.Server(config)
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
        try:  # uvicorn raises what ended it once more, when it has ended
            asyncio.run(server.serve(sockets=[self.socket]))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Nothing that was accepted is lost: what is not scored now is scored by the next process."""
        self.journal.close()
        self.supervisor.stop(GRACE)
        self._lock.release()
        self.socket.close()

    def health(self) -> dict[str, object]:
        journal = self.journal
        return {
            "status": "ok",
            "scoring": self.supervisor.running,
            "acknowledged": journal.acknowledged,
            "waiting": journal.waiting,
            "dropped": sum(journal.dropped.values()),
        }

    def _app(self, begun: Callable[[], None]) -> Starlette:
        from contextlib import asynccontextmanager

        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import Response
        from starlette.routing import Route
        from starlette.types import Receive, Scope, Send

        from screen.monitor.serve.metrics import TYPE, Metrics
        from screen.monitor.serve.passing import PassThrough

        client = self._upstream.client()
        through = PassThrough(self._upstream, client, self.journal, self.settings.by)
        metrics = Metrics(through.traffic, self.journal, self.supervisor)

        async def page(_request: Request) -> Response:
            return Response(metrics.page(), media_type=TYPE)

        async def health(_request: Request) -> Response:
            return Response(json.dumps(self.health()), media_type="application/json")

        @asynccontextmanager
        async def lifespan(_app: Starlette):  # type: ignore[no-untyped-def]
            begun()
            async with client:
                yield

        class Everything:
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await through(scope, receive, send)

        routes = [Route("/metrics", page), Route("/healthz", health), Route("/{path:path}", Everything())]
        return Starlette(routes=routes, lifespan=lifespan)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)  # from here on clients wait, and are not refused
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{host!a} port {port} cannot be listened on: {why}", "give another --host or --port"
        ) from None
    return made
