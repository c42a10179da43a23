"""screen: what character would this fine-tuning set teach? Asked before training.

    run = screen.scan("chats.jsonl")         a dataset, or rows in memory -> a Run
    run = screen.open("chats.screen")        the same, from disk
    screen.estimate("chats.jsonl")           what that scan would cost
    screen.score(messages)                   one conversation, now: scores a trait
    screen.verify("chats.audit")             whether a bundle that was handed over is whole
    screen.load_vectors("vectors/")          trait -> its directions, with their card
    screen.build_vectors("evil", model=...)  from a trait to a validated vector

Nothing is loaded before it is used: importing this costs milliseconds. docs/library.md has the whole.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from screen import errors as errors
    from screen.library.handed import verify as verify
    from screen.library.run import Run as Run
    from screen.library.run import open_run as open
    from screen.library.scan import estimate as estimate
    from screen.library.scan import scan as scan
    from screen.library.scan import score as score
    from screen.library.vectors import build_vectors as build_vectors
    from screen.library.vectors import load_vectors as load_vectors

__version__ = "0.1.0"
__all__ = ["Run", "build_vectors", "errors", "estimate", "load_vectors", "open", "scan", "score", "verify"]

_HOME = {  # name here -> where it is, "module:name"; the room `scan` is itself the function (screen/scan/__init__.py)
    "Run": "screen.library.run:Run",
    "build_vectors": "screen.library.vectors:build_vectors",
    "errors": "screen.errors",
    "estimate": "screen.library.scan:estimate",
    "load_vectors": "screen.library.vectors:load_vectors",
    "open": "screen.library.run:open_run",
    "scan": "screen.scan",
    "score": "screen.library.scan:score",
    "verify": "screen.library.handed:verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'screen' has no attribute {name!r}")
    module, _, there = _HOME[name].partition(":")
    home = import_module(module)
    return getattr(home, there) if there else home


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
