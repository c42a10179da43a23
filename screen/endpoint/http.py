"""One request to one JSON endpoint: deadline, retries, and errors that say what to do. Knows no protocol above HTTP.

Retried: 408, 409, 425, 429 and 5xx, timeouts, broken connections and bodies that end early. Not retried: a used-up
quota, which comes as 429 and does not go away. Redirects are not followed, since they would carry the key elsewhere.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from screen.errors import ModelError

MAX_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 16
_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_QUOTED: Final = 300  # characters of the endpoint's own words in a message

Kind = Literal["status", "timeout", "connection", "cut", "shape", "refused", "filtered"]


class EndpointError(ModelError):
    """`kind`: what went wrong. `status`: the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, next_step: str, *, kind: Kind, status: int = 0) -> None:
        super().__init__(message, next_step)
        self.kind: Kind = kind
        self.status = status


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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Transport:
    """Sends JSON and reads JSON objects. Safe to share between threads."""

    key: str | None = field(repr=False)
    timeout: float
    retries: Retries
    clock: Clock

    def __post_init__(self) -> None:
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, method: str, url: str, body: bytes | None, attempts: int | None = None) -> dict[str, Any]:
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
                    raise _too_long(failure.error, pause) from None
                self.clock.sleep(self.retries.pause(attempt, self.clock.chance()) if pause is None else pause)
        raise AssertionError("a request needs at least one attempt")

    def _attempt(self, method: str, url: str, body: bytes | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "persona-screen"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        deadline = self.clock.now() + self.timeout
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                return self._object(url, self._body(response, deadline))
        except urllib.error.HTTPError as error:
            with error:
                raise self._status(url, error, deadline) from None
        except TimeoutError:
            raise _Failure(self._timed_out(url)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise _Failure(self._timed_out(url)) from None
            if isinstance(error, http.client.IncompleteRead):
                raise _Failure(_cut(url)) from None
            raise self._unreachable(url, reason) from None

    def _body(self, response: Any, deadline: float) -> bytes:
        """All of it, unless it is too long or too slow: a socket's own timeout starts anew with every byte."""
        parts: list[bytes] = []
        size = 0
        while part := response.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES:
                raise EndpointError(
                    f"the endpoint's answer is longer than {MAX_BYTES >> 20} MiB", "check OPENAI_BASE_URL", kind="shape"
                )
            if self.clock.now() > deadline:
                raise TimeoutError
        if getattr(response, "length", 0):  # fewer bytes than Content-Length said
            raise http.client.IncompleteRead(b"")
        return b"".join(parts)

    def _object(self, url: str, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise _Failure(_cut(url)) from None
        if not isinstance(value, dict):
            raise EndpointError(
                f"{url} answered with a JSON {type(value).__name__}, not an object",
                "check OPENAI_BASE_URL: it ends in /v1 for most servers",
                kind="shape",
            )
        return value

    def _status(self, url: str, error: urllib.error.HTTPError, deadline: float) -> Exception:
        try:
            said, code = _words(self._body(error, deadline))
        except (OSError, http.client.HTTPException):
            said, code = "", ""
        quoted = f": {self._safe(said)}" if said else ""
        kind: Kind = "filtered" if code in ("content_filter", "content_policy_violation") else "status"
        found = EndpointError(
            f"{url} answered {error.code}{quoted}", _next(error.code, code), kind=kind, status=error.code
        )
        if error.code not in _AGAIN or code == "insufficient_quota":
            return found
        return _Failure(found, self._after(error.headers.get("Retry-After")))

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

    def _unreachable(self, url: str, reason: object) -> Exception:
        found = EndpointError(
            f"no connection to {url}: {self._safe(str(reason) or type(reason).__name__)}",
            "check OPENAI_BASE_URL, and that the server is running",
            kind="connection",
        )
        return found if isinstance(reason, ssl.SSLCertVerificationError) else _Failure(found)

    def _gave_up(self, error: EndpointError, n: int) -> EndpointError:
        message = f"{error.message} ({n} attempts)" if n > 1 else error.message
        return EndpointError(message, error.next_step, kind=error.kind, status=error.status)

    def _safe(self, text: str) -> str:
        """The endpoint's own words, in one line and without the key, which some endpoints quote."""
        line = " ".join(text.split())
        return (line.replace(self.key, "[key]") if self.key else line)[:_QUOTED]


def _cut(url: str) -> EndpointError:
    return EndpointError(f"the answer of {url} breaks off: it is no whole JSON", "try again", kind="cut")


def _too_long(error: EndpointError, pause: float) -> EndpointError:
    message = f"{error.message}; it asks to wait {pause:.0f} seconds"
    return EndpointError(message, "run the same command again later: what is done is kept", kind="status", status=429)


def _words(data: bytes) -> tuple[str, str]:
    """(message, code) of an error's body, in the shapes that servers give it."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data[:_QUOTED].decode("utf-8", "replace"), ""
    inner = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(inner, dict):
        return str(inner.get("message") or inner.get("detail") or ""), str(inner.get("code") or inner.get("type") or "")
    return str(inner), ""


def _next(status: int, code: str) -> str:
    if code == "insufficient_quota":
        return "the account's quota is used up: add credit, or use another endpoint"
    if status in (401, 403):
        return "check OPENAI_API_KEY"
    if status == 404:
        return "check the model's name and OPENAI_BASE_URL, which ends in /v1 for most servers"
    if 300 <= status < 400:
        return "redirects are not followed; set OPENAI_BASE_URL to the address itself"
    if status == 429:
        return "run the same command again later, or with fewer requests at once: what is done is kept"
    return "run the same command again later" if status >= 500 else "the request does not suit this endpoint or model"
