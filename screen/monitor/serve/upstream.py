"""The server that requests are passed on to: its address, which headers go through, and how its absence is told."""

from __future__ import annotations

import http.cookiejar
import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from screen.errors import UsageError

if TYPE_CHECKING:
    import httpx2

CONNECT: Final = 10.0  # seconds for a connection; an answer may take as long as it takes
KEEP: Final = 4.0  # seconds that an idle connection is kept: less than servers keep theirs
Headers = list[tuple[bytes, bytes]]
# of one connection, not of the message (RFC 9110 section 7.6.1); Host and Expect are answered by each server itself
_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
_OF_REQUESTS: Final = _HOP | {b"host", b"expect"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """`root`: its URL without the /v1 that clients' paths begin with."""

    root: str

    @classmethod
    def of(cls, url: str) -> Upstream:
        """Raises UsageError for what is no URL of a server."""
        try:
            parts = urllib.parse.urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
            good = good and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise UsageError(f"--upstream {url!a} is no URL of a server", "give one such as http://localhost:8000/v1")
        if parts.username is not None or parts.password is not None:
            raise UsageError("--upstream holds a password", "leave it out: clients' own keys are passed on")
        return cls(url.rstrip("/").removesuffix("/v1").rstrip("/"))

    def target(self, raw_path: bytes, query: bytes) -> tuple[str, bytes]:
        """(URL of the server, what its request line asks for), the path and query as the client wrote them."""
        path = urllib.parse.urlsplit(self.root).path.encode("ascii") + raw_path
        return self.root, path + (b"?" + query if query else b"")

    def client(self) -> httpx2.AsyncClient:
        """Keeps no cookie, follows no redirect, waits for answers without end; proxies are the environment's."""
        import httpx2

        parts = urllib.parse.urlsplit(self.root)
        proxy = None if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP)
        client = httpx2.AsyncClient(
            proxy=proxy if proxy is None or "://" in proxy else f"http://{proxy}",
            verify=ssl.create_default_context(),
            timeout=httpx2.Timeout(None, connect=CONNECT),
            limits=limits,
            trust_env=False,
        )
        client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        return client


def onward(headers: Iterable[tuple[bytes, bytes]], *, request: bool) -> Headers:
    """The headers that go through: all but those of the connection, in their order, none changed."""
    given = list(headers)
    named = {
        name.strip().lower() for header, value in given if header.lower() == b"connection" for name in value.split(b",")
    }
    gone = (_OF_REQUESTS if request else _HOP) | named
    return [(name, value) for name, value in given if name.lower() not in gone]


def refusal(message: str, next_step: str, code: str) -> bytes:
    """An error of the proxy's own, in the shape that OpenAI's clients read."""
    error = {"message": f"{message}; {next_step}", "type": "screen_proxy_error", "param": None, "code": code}
    return json.dumps({"error": error}).encode()
