"""The process that scores dies, refuses or is alone; alarms go out, or are given up with a reason."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from screen.endpoint.http import Retries
from screen.errors import UsageError, VectorError
from screen.monitor.serve.scorer import webhook as webhooks
from screen.monitor.serve.scorer.supervisor import Supervisor
from screen.monitor.serve.scorer.webhook import Delivery, Webhook, checked
from screen.monitor.serve.settings import Order, ScorerSettings
from tests.monitor.serve import workers
from tests.monitor.serve.proxies import hooking


def supervisor(folder: Path, work: object, said: list[str]) -> Supervisor:
    order = Order(folder, ScorerSettings(), 0, per=100.0, window=5)
    return Supervisor(order, lambda _position: None, said.append, work)  # type: ignore[arg-type]


def test_a_message_that_kills_is_found_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    made = supervisor(tmp_path, workers.dies, said)
    made.start()
    made.acknowledged(5)
    thread = threading.Thread(target=made.watch)
    thread.start()
    until = time.monotonic() + 120
    while made.position < 5:
        assert time.monotonic() < until
        time.sleep(0.05)
    made.stop(5.0)
    thread.join()
    assert made.starts == 3  # a pass of five died, then the third alone
    assert len(said) == 2
    assert "the process that scores ended: its process ended with exit code 9" in said[0]


def test_what_keeps_it_from_scoring_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="it does not fit"):
        supervisor(tmp_path, workers.refuses, []).start()


def outcome(webhook: Webhook) -> Delivery:
    until = time.monotonic() + 60
    while not (done := webhook.done()):
        assert time.monotonic() < until
        time.sleep(0.01)
    webhook.close(5.0)
    return done[0]


def test_an_alarm_is_sent_until_it_is_taken() -> None:
    with hooking(500, 503) as (url, bodies):
        webhook = Webhook(url, Retries(5, first=0.01))
        webhook.send("a", {"kind": "alarm", "trait": "evil"})
        assert outcome(webhook) == Delivery("a", True, 3, None)
    assert bodies == [b'{"kind": "alarm", "trait": "evil"}'] * 3


def test_an_alarm_that_nobody_takes_is_given_up_and_more_than_a_hundred_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    webhook = Webhook(url, Retries(2, first=0.01))
    webhook.send("a", {})
    assert outcome(webhook) == Delivery("a", False, 2, "ConnectError")
    monkeypatch.setattr(webhooks, "LIMIT", 1)
    full = Webhook(url, Retries(50, first=60.0, longest=60.0))
    for name in "abc":
        full.send(name, {})
    assert outcome(full).why == "1 alarms wait already"


def test_what_is_no_webhook() -> None:
    for url in ("", "hooks.example/x", "ftp://a", "http://"):
        with pytest.raises(UsageError, match="--webhook"):
            checked(url)
