"""What a check of this machine found, without names of people in it."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warn", "problem"]
_HOMES = re.compile(r"(/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s:'\"]+")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`says`: what was found; `next_step`: what to do about it, where there is something to do."""

    name: str
    status: Status
    says: str
    next_step: str = ""


def ok(name: str, says: str) -> HealthCheck:
    return HealthCheck(name, "ok", without_names(says))


def warn(name: str, says: str, next_step: str) -> HealthCheck:
    return HealthCheck(name, "warn", without_names(says), without_names(next_step))


def problem(name: str, says: str, next_step: str) -> HealthCheck:
    return HealthCheck(name, "problem", without_names(says), without_names(next_step))


def without_names(text: str) -> str:
    """The text with the home folder as ~, other homes as USER, and the user's name in a path as USER."""
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?=[/\\\s:,;'\")]|$)", "~", text)
    text = _HOMES.sub(r"\1USER", text)
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|$)", "USER", text)
