"""The next shard's rows are read and rendered while the device works on this one's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterator[T], work: Callable[[T], R]) -> Generator[tuple[T, R], None, None]:
    """Each item with what `work` makes of it, in order. One thread takes the items and does the work, one item ahead
    of the caller; what it raises is raised where its item is due, and closing the generator waits for it."""

    def take() -> tuple[T, R] | None:
        for item in items:
            return item, work(item)
        return None

    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(take)
        while (window := coming.result()) is not None:
            coming = reader.submit(take)
            yield window
