"""The checks of `screen doctor`, in order. None of them stops another: what fails is a problem on the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from screen.errors import ScreenError
from screen.library.doctor import batching, libraries, machine, storage
from screen.library.doctor.record import HealthCheck, problem

CHECKS: dict[str, Callable[[], Iterable[HealthCheck]]] = {
    "screen": libraries.python,
    "libraries": libraries.libraries,
    "devices": machine.devices,
    "dtype": machine.dtypes,
    "threads": machine.threads,
    "limits": machine.limits,
    "offline": machine.offline,
    "caches": storage.caches,
    "disk": storage.disk,
}


def diagnose(model: str = "pocket") -> Iterator[HealthCheck]:
    """What each check finds, as it is found; `model`: a folder, a hub id, or the embedded one."""
    for name, check in (*CHECKS.items(), ("batching", lambda: batching.batching(model))):
        try:
            yield from check()
        except ScreenError as error:
            yield problem(name, error.message, error.next_step)
        except ImportError as error:
            yield problem(name, f"cannot be told without {error.name}", "install that first")
        except Exception as error:  # a doctor that falls ill helps nobody
            yield problem(name, f"the check itself failed: {type(error).__name__}: {error}", "put it into a bug report")
