"""An exchange -> the lines of the log that tell of it: scores, what could not be scored, alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from screen.data.sample import Skip
from screen.foreign import JsonObject
from screen.jsonl import dump
from screen.model.generate import eos_ids
from screen.monitor.change import EVERYTHING, OTHERS, Alarm, Streams
from screen.monitor.scores import MessageScore, MessageScorer
from screen.monitor.serve.exchange import Answer, Exchange
from screen.monitor.serve.scorer.log import Mark
from screen.monitor.serve.scorer.snapshot import Snapshot
from screen.monitor.serve.scorer.tokens import compared

Line = dict[str, object]
MOST_GROUPS: Final = 100
NAMED: Final = 200  # characters of an id or of a model's name


def _unscored(code: str, why: str | None) -> Line:
    return {"unscored": {"code": code, "why": why}}


_EMPTY: Final = _unscored("empty_answer", "the answer is empty")


class Scoring:
    """Makes lines. `text`: with what was asked and answered in them."""

    def __init__(self, scorer: MessageScorer, text: bool) -> None:
        self._scorer, self._text = scorer, text
        instruments = scorer.instruments
        self._tokenizer = instruments.tokenizer
        self._eos = eos_ids(instruments.model, instruments.tokenizer.hf.eos_token_id)

    def lines(self, exchanges: Sequence[tuple[int, Exchange]]) -> list[Line]:
        """A line a message, in order; one for an exchange without any. Positions go with exchanges."""
        talks = [(at, e, a) for at, e in exchanges if e.unread is None for a in e.answers if a.said]
        found = iter(self._scorer.score([e.conversation(a) for _, e, a in talks])) if talks else iter(())
        made: list[Line] = []
        for at, exchange in exchanges:
            answers = exchange.answers if exchange.unread is None else ()
            if not answers:
                code, why = exchange.unread or ("no_answer", "the answer broke off before its first word")
                made.append(self._line(at, 0, exchange) | _unscored(code, why))
            for answer in answers:
                result = self._result(exchange, answer, next(found)) if answer.said else _EMPTY
                made.append(self._line(at, answer.choice, exchange) | result)
        return made

    def _line(self, at: int, choice: int, exchange: Exchange) -> Line:
        return {
            "kind": "message",
            "exchange": at,
            "choice": choice,
            "time": moment(exchange.time),
            "id": _cut(exchange.id),
            "model": _cut(exchange.model),
            "group": exchange.group,
            "api": exchange.kind,
            "streamed": exchange.streamed,
            "ended": exchange.ended,
            "finish": None,
            "tokens": "unknown",
            "answer_tokens": None,
            "scores": None,
            "unscored": None,
        }

    def _result(self, exchange: Exchange, answer: Answer, found: list[MessageScore] | Skip) -> Line:
        made: Line = {"finish": _cut(answer.finish)}
        if self._text:
            prompt = list(exchange.messages) if exchange.kind == "chat" else exchange.prompt(answer)
            made["text"] = {"prompt": prompt, "answer": answer.message()}
        if isinstance(found, Skip):
            return made | _unscored(found.code, found.message if self._text else None)
        if not found or not found[-1].traits:
            return made | _unscored("no_score", "the answer has no token that is scored")
        message = found[-1]
        if answer.text:
            [encoding] = self._tokenizer.encode([answer.text])
            made["tokens"] = compared(exchange, answer, list(encoding.ids), self._eos)
        scores = {trait: asdict(score) for trait, score in message.traits.items()}
        return made | {"answer_tokens": message.tokens, "scores": scores}


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:NAMED]


def moment(seconds: float) -> str:
    """UTC, ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mark_of(line: JsonObject) -> Mark:
    return Mark(line["exchange"], line.get("choice", -1))


class Watching:
    """The detectors, told of each line of the log once, and what is counted of them for the metrics."""

    def __init__(self, streams: Streams, per: float) -> None:
        self.streams, self._per = streams, per
        self._groups: list[str] = []
        self._outcomes: Counter[tuple[str, str]] = Counter()  # (group, "scored" or a code)
        self._tokens: Counter[str] = Counter()
        self._high: Counter[tuple[str, str]] = Counter()  # (trait, group)
        self._alarms: Counter[tuple[str, str]] = Counter()

    def count_anew(self) -> None:
        """Metrics count what a process does."""
        for counts in (self._outcomes, self._tokens, self._high, self._alarms):
            counts.clear()

    def take(self, line: JsonObject) -> list[Line]:
        """Alarms that the message raises, as lines."""
        group = self._named(line["group"])
        self._outcomes[group, "scored" if line["unscored"] is None else line["unscored"]["code"]] += 1
        self._tokens[line["tokens"]] += 1
        made = []
        for trait, score in (line["scores"] or {}).items():
            self._high[trait, group] += score["high"] is True
            for stream in dict.fromkeys((group, EVERYTHING)):
                alarm = self.streams.update(trait, stream, score["score"])
                if alarm is not None:
                    self._alarms[trait, stream] += 1
                    made.append(self._alarm(line, trait, stream, alarm))
        return made

    def _named(self, group: str) -> str:
        """Clients choose the names: the first MOST_GROUPS have streams and metrics of their own."""
        if group in self._groups or group == EVERYTHING:
            return group
        if len(self._groups) >= MOST_GROUPS:
            return OTHERS
        self._groups.append(group)
        return group

    def snapshot(self) -> Snapshot:
        detectors = self.streams.detectors
        return Snapshot(
            outcomes=dict(self._outcomes),
            tokens=dict(self._tokens),
            high=dict(self._high),
            alarms=dict(self._alarms),
            means={key: mean for key, d in detectors.items() if (mean := d.mean) is not None},
            evidence={key: d.evidence for key, d in detectors.items()},
        )

    def state(self) -> dict[str, object]:
        """All that is to be known by the process that begins next. Counts begin anew with it."""
        return {"groups": self._groups, "streams": self.streams.state()}

    def resume(self, state: JsonObject) -> None:
        self._groups = list(state["groups"])
        self.streams.resume(state["streams"])

    def _alarm(self, line: JsonObject, trait: str, group: str, alarm: Alarm) -> Line:
        place = {"exchange": line["exchange"], "choice": line["choice"]}
        return {
            "kind": "alarm",
            "alarm": alarm_id(line, trait, group),
            **place,
            "time": line["time"],
            "trait": trait,
            "group": group,
            "scores_in": alarm.at - alarm.began + 1,
            "rolling_mean": alarm.mean,
            "evidence": alarm.evidence,
            "per": self._per,
        }


def alarm_id(line: JsonObject, trait: str, group: str) -> str:
    return dump([line["exchange"], line["choice"], trait, group])
