"""One request to one JSON endpoint: deadline, retries, and errors that say what to do. Knows no protocol above HTTP.

Retried: 408, 409, 425, 429 and 5xx, timeouts, broken connections and bodies that end early. Not retried: a used-up
quota, which comes as 429 and does not go away. Redirects are not followed, since they would carry the key elsewhere.
The client is httpx2, which is loaded by the first request; proxies are those of the environment, as urllib has them.
"""

from __future__ import annotations

import email.utils
import http.cookiejar
import json
import random
import ssl
import threading
import time
import urllib.parse
import urllib.request
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from screen.endpoint.failures import QUOTED, EndpointError, Kind, asks_too_long, bad_proxy, breaks_off, next_step, words
from screen.foreign import JsonObject

if TYPE_CHECKING:
    import httpx2

MAX_BYTES: Final = 64 << 20
_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that a test needs neither. `now`: a clock that only moves on; `wall`: seconds since 1970."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` in all; the n-th pause is between half and all of `first * 2**n` seconds, `longest` at most.

    Where the endpoint says how long to wait, that is how long; more than `patience` seconds is an error.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 300.0

    def pause(self, attempt: int, chance: float) -> float:
        return min(self.longest, self.first * 2.0**attempt) * (0.5 + 0.5 * chance)


class _Failure(Exception):
    """One failed attempt that another may mend. `after`: what Retry-After asks for, in seconds."""

    def __init__(self, error: EndpointError, after: float | None = None) -> None:
        super().__init__()
        self.error, self.after = error, after


class _Torn(Exception):
    """The body ended before its end."""


@dataclass
class Transport:
    """Sends JSON and reads JSON objects. Safe to share between threads."""

    key: str | None = field(repr=False)
    timeout: float
    retries: Retries
    clock: Clock

    def __post_init__(self) -> None:
        self._clients: dict[str | None, httpx2.Client] = {}  # by proxy
        self._lock = threading.Lock()

    def send(self, method: str, url: str, body: bytes | None, attempts: int | None = None) -> JsonObject:
        """The JSON object that the endpoint answers with, after as many attempts as allowed."""
        most = min(self.retries.attempts, attempts or self.retries.attempts)
        for attempt in range(most):
            try:
                return self._attempt(method, url, body)
            except _Failure as failure:
                if attempt + 1 == most:
                    raise self._gave_up(failure.error, most) from None
                pause = failure.after
                if pause is not None and pause > self.retries.patience:
                    raise asks_too_long(failure.error, pause) from None
                self.clock.sleep(self.retries.pause(attempt, self.clock.chance()) if pause is None else pause)
        raise AssertionError("a request needs at least one attempt")

    def _attempt(self, method: str, url: str, body: bytes | None) -> JsonObject:
        import httpx2

        deadline = self.clock.now() + self.timeout
        try:
            with self._client(url).stream(method, url, content=body, headers=self._headers()) as response:
                if not response.is_success:
                    raise self._status(url, response, deadline)
                return self._object(url, self._body(response, deadline))
        except (httpx2.TimeoutException, TimeoutError):
            raise _Failure(self._timed_out(url)) from None
        except _Torn:
            raise _Failure(breaks_off(url)) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(url, error) from None

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "persona-screen",
        }
        return headers | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def _client(self, url: str) -> httpx2.Client:
        """The client for the proxy that the environment has for this URL, or for none; connections are kept open."""
        import httpx2

        parts = urllib.parse.urlsplit(url)
        proxy = None if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme)
        with self._lock:
            if proxy not in self._clients:
                try:
                    client = httpx2.Client(
                        proxy=proxy if proxy is None or "://" in proxy else f"http://{proxy}",
                        verify=ssl.create_default_context(),
                        timeout=self.timeout,
                        limits=httpx2.Limits(max_connections=None),
                        trust_env=False,
                    )
                except (ImportError, ValueError):  # the error may quote the proxy's password
                    raise bad_proxy(parts.scheme) from None
                client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))  # keeps none
                weakref.finalize(self, client.close)
                self._clients[proxy] = client
            return self._clients[proxy]

    def _body(self, response: httpx2.Response, deadline: float) -> bytes:
        """All of it, unless it is too long or too slow: a socket's own timeout starts anew with every byte."""
        import httpx2

        parts: list[bytes] = []
        size = 0
        try:
            for part in response.iter_raw():
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise EndpointError(
                        f"the endpoint's answer is longer than {MAX_BYTES >> 20} MiB",
                        "check OPENAI_BASE_URL",
                        kind="shape",
                    )
                if self.clock.now() > deadline:
                    raise TimeoutError
        except httpx2.RemoteProtocolError:  # fewer bytes than Content-Length said, or a chunk that is none
            raise _Torn from None
        return b"".join(parts)

    def _object(self, url: str, data: bytes) -> JsonObject:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise _Failure(breaks_off(url)) from None
        if not isinstance(value, dict):
            raise EndpointError(
                f"{url} answered with a JSON {type(value).__name__}, not an object",
                "check OPENAI_BASE_URL: it ends in /v1 for most servers",
                kind="shape",
            )
        return value

    def _status(self, url: str, response: httpx2.Response, deadline: float) -> Exception:
        import httpx2

        status = response.status_code
        try:
            said, code = words(self._body(response, deadline))
        except (httpx2.HTTPError, TimeoutError, _Torn):
            said, code = "", ""
        quoted = f": {self._safe(said)}" if said else ""
        kind: Kind = "filtered" if code in ("content_filter", "content_policy_violation") else "status"
        found = EndpointError(f"{url} answered {status}{quoted}", next_step(status, code), kind=kind, status=status)
        if status not in _AGAIN or code == "insufficient_quota":
            return found
        return _Failure(found, self._after(response.headers.get("Retry-After")))

    def _after(self, text: str | None) -> float | None:
        """Retry-After in seconds: a number, or a date."""
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - self.clock.wall()
            except (TypeError, ValueError, OverflowError):
                return None
        return max(0.0, seconds) if seconds == seconds else None

    def _timed_out(self, url: str) -> EndpointError:
        return EndpointError(
            f"{url} did not answer within {self.timeout:g} seconds",
            "try again, ask for less at once, or raise the timeout",
            kind="timeout",
        )

    def _unreachable(self, url: str, reason: Exception) -> Exception:
        found = EndpointError(
            f"no connection to {url}: {self._safe(str(reason) or type(reason).__name__)}",
            "check OPENAI_BASE_URL, and that the server is running",
            kind="connection",
        )
        return found if _of_certificate(reason) else _Failure(found)

    def _gave_up(self, error: EndpointError, n: int) -> EndpointError:
        message = f"{error.message} ({n} attempts)" if n > 1 else error.message
        return EndpointError(message, error.next_step, kind=error.kind, status=error.status)

    def _safe(self, text: str) -> str:
        """The endpoint's own words, in one line and without the key, which some endpoints quote."""
        line = " ".join(text.split())
        return (line.replace(self.key, "[key]") if self.key else line)[:QUOTED]


def _of_certificate(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
