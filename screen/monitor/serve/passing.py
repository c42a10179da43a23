"""Passes requests on and answers back, byte for byte, and offers a copy of what was said to the journal.

A copy is written (to the operating system, not yet to the disk) before the last piece of an answer goes out, so that a
process that is killed has kept what its clients saw whole. That is waited for HOLD seconds at most, and not at all
while an earlier one is still waited for. Knows nothing of scores.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from starlette.types import Receive, Scope, Send

from screen.monitor.serve.exchange import MOST_BYTES, Ended, Kind, Taken
from screen.monitor.serve.groups import group_of
from screen.monitor.serve.sse import DoneWatch
from screen.monitor.serve.upstream import Upstream, onward, refusal

if TYPE_CHECKING:
    import httpx2

HOLD: Final = 0.25  # seconds
COPIES: Final = 256 << 20  # bytes of copies of what is under way, all requests together
_SCORED: Final[dict[str, Kind]] = {"/chat/completions": "chat", "/completions": "completion"}


class Keeps(Protocol):
    def offer(self, taken: Taken, written: Callable[[], None]) -> bool:
        """Have it kept; `written` is called, from another thread, once it is. False where it is dropped."""
        ...


class _Gone(Exception):
    """The client went away."""


@dataclass
class _Room:
    """Bytes of copies of what is under way."""

    left: int = COPIES


@dataclass
class _Copy:
    """A body's bytes; None where they are more than MOST_BYTES, or there is no room."""

    room: _Room
    parts: list[bytes] | None = field(default_factory=list)
    size: int = 0

    def add(self, piece: bytes) -> None:
        if self.parts is None:
            return
        if self.size + len(piece) > MOST_BYTES or self.room.left < len(piece):
            self.free()
            return
        self.parts.append(piece)
        self.size += len(piece)
        self.room.left -= len(piece)

    def whole(self) -> bytes | None:
        return None if self.parts is None else b"".join(self.parts)

    def free(self) -> None:
        self.room.left += self.size
        self.parts, self.size = None, 0


@dataclass
class Traffic:
    """Counts since the start. requests: by (api, status); held: (seconds waited for the journal, answers)."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    under_way: int = 0
    held_seconds: float = 0.0
    held: int = 0
    not_held: int = 0  # the journal was not waited for
    client_gone: int = 0
    cut: int = 0  # answers that the upstream broke off


def kind_of(method: str, path: str) -> Kind | None:
    """What of a request is scored; None: nothing."""
    if method != "POST":
        return None
    return next((kind for end, kind in _SCORED.items() if path.rstrip("/").endswith(end)), None)


class PassThrough:
    """An ASGI application."""

    def __init__(self, upstream: Upstream, client: httpx2.AsyncClient, journal: Keeps, by: str) -> None:
        self.traffic = Traffic()
        self._upstream, self._client, self._journal, self._by = upstream, client, journal, by
        self.room = _Room()
        self._waits: set[asyncio.Task[None]] = set()
        self._late = 0  # copies that are waited for no more, and are not written yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passage = _Passage(self, scope, receive, send)
        self.traffic.under_way += 1
        try:
            await passage.through()
        finally:
            self.traffic.under_way -= 1
            self.traffic.requests[passage.kind or "other", passage.status or "none"] += 1

    async def ask(self, scope: Scope, body: AsyncIterator[bytes] | None) -> httpx2.Response:
        import httpx2

        url, target = self._upstream.target(scope["raw_path"], scope["query_string"])
        headers = onward(scope["headers"], request=True)
        request = httpx2.Request(scope["method"], url, headers=headers, content=body, extensions={"target": target})
        request.extensions["timeout"] = self._client.timeout.as_dict()
        return await self._client.send(request, stream=True)

    def group(self, scope: Scope) -> str | None:
        return group_of(self._by, scope["headers"])

    async def keep(self, taken: Taken) -> None:
        """Have a copy kept, and wait until it is written, within bounds."""
        loop, written = asyncio.get_running_loop(), asyncio.Event()
        began = time.monotonic()
        if not self._journal.offer(taken, lambda: _call(loop, written.set)):
            return
        if self._late:
            self.traffic.not_held += 1
            return
        try:
            await asyncio.wait_for(written.wait(), HOLD)
        except TimeoutError:
            self._late += 1
            self.traffic.not_held += 1
            task = asyncio.ensure_future(self._caught_up(written))
            self._waits.add(task)
            task.add_done_callback(self._waits.discard)
        else:
            self.traffic.held += 1
            self.traffic.held_seconds += time.monotonic() - began

    async def _caught_up(self, written: asyncio.Event) -> None:
        await written.wait()
        self._late -= 1


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(what)


class _Passage:
    """One request."""

    def __init__(self, through: PassThrough, scope: Scope, receive: Receive, send: Send) -> None:
        self.kind = kind_of(scope["method"], scope["path"])
        self.status = ""
        self._through, self._scope, self._receive, self._send = through, scope, receive, send
        self._asked, self._answered = _Copy(through.room), _Copy(through.room)
        self._response: httpx2.Response | None = None
        self._body_read = asyncio.Event()
        self._kept = False

    async def through(self) -> None:
        """Until the answer is passed on, or the client is gone: then the upstream's connection is closed."""
        names = {name.lower() for name, _ in self._scope["headers"]}
        has_body = bool({b"content-length", b"transfer-encoding"} & names)
        passing = asyncio.ensure_future(self._pass(self._body() if has_body else None))
        if not has_body:
            self._body_read.set()
        leaving = asyncio.ensure_future(self._client_leaves())
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, passing):
                if not task.done():
                    task.cancel()
            await asyncio.gather(leaving, passing, return_exceptions=True)
            if self._response is not None:
                await self._response.aclose()
        try:
            await self._end(passing)
        finally:
            self._asked.free()
            self._answered.free()

    async def _end(self, passing: asyncio.Future[None]) -> None:
        error = None if passing.cancelled() else passing.exception()
        if error is not None and not isinstance(error, _Gone):
            raise error
        if passing.cancelled() or error is not None:
            self._through.traffic.client_gone += not self._kept
            await self._keep("client_gone")

    async def _body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                if self.kind:
                    self._asked.add(piece)
                yield piece
        self._body_read.set()

    async def _client_leaves(self) -> None:
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _pass(self, body: AsyncIterator[bytes] | None) -> None:
        import httpx2

        try:
            self._response = response = await self._through.ask(self._scope, body)
        except httpx2.TransportError as error:
            await self._refuse(error)
            return
        self.status = str(response.status_code)
        await self._send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": onward(response.headers.raw, request=False),
            }
        )
        try:
            await self._pass_body(response)
        except httpx2.TransportError:  # the answer is not ended: its connection is closed, and the client sees that
            self._through.traffic.cut += 1
            await self._keep("cut")

    async def _pass_body(self, response: httpx2.Response) -> None:
        scored = self.kind is not None and response.is_success
        done = DoneWatch() if self._streamed(response) else None
        length = response.headers.get("content-length", "")
        left = int(length) if length.isdecimal() else -1
        async for piece in response.aiter_raw():
            if scored:
                self._answered.add(piece)
                left -= len(piece)
                if left == 0 or (done is not None and done(piece)):
                    await self._keep("whole")
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if scored:
            await self._keep("whole")
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _streamed(self, response: httpx2.Response) -> bool:
        return bool(response.headers.get("content-type", "").lower().startswith("text/event-stream"))

    async def _keep(self, ended: Ended) -> None:
        """Once, and only what is an answer."""
        response = self._response
        if self.kind is None or self._kept or response is None or not response.is_success:
            return
        self._kept = True
        await self._through.keep(
            Taken(
                self.kind,
                self._asked.whole(),
                self._answered.whole(),
                response.headers.get("content-encoding", ""),
                self._streamed(response),
                ended,
                self._through.group(self._scope),
                time.time(),
            )
        )

    async def _refuse(self, error: httpx2.TransportError) -> None:
        """The upstream is down."""
        self.status = "502"
        why = type(error).__name__
        data = refusal(f"the upstream gives no answer ({why})", "check that it runs, and --upstream", "upstream_down")
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await self._send({"type": "http.response.start", "status": 502, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
