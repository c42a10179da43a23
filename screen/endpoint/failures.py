"""How an endpoint fails, in words: what it answered, and what to do next. Knows nothing of how requests are sent."""

from __future__ import annotations

import json
from typing import Final, Literal

from screen.errors import ModelError

QUOTED: Final = 300  # characters of the endpoint's own words in a message

Kind = Literal["status", "timeout", "connection", "cut", "shape", "refused", "filtered"]


class EndpointError(ModelError):
    """`kind`: what went wrong. `status`: the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, next_step: str, *, kind: Kind, status: int = 0) -> None:
        super().__init__(message, next_step)
        self.kind: Kind = kind
        self.status = status


def breaks_off(url: str) -> EndpointError:
    return EndpointError(f"the answer of {url} breaks off: it is no whole JSON", "try again", kind="cut")


def bad_proxy(scheme: str) -> EndpointError:
    message = f"{scheme}_proxy does not name a proxy that can be used: its address begins with http:// or https://"
    return EndpointError(message, f"set {scheme}_proxy to such an address, or no_proxy=*", kind="connection")


def asks_too_long(error: EndpointError, pause: float) -> EndpointError:
    message = f"{error.message}; it asks to wait {pause:.0f} seconds"
    return EndpointError(message, "run the same command again later: what is done is kept", kind="status", status=429)


def words(data: bytes) -> tuple[str, str]:
    """(message, code) of an error's body, in the shapes that servers give it."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data[:QUOTED].decode("utf-8", "replace"), ""
    inner = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(inner, dict):
        return str(inner.get("message") or inner.get("detail") or ""), str(inner.get("code") or inner.get("type") or "")
    return str(inner), ""


def next_step(status: int, code: str) -> str:
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
