"""The process that scores: reads the journal as far as it is acknowledged, writes the log, and tells how far it is.

What it tells, as tuples: ("ready", facts), ("trying", first, last), ("logged", position), ("state", Snapshot), and
("failed", class, message, next step). What it is told: ("upto", position) and ("stop",).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from screen.disk import DISK
from screen.errors import StoreError
from screen.foreign import JsonObject
from screen.monitor.change import Streams, bars
from screen.monitor.scores import MessageScorer
from screen.monitor.serve.exchange import Exchange
from screen.monitor.serve.journal import JOURNAL, JournalReader, first_of, segments
from screen.monitor.serve.scorer.lines import Line, Scoring, Watching, mark_of, moment
from screen.monitor.serve.scorer.log import ScoreLog
from screen.monitor.serve.scorer.webhook import Webhook
from screen.monitor.serve.settings import Order, ScorerSettings
from screen.scan.workers.child import keep_memory, live

AT_ONCE: Final = 32  # exchanges scored in one pass
NICE: Final = 5  # requests go before scores
_KEPT: Final = 5.0  # seconds between two notes of what detectors know
_TOLD: Final = 0.5  # seconds between two snapshots
_PATIENCE: Final = 60.0  # seconds for a worker before this one to end


def work(connection: Connection, parents_end: Connection | None, order: Order) -> None:
    """All that the process does."""
    live(connection, parents_end, order.parent, lambda: _Worker(connection, order).run())


class _Worker:
    def __init__(self, connection: Connection, order: Order) -> None:
        keep_memory()
        self._connection, self._order = connection, order
        self._lock = _only_one(order.folder)
        self._log = ScoreLog(order.folder)
        scorer = opened(order.scorer)
        self._scoring = Scoring(scorer, order.text)
        known = {trait: bars(standard.reference) for trait, standard in scorer.known.items()}
        self._watching = Watching(Streams(known, order.per, order.window), order.per)
        self._webhook = Webhook(order.webhook) if order.webhook else None
        self._undelivered: dict[str, JsonObject] = {}  # alarms whose end the log does not tell
        self._webhooks: dict[str, int] = {}
        self._upto, self._stopping = 0, False
        self._kept = self._told = 0.0
        self._go_on()
        self._reader = JournalReader(order.folder / JOURNAL, self._position())
        with suppress(OSError, AttributeError):
            os.nice(NICE)
        connection.send(("ready", self._facts(scorer)))

    def _position(self) -> int:
        """Where to read from: behind the last exchange of the log, or at it, as it may be there in part."""
        last = self._log.last.exchange
        files = segments(self._order.folder / JOURNAL)
        return last - 1 if files and first_of(files[0]) <= last else last

    def _facts(self, scorer: MessageScorer) -> dict[str, object]:
        instruments = scorer.instruments
        return {
            "position": self._reader.position,
            "traits": {
                trait: {"layer": layer, "limit": scorer.known[trait].limit if trait in scorer.known else None}
                for trait, layer in zip(instruments.vectors.traits, instruments.vectors.layers, strict=True)
            },
        }

    def _go_on(self) -> None:
        """Know what the worker before knew: what it kept, and the lines that it wrote since."""
        if self._log.kept:
            self._watching.resume(self._log.kept["watching"])
            self._undelivered = dict(self._log.kept["undelivered"])
        raised: dict[str, Line] = {}
        for line in self._log.since():
            match line["kind"]:
                case "message":
                    raised |= {str(alarm["alarm"]): alarm for alarm in self._watching.take(line)}
                case "alarm":
                    raised.pop(line["alarm"], None)
                    self._undelivered[line["alarm"]] = line
                case "webhook":
                    self._undelivered.pop(line["alarm"], None)
        if raised:  # the worker ended between the message and its alarm
            self._log.append(list(raised.values()))
            self._undelivered |= raised
        if self._webhook is None:
            self._undelivered = {}
        for alarm, line in self._undelivered.items():
            self._send(alarm, line)
        self._watching.count_anew()

    def run(self) -> None:
        while not self._stopping:
            behind = self._reader.position < self._upto
            while self._connection.poll(0 if behind else _TOLD):
                self._hear(self._connection.recv())
                behind = self._reader.position < self._upto
                if behind or self._stopping:
                    break
            if behind:
                self._score()
            self._deliveries()
            self._tell(idle=self._reader.position >= self._upto)
        if self._webhook is not None:
            self._webhook.close(1.0)
            self._deliveries()
        self._keep()

    def _hear(self, message: tuple[object, ...]) -> None:
        match message:
            case ("upto", int(position)):
                self._upto = max(self._upto, position)
            case ("stop",):
                self._stopping = True

    def _score(self) -> None:
        first = self._reader.position + 1
        most = 1 if first <= self._order.alone_to else AT_ONCE
        records = list(self._reader.records(self._upto, most))
        self._connection.send(("trying", first, self._reader.position))
        told = [self._line_of_drop(record) for record in records if "dropped" in record]
        exchanges = [(record["at"], self._exchange(record)) for record in records if "exchange" in record]
        lines = sorted([*told, *self._scoring.lines(exchanges)], key=mark_of)
        lines = [line for line in lines if mark_of(line) > self._log.last]
        made: list[Line] = []
        for line in lines:
            made.append(line)
            if line["kind"] == "message":
                made += self._watching.take(line)
        if made:
            self._log.append(made)
            self._log.last = mark_of(lines[-1])
        for line in made:
            if line["kind"] == "alarm" and self._webhook is not None:
                self._undelivered[str(line["alarm"])] = line
                self._send(str(line["alarm"]), line)
        self._connection.send(("logged", self._reader.position))

    def _exchange(self, record: JsonObject) -> Exchange:
        exchange = Exchange.from_json(record["exchange"])
        why = self._order.deadly.get(record["at"])
        return exchange if why is None else replace(exchange, unread=("worker_failed", why))

    def _line_of_drop(self, record: JsonObject) -> Line:
        time_ = moment(record["time"])
        return {"kind": "dropped", "exchange": record["at"], "time": time_, "messages": record["dropped"]}

    def _send(self, alarm: str, line: JsonObject) -> None:
        if self._webhook is not None:
            self._webhook.send(alarm, line)

    def _deliveries(self) -> None:
        done = self._webhook.done() if self._webhook is not None else []
        if done:
            self._log.append([delivery.to_json() for delivery in done])
        for delivery in done:
            self._undelivered.pop(delivery.alarm, None)
            outcome = "delivered" if delivery.delivered else "given_up"
            self._webhooks[outcome] = self._webhooks.get(outcome, 0) + 1

    def _tell(self, idle: bool) -> None:
        now = time.monotonic()
        if now - self._kept >= _KEPT:
            self._keep()
            self._kept = now
        if idle or now - self._told >= _TOLD:
            snapshot = self._watching.snapshot()
            self._connection.send(("state", replace(snapshot, webhooks=dict(self._webhooks))))
            self._told = now

    def _keep(self) -> None:
        kept = {"watching": self._watching.state(), "undelivered": self._undelivered}
        self._log.keep(kept, self._log.last)


def opened(settings: ScorerSettings) -> MessageScorer:
    """Raises what `MessageScorer.open` raises."""
    device, dtype = settings.machine(settings.device, settings.dtype)
    return MessageScorer.open(
        model=settings.model,
        vectors=settings.vectors,
        traits=settings.traits,
        layers=settings.layers,
        reference=settings.reference,
        dtype=dtype,
        device=device,
        template=settings.template,
    )


def _only_one(folder: Path) -> int | None:
    """The lock of the log. A worker whose server was killed ends within its pass; this one waits for that."""
    until = time.monotonic() + _PATIENCE
    while (descriptor := DISK.lock(folder / "log.lock")) is None:
        if time.monotonic() > until:
            raise StoreError(f"another process writes the log in {folder}", "wait for it to end, or stop it")
        time.sleep(0.05)
    return descriptor
