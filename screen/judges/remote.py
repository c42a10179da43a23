"""A language model behind an endpoint as judge: by log-probabilities where it gives them, else by its plain number.

METHOD 1.3 reads the first token of the reply, so it holds only where each number 0 to 100 is one token. A tokenizer
that writes digit by digit would turn 85 into 8. So the first thing a judge does is to have the endpoint write a
number: where that comes without log-probabilities, or in several tokens, plain numbers are read, and the identity
says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from screen.endpoint.client import ChatReply, Endpoint, EndpointError
from screen.foreign import JsonObject
from screen.judges.cache import JudgementStore, MemoryCache, key_of
from screen.judges.judgement import (
    COHERENCE,
    COHERENCE_SHA256,
    Judge,
    Judgement,
    Pair,
    plain_integer,
    says_refusal,
    weighed,
)
from screen.traits.trait import Trait, fill

TOP: Final = 20
_TOKENS: Final = 8  # enough for REFUSAL, or for a number in digits
_PROBE: Final = "Write the number 85 and nothing else."

Mode = Literal["logprobs", "integer"]


class EndpointJudge(Judge):
    """`cache` keeps what was found out about the endpoint, so that a run without new answers sends nothing."""

    def __init__(
        self, endpoint: Endpoint, trait: Trait, *, coherence: bool = True, cache: JudgementStore | None = None
    ) -> None:
        self._endpoint, self._trait, self._coherence = endpoint, trait, coherence
        self._cache = MemoryCache() if cache is None else cache
        self._mode: Mode | None = None
        self.reason = ""  # why plain numbers are read, where they are

    @property
    def identity(self) -> JsonObject:
        return {
            "judge": "endpoint",
            "model": self._endpoint.find_model(),
            "scoring": self.mode,
            "top": TOP,
            "rubric": self._trait.rubric_sha256,
            "coherence": COHERENCE_SHA256 if self._coherence else None,
        }

    @property
    def mode(self) -> Mode:
        """ "logprobs" or "integer", found out once for an endpoint and a model."""
        if self._mode is None:
            key = key_of({"probe": 1, "url": self._endpoint.base_url, "model": self._endpoint.find_model()})
            kept = self._cache.get(key)
            if kept is None:
                mode, reason = self._probe()
                kept = {"mode": mode, "reason": reason}
                self._cache.put(key, kept)
            self._mode = "logprobs" if kept.get("mode") == "logprobs" else "integer"
            self.reason = str(kept.get("reason", ""))
        return self._mode

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Judgement]]:
        _ = self.mode
        return self._endpoint.each(pairs, self._judge)

    def dry_run(self, pair: Pair) -> list[JsonObject]:
        """The requests that one answer takes, as they would be sent to an endpoint with log-probabilities."""
        rubrics = [self._trait.rubric, *([COHERENCE] if self._coherence else [])]
        return [
            self._endpoint.chat_request(_messages(fill(r, *pair)), **_settings("logprobs")).to_json() for r in rubrics
        ]

    def _judge(self, pair: Pair) -> Judgement:
        try:
            reply = self._ask(fill(self._trait.rubric, *pair))
            coherence = self._number(self._ask(fill(COHERENCE, *pair)))[0] if self._coherence else None
        except EndpointError as error:
            if error.kind not in ("filtered", "refused"):
                raise
            return Judgement(None, False, None, "filtered")
        score, mass = self._number(reply)
        how: Literal["logprobs", "integer"] = "integer" if mass is None else "logprobs"
        return Judgement(score, says_refusal(reply.text), coherence, how, mass)

    def _ask(self, text: str) -> ChatReply:
        return self._endpoint.chat(_messages(text), **_settings(self.mode))

    def _number(self, reply: ChatReply) -> tuple[float | None, float | None]:
        """(score, mass); the mass is None where the reply came without log-probabilities."""
        top = _first_choices(reply) if self.mode == "logprobs" else None
        return (plain_integer(reply.text), None) if top is None else weighed(top)

    def _probe(self) -> tuple[Mode, str]:
        try:
            reply = self._endpoint.chat(_messages(_PROBE), **_settings("logprobs"))
        except EndpointError as error:
            if error.status != 400 or "logprob" not in error.message:
                raise
            return "integer", "the endpoint refuses to give log-probabilities"
        if reply.tokens is None:
            return "integer", "the endpoint gives no log-probabilities"
        written = [token.text.strip() for token in reply.tokens if token.text.strip()]
        if written[:1] != ["85"] and "".join(written).startswith("85"):
            return "integer", "the endpoint's tokenizer writes numbers digit by digit"
        return "logprobs", ""


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _settings(mode: Mode) -> dict[str, Any]:
    """Greedy, and the same seed each time, where an endpoint heeds it."""
    asked: dict[str, Any] = {"max_tokens": _TOKENS, "temperature": 0.0, "seed": 0}
    return {**asked, "top_logprobs": TOP} if mode == "logprobs" else asked


def _first_choices(reply: ChatReply) -> list[tuple[str, float]] | None:
    """(token, probability) of the 20 likeliest first tokens. A reply may open with white space of its own."""
    for token in reply.tokens or ():
        if token.text.strip() or not token.text:
            ranked = sorted(token.top, key=lambda pair: -pair[1])[:TOP]
            return [(text, math.exp(log)) for text, log in ranked]
    return None
