"""Many calls at once, in a few threads. Knows nothing of what is called."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def as_completed(items: Sequence[Item], call: Callable[[Item], Value], threads: int) -> Iterator[tuple[int, Value]]:
    """(index, call(items[index])) as they are done.

    After the first exception nothing new is begun; what is under way is still yielded, then the exception is raised.
    The threads are daemons: Ctrl-C ends the program at once, whatever a socket is waiting for.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Value] | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()
    for index in range(len(items)):
        waiting.put(index)

    def work() -> None:
        try:
            while not stop.is_set():
                index = waiting.get_nowait()
                done.put((index, call(items[index])))
        except queue.Empty:
            pass
        except BaseException as error:  # raised where the caller can see it
            stop.set()
            done.put(error)
        done.put(None)

    working = min(threads, len(items))
    for _ in range(working):
        threading.Thread(target=work, daemon=True).start()
    failed: BaseException | None = None
    try:
        while working:
            said = done.get()
            if said is None:
                working -= 1
            elif isinstance(said, BaseException):
                failed = failed or said
            else:
                yield said
    finally:
        stop.set()
    if failed is not None:
        raise failed
