"""Passing on, in this process, with a journal that does as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable

import httpx2
import pytest

from screen.monitor.serve import passing
from screen.monitor.serve.exchange import Taken
from screen.monitor.serve.passing import PassThrough
from screen.monitor.serve.upstream import Upstream
from tests.monitor.serve.proxies import chat
from tests.monitor.stand_in import standing_in


class Slow:
    """Writes `after` so many seconds, or drops."""

    def __init__(self, after: float = 0.0, drops: bool = False) -> None:
        self.after, self.drops = after, drops
        self.taken: list[Taken] = []

    def offer(self, taken: Taken, written: Callable[[], None]) -> bool:
        self.taken.append(taken)
        if not self.drops:
            timer = threading.Timer(self.after, written)
            timer.daemon = True
            timer.start()
        return not self.drops


def asked(url: str, journal: Slow, n: int = 1) -> tuple[PassThrough, list[httpx2.Response], list[float]]:
    """One after the other: the answers, and how long each took."""

    async def ask() -> tuple[PassThrough, list[httpx2.Response], list[float]]:
        async with Upstream.of(url).client() as upstream:
            through = PassThrough(Upstream.of(url), upstream, journal, "none")
            answers, seconds = [], []
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(through)) as client:
                for i in range(n):
                    began = time.monotonic()
                    answers.append(await client.post("http://p/v1/chat/completions", json=chat(f"No {i}")))
                    seconds.append(time.monotonic() - began)
            return through, answers, seconds

    return asyncio.run(ask())


def test_an_upstream_that_is_down() -> None:
    with standing_in() as gone:
        pass
    journal = Slow()
    through, [answer], _ = asked(gone.url, journal)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (502, "upstream_down", "screen_proxy_error")
    assert error["message"] == "the upstream gives no answer (ConnectError); check that it runs, and --upstream"
    assert (journal.taken, dict(through.traffic.requests)) == ([], {("chat", "502"): 1})


def test_a_late_journal_holds_one_answer_for_a_moment_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "HOLD", 0.5)
    with standing_in() as upstream:
        through, answers, seconds = asked(upstream.url, Slow(after=30.0), n=3)
    assert [a.status_code for a in answers] == [200] * 3
    assert seconds[0] >= 0.5
    assert through.traffic.not_held == 3
    assert through.traffic.held == 0


def test_what_is_dropped_or_too_large_passes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "MOST_BYTES", 100)
    journal = Slow(drops=True)
    with standing_in() as upstream:
        through, [answer], _ = asked(upstream.url, journal)
    assert json.loads(answer.content)["choices"]
    assert (journal.taken[0].response, through.traffic.not_held) == (None, 0)
    assert through.room.left == passing.COPIES
