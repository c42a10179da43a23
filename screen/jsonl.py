"""JSON for other programs, a line a value."""

from __future__ import annotations

import json
from typing import Any


def dump(value: Any) -> str:
    """One line of JSON in ASCII, so that nothing in it can steer a terminal; NaN and infinities become null."""
    text = json.dumps(_finite(value), default=str)
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
