"""Which group a request's messages count for: its model's name, its key's digest, or a header. Never a key itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from screen.errors import UsageError
from screen.monitor.change import EVERYTHING

LONGEST: Final = 64
NONE: Final = "(none)"
_SECRET: Final = re.compile(r"auth|cookie|key|token|secret|password", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # what a header's name may be
Headers = Sequence[tuple[bytes, bytes]]


def checked_by(by: str) -> str:
    """`--by` as it is given. Raises UsageError."""
    if by in ("model", "key", "none"):
        return by
    name = by.removeprefix("header:")
    if name == by or not _TOKEN.fullmatch(name):
        raise UsageError(f"--by {by!a} is nothing to group by", "give model, key, none or header:NAME")
    if _SECRET.search(name):
        raise UsageError(
            f"the header {name!a} may hold a secret, and groups stand in the log", "group by a digest of it: --by key"
        )
    return by


def group_of(by: str, headers: Headers) -> str | None:
    """None: by the model's name, which the bodies tell."""
    if by == "model":
        return None
    if by == "none":
        return EVERYTHING
    if by == "key":
        return key_digest(headers)
    wanted = by.removeprefix("header:").lower().encode()
    values = [value for name, value in headers if name.lower() == wanted]
    return shown(values[0].decode("latin-1")) if values else NONE


def key_digest(headers: Headers) -> str:
    """The first 12 digits of the SHA-256 of whatever the client proves itself with."""
    for wanted in (b"authorization", b"api-key", b"x-api-key"):
        for name, value in headers:
            if name.lower() == wanted and value:
                return hashlib.sha256(value).hexdigest()[:12]
    return NONE


def shown(value: str) -> str:
    """A value as a group's name: whoever sends requests chooses it, so it is cut, and nothing in it is invisible."""
    kept = "".join(c if c.isprintable() else "?" for c in value[: LONGEST + 1])
    return f"{kept[: LONGEST - 3]}..." if len(kept) > LONGEST else kept or NONE
