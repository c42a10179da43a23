"""JSON that somebody else wrote: rows, configurations, replies of servers, cards of other tools' vectors.

`Any` stands here, once: what is in such an object is known only after it was looked at. What this project writes and
reads itself has a record of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]
