"""A scan. Read run.py first.

The room and the front door's function share the name `screen.scan`, so the room can be called: `screen.scan(...)` is
`screen.library.scan.scan`, whether or not a module of the room was imported before.
"""

import sys
from importlib import import_module
from inspect import Signature, getdoc, signature
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        return import_module("screen.library.scan").scan(*args, **options)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return getdoc(import_module("screen.library.scan").scan)

    @property
    def __signature__(self) -> Signature:
        return signature(import_module("screen.library.scan").scan)


sys.modules[__name__].__class__ = _Room
