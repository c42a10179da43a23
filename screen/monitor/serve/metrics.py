"""What the proxy and its scorer count, as Prometheus reads it. No text and no key; clients choose the groups' names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from screen.monitor.serve.journal import Journal
from screen.monitor.serve.passing import Traffic
from screen.monitor.serve.scorer.snapshot import Snapshot
from screen.monitor.serve.scorer.supervisor import Supervisor

Key = TypeVar("Key", tuple[str], tuple[str, str])
TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Collected when they are asked for."""

    def __init__(self, traffic: Traffic, journal: Journal, supervisor: Supervisor) -> None:
        self._traffic, self._journal, self._supervisor = traffic, journal, supervisor
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        yield from _of_traffic(self._traffic)
        yield from _of_journal(self._journal, self._supervisor)
        yield from _of_scores(self._supervisor.snapshot)


def _of_traffic(traffic: Traffic) -> Iterator[Metric]:
    requests = dict(traffic.requests)
    yield _counts("screen_proxy_requests", "Requests passed on, by what they ask for.", ("api", "status"), requests)
    yield _gauge("screen_proxy_under_way", "Requests under way.", traffic.under_way)
    yield _count("screen_proxy_held", "Answers whose last piece waited for the journal.", traffic.held)
    yield _count("screen_proxy_held_seconds", "How long these waited in all.", traffic.held_seconds)
    yield _count("screen_proxy_not_held", "Answers that did not wait, as the journal was late.", traffic.not_held)
    yield _count("screen_proxy_client_gone", "Requests that the client left.", traffic.client_gone)
    yield _count("screen_proxy_cut", "Answers that the upstream broke off.", traffic.cut)


def _of_journal(journal: Journal, supervisor: Supervisor) -> Iterator[Metric]:
    yield _count("screen_monitor_acknowledged", "Exchanges on disk, to be scored.", journal.acknowledged)
    yield _gauge("screen_monitor_waiting", "Exchanges without a result yet.", journal.waiting)
    dropped = {(reason,): n for reason, n in dict(journal.dropped).items()}
    yield _counts("screen_monitor_dropped", "Exchanges that are not scored, to delay nothing.", ("reason",), dropped)
    yield _gauge("screen_monitor_scoring", "Whether the process that scores is there.", supervisor.running)
    yield _count("screen_monitor_scorer_starts", "How often it was started.", supervisor.starts)


def _of_scores(known: Snapshot) -> Iterator[Metric]:
    stream = ("trait", "group")
    told = {(said,): n for said, n in known.tokens.items()}
    sent = {(outcome,): n for outcome, n in known.webhooks.items()}
    yield _counts("screen_monitor_messages", "Messages in the log.", ("group", "outcome"), known.outcomes)
    yield _counts("screen_monitor_tokens", "Whether tokens here are the upstream's.", ("said",), told)
    yield _counts("screen_monitor_high", "Scores that clean data rarely has.", stream, known.high)
    yield _counts("screen_monitor_alarms", "Changes of a stream's scores.", stream, known.alarms)
    yield _gauges("screen_monitor_rolling_mean", "Of a stream's latest scores.", stream, known.means)
    yield _gauges("screen_monitor_evidence", "Of a change; an alarm is raised at --per.", stream, known.evidence)
    yield _counts("screen_monitor_webhooks", "Alarms sent on.", ("outcome",), sent)


def _counts(name: str, text: str, labels: tuple[str, ...], values: Mapping[Key, float]) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def _gauges(name: str, text: str, labels: tuple[str, ...], values: Mapping[Key, float]) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Key, float]) -> Metric:
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
