"""What a deployed or a training model says, watched: logs, live tokens, checkpoints, and whether something changed.

with screen.monitor.Monitor(model, "vectors/") as monitor:     # projections of tokens as they are generated
    output = model.generate(**inputs)
    print([response.score for response in monitor.responses(output)])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from screen.monitor.live import Monitor as Monitor

__all__ = ["Monitor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'screen.monitor' has no attribute {name!r}")
    return getattr(import_module("screen.monitor.live"), name)
