"""Tells a URL of alarms, from a thread of its own: tries again with growing pauses, and gives up with a reason.

At most LIMIT alarms wait; a further one is given up at once. Knows nothing of scores.
"""

from __future__ import annotations

import queue
import random
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Final

from screen.endpoint.http import Retries
from screen.errors import UsageError
from screen.foreign import JsonObject
from screen.jsonl import dump

LIMIT: Final = 100
TIMEOUT: Final = 10.0  # seconds an attempt
RETRIES: Final = Retries(attempts=8, first=0.5, longest=60.0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one alarm."""

    alarm: str
    delivered: bool
    attempts: int
    why: str | None  # it was not

    def to_json(self) -> dict[str, object]:
        told = {"alarm": self.alarm, "delivered": self.delivered, "attempts": self.attempts, "why": self.why}
        return {"kind": "webhook", **told}


def checked(url: str) -> str:
    """Raises UsageError for what is no URL of a webhook."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"--webhook {url!a} is no URL", "give one such as https://hooks.example/alarm")
    return url


class Webhook:
    """`send` never waits; `done` gives what came of alarms, each once."""

    def __init__(self, url: str, retries: Retries = RETRIES) -> None:
        self._url, self._retries = url, retries
        self._waiting: queue.Queue[tuple[str, JsonObject]] = queue.Queue(LIMIT)
        self._done: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def send(self, alarm: str, body: JsonObject) -> None:
        try:
            self._waiting.put_nowait((alarm, body))
        except queue.Full:
            self._done.put(Delivery(alarm, False, 0, f"{LIMIT} alarms wait already"))

    def done(self) -> list[Delivery]:
        found = []
        while not self._done.empty():
            found.append(self._done.get())
        return found

    def close(self, seconds: float) -> None:
        """Leave off; an alarm under way has so many seconds."""
        self._stop.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        import httpx2

        with httpx2.Client(timeout=TIMEOUT, follow_redirects=False) as client:
            while not self._stop.is_set():
                try:
                    alarm, body = self._waiting.get(timeout=0.1)
                except queue.Empty:
                    continue
                self._deliver(client, alarm, dump(body).encode())

    def _deliver(self, client: object, alarm: str, data: bytes) -> None:
        import httpx2

        assert isinstance(client, httpx2.Client)
        why = None
        for attempt in range(self._retries.attempts):
            if attempt and self._stop.wait(self._retries.pause(attempt - 1, random.random())):
                return  # the next process tries again
            try:
                response = client.post(self._url, content=data, headers={"Content-Type": "application/json"})
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                why = type(error).__name__
                continue
            if response.is_success:
                self._done.put(Delivery(alarm, True, attempt + 1, None))
                return
            why = f"it answered {response.status_code}"
        self._done.put(Delivery(alarm, False, self._retries.attempts, why))
