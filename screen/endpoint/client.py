"""A client for any OpenAI-compatible endpoint: chat with log-probabilities, and completions by token ids.

Every request is a value first (`CompletionRequest`), so that `--dry-run` prints exactly what would be sent. The key is
read from the environment, travels in one header and stands nowhere else: not in a request, an error, a repr or a log.
Knows nothing of traits, judges or what the answers are for.

    ScreenError
    ├── UsageError                no endpoint, no model's name, an impossible URL
    └── ModelError
        └── EndpointError         the endpoint did not answer as asked; `kind` says how
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from screen.endpoint import replies
from screen.endpoint.concurrent import as_completed
from screen.endpoint.failures import EndpointError
from screen.endpoint.http import Clock, Retries, Transport
from screen.endpoint.replies import ChatReply, Completion
from screen.errors import UsageError
from screen.foreign import JsonObject

__all__ = [
    "VLLM_SAMPLING",
    "ChatReply",
    "Clock",
    "Completion",
    "CompletionRequest",
    "Endpoint",
    "EndpointError",
    "Retries",
]

URL: Final = "OPENAI_BASE_URL"
KEY: Final = "OPENAI_API_KEY"
MODEL: Final = "OPENAI_MODEL"
_DEFAULT_URL: Final = "https://api.openai.com/v1"
# vLLM fills settings that a request leaves out from the model's own generation config; these leave it nothing to
# fill, and ask for the answer's token ids. Other servers refuse settings that they do not know.
VLLM_SAMPLING: Final[Mapping[str, object]] = {
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "return_token_ids": True,
}

_NO_LIST: Final = frozenset({400, 404, 405, 422, 500, 501, 503})
_UNNAMED: Final = "default"

Message = Mapping[str, str]
Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One request, without the key."""

    method: str
    url: str
    body: Mapping[str, object] | None

    def to_json(self) -> JsonObject:
        """For `--dry-run`: the header names the variable that the key is read from."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer ${KEY}"}
        return {"method": self.method, "url": self.url, "headers": headers, "body": self.body}


@dataclass
class Endpoint:
    """One model behind one URL. Raises EndpointError for what goes wrong after all retries.

    `timeout` bounds one attempt, in seconds, from its start to its last byte; `concurrency` is the number of
    requests that `each` has under way at once.
    """

    base_url: str
    model: str | None
    timeout: float = 120.0
    concurrency: int = 8
    retries: Retries = field(default_factory=Retries)
    clock: Clock = field(default_factory=Clock)
    key: str | None = field(default=None, repr=False)
    _listed: bool = field(default=True, init=False, repr=False)  # False: the endpoint does not say what it serves
    _words: str = field(default="max_tokens", repr=False)  # newer OpenAI models want max_completion_tokens

    def __post_init__(self) -> None:
        self.base_url = _checked_url(self.base_url)
        if self.concurrency < 1 or self.timeout <= 0:
            raise UsageError("an endpoint needs a concurrency of 1 or more and a timeout above 0", "change the setting")
        if self.key and not re.fullmatch(r"[!-~]+", self.key):  # it would be quoted in the error of a bad header
            raise UsageError("the key holds a space, a line break or a letter that no header can carry", f"check {KEY}")
        self._transport = Transport(self.key, self.timeout, self.retries, self.clock)

    @classmethod
    def from_env(cls, model: str | None = None, *, dry: bool = False, **settings: Any) -> Endpoint:
        """The endpoint of OPENAI_BASE_URL and OPENAI_API_KEY; its model by name, or OPENAI_MODEL.

        With `dry`, for requests that are only looked at, neither needs to be set.
        """
        url, key = os.environ.get(URL, "").strip(), os.environ.get(KEY, "").strip()
        if not url and not key and not dry:
            raise UsageError(
                f"no endpoint: neither {URL} nor {KEY} is set",
                f"set {URL} (for example http://localhost:8000/v1 for a local vLLM) and, where it needs one, {KEY}",
            )
        return cls(url or _DEFAULT_URL, model or os.environ.get(MODEL, "").strip() or None, key=key or None, **settings)

    def chat_request(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_logprobs: int | None = None,
        seed: int | None = None,
    ) -> CompletionRequest:
        """A chat completion. `top_logprobs` asks for that many alternatives at each token of the answer."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": temperature,
            "top_p": 1,
            "n": 1,
            self._words: max_tokens,
        }
        if top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": top_logprobs}
        if seed is not None:
            body["seed"] = seed
        return CompletionRequest("POST", f"{self.base_url}/chat/completions", body)

    def chat(self, messages: Sequence[Message], **settings: Any) -> ChatReply:
        """Send `chat_request` and read the answer. A refusal and a filtered answer are EndpointErrors."""
        try:
            return replies.read_chat(self._send(self.chat_request(messages, **settings)))
        except EndpointError as error:
            if error.status != 400 or "max_completion_tokens" not in error.message or self._words != "max_tokens":
                raise
        self._words = "max_completion_tokens"
        return replies.read_chat(self._send(self.chat_request(messages, **settings)))

    def completion_request(
        self,
        prompt: Sequence[int] | str,
        *,
        max_tokens: int,
        temperature: float,
        n: int = 1,
        seed: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> CompletionRequest:
        """A completion of token ids: no template and no special token is added by the server. Of a text, where a
        server takes no ids: it is tokenised there.

        `extra` goes into the body as it is: `VLLM_SAMPLING` for a vLLM server.
        """
        body: dict[str, object] = {
            "model": self.model,
            "prompt": prompt if isinstance(prompt, str) else [int(i) for i in prompt],
            "temperature": temperature,
            "top_p": 1,
            "n": n,
            "max_tokens": max_tokens,
        }
        if seed is not None:
            body["seed"] = seed
        return CompletionRequest("POST", f"{self.base_url}/completions", body | dict(extra or {}))

    def complete(self, prompt: Sequence[int] | str, **settings: Any) -> list[Completion]:
        """Send `completion_request`: `n` answers, in the order of their index."""
        return replies.read_completions(self._send(self.completion_request(prompt, **settings)), settings.get("n", 1))

    def find_model(self) -> str:
        """The model's name: as given, or the only one that the endpoint serves.

        "default" where it has no list: requests then name no model, which servers of one model allow.
        """
        if self.model is None:
            try:
                names = replies.read_models(self._transport.send("GET", f"{self.base_url}/models", None, attempts=2))
            except EndpointError as error:
                if error.kind != "shape" and error.status not in _NO_LIST:
                    raise
                self.model, self._listed = _UNNAMED, False
                return self.model
            if len(names) != 1:
                some = ", ".join(names[:8]) or "none"
                raise UsageError(
                    f"{self.base_url} serves {len(names)} models ({some}), so one must be named",
                    f"set {MODEL} to one of them",
                )
            self.model = names[0]
        return self.model

    def each(self, items: Sequence[Item], call: Callable[[Item], Value]) -> Iterator[tuple[int, Value]]:
        """(index, call(item)) for each item, as they are done, `concurrency` at a time.

        The first error ends it: calls that have not begun are dropped, and the error is raised.
        """
        return as_completed(items, call, self.concurrency)

    def _send(self, request: CompletionRequest) -> JsonObject:
        body = {**(request.body or {}), "model": self.find_model()}
        if not self._listed:
            del body["model"]
        return self._transport.send(request.method, request.url, json.dumps(body, ensure_ascii=True).encode())


def _checked_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{url!a} is not the URL of an endpoint", f"set {URL} to one such as http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the URL of the endpoint holds a password; it would end up in logs", f"put it in {KEY}")
    return url.rstrip("/")
