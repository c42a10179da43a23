"""The client against a server on this machine, with every fault that endpoints show."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from screen.endpoint.client import VLLM_SAMPLING, Endpoint, EndpointError, Retries
from screen.endpoint.http import Transport
from screen.errors import UsageError
from tests.judges.endpoint_server import KEY, Reply, Server, chat, serving

ASK = [{"role": "user", "content": "Hello?"}]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def ask(server: Server, **settings: Any) -> str:
    return server.endpoint(**settings).chat(ASK, max_tokens=5).text


def failure(server: Server, **settings: Any) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        ask(server, **settings)
    return caught.value


def test_a_request_says_all_that_decides_the_answer(server: Server) -> None:
    server.endpoint().chat(ASK, max_tokens=5, top_logprobs=20, seed=3)
    path, body, headers = server.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "m", "messages": ASK, "temperature": 0.0, "top_p": 1, "n": 1, "max_tokens": 5, "logprobs": True,
        "top_logprobs": 20, "seed": 3,
    }  # fmt: skip


def test_the_first_tokens_alternatives_come_back(server: Server) -> None:
    server.script = [Reply(chat("85", {"85": 0.75, "80": 0.25}))]
    answer = server.endpoint().chat(ASK, max_tokens=5, top_logprobs=20)
    assert (answer.text, answer.truncated, answer.model) == ("85", False, "m-2")
    assert answer.tokens is not None
    assert [token for token, _ in answer.tokens[0].top] == ["85", "80"]


def test_a_busy_endpoint_is_asked_again_when_it_says(server: Server) -> None:
    busy = {"error": {"message": "slow down"}}
    server.script = [
        Reply(busy, 429, {"Retry-After": "7"}),
        Reply(busy, 503, {"Retry-After": "Tue, 14 Nov 2023 22:13:32 GMT"}),
        Reply(busy, 429),
        Reply(b"", 500),
    ]
    assert ask(server) == "50"
    assert server.slept == [7.0, 12.0, 4.0, 8.0]


def test_pauses_double_with_jitter_up_to_a_limit() -> None:
    retries = Retries(first=1.0, longest=10.0)
    assert [retries.pause(n, 1.0) for n in range(5)] == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert [retries.pause(n, 0.0) for n in range(5)] == [0.5, 1.0, 2.0, 4.0, 5.0]


def test_an_endpoint_that_stays_busy_is_given_up(server: Server) -> None:
    server.script = [Reply({"error": {"message": "slow down"}}, 429)] * 3
    error = failure(server, retries=Retries(attempts=3))
    assert error.status == 429
    assert str(error) == (
        f"{server.url}/chat/completions answered 429: slow down (3 attempts)\n"
        "  next: run the same command again later, or with fewer requests at once: what is done is kept"
    )


def test_a_wait_of_an_hour_is_an_error_at_once(server: Server) -> None:
    server.script = [Reply(b"", 429, {"Retry-After": "3600"})]
    assert failure(server).message.endswith("answered 429; it asks to wait 3600 seconds")
    assert server.slept == []


def test_a_used_up_quota_is_not_asked_again(server: Server) -> None:
    server.script = [Reply({"error": {"message": "no money", "code": "insufficient_quota"}}, 429)]
    assert failure(server).next_step == "the account's quota is used up: add credit, or use another endpoint"
    assert len(server.seen) == 1


def test_a_slow_endpoint_is_asked_again(server: Server) -> None:
    server.script = [Reply(chat("late"), stall=0.4)]
    assert ask(server, timeout=0.15) == "50"
    assert len(server.slept) == 1


def test_an_endpoint_that_never_answers(server: Server) -> None:
    server.script = [Reply(chat("late"), stall=0.4)] * 2
    error = failure(server, timeout=0.15, retries=Retries(attempts=2))
    assert error.kind == "timeout"
    assert error.message == f"{server.url}/chat/completions did not answer within 0.15 seconds (2 attempts)"


@pytest.mark.parametrize("torn", [Reply(chat("lost"), cut_to=40), Reply(b'{"choices": [{"mess'), Reply(b"<html>")])
def test_an_answer_that_breaks_off_is_asked_for_again(server: Server, torn: Reply) -> None:
    server.script = [torn]
    assert ask(server) == "50"
    server.script = [torn] * 2
    error = failure(server, retries=Retries(attempts=2))
    assert error.kind == "cut"
    assert error.message == (
        f"the answer of {server.url}/chat/completions breaks off: it is no whole JSON (2 attempts)"
    )


def test_no_server(server: Server) -> None:
    endpoint = server.endpoint(retries=Retries(attempts=2))
    endpoint.base_url = "http://127.0.0.1:9/v1"
    with pytest.raises(EndpointError, match=r"no connection to http://127.0.0.1:9/v1/chat/completions: .*refused"):
        endpoint.chat(ASK, max_tokens=1)
    assert len(server.slept) == 1


def test_a_wrong_key_is_not_quoted(server: Server) -> None:
    server.script = [Reply({"error": {"message": f"Incorrect API key provided: {KEY}."}}, 401)]
    error = failure(server)
    assert error.message == f"{server.url}/chat/completions answered 401: Incorrect API key provided: [key]."
    assert error.next_step == "check OPENAI_API_KEY"


def test_the_key_stands_nowhere_else(server: Server) -> None:
    endpoint = server.endpoint()
    request = endpoint.chat_request(ASK, max_tokens=1)
    assert KEY not in repr(endpoint) + repr(request) + str(request.to_json())
    assert request.to_json()["headers"]["Authorization"] == "Bearer $OPENAI_API_KEY"


def test_redirects_are_not_followed(server: Server) -> None:
    server.script = [Reply(b"", 307, {"Location": "http://127.0.0.1:9/elsewhere"})]
    next_step = "redirects are not followed; set OPENAI_BASE_URL to the address itself"
    assert failure(server).next_step == next_step


def test_requests_share_a_connection_and_no_cookie(server: Server) -> None:
    server.script = [Reply(chat("50"), headers={"Set-Cookie": "who=me"})]
    endpoint = server.endpoint()
    assert [endpoint.chat(ASK, max_tokens=5).text for _ in range(3)] == ["50"] * 3
    assert server.connections == 1
    assert not any("Cookie" in headers for _, _, headers in server.seen)
    assert {headers["Accept-Encoding"] for _, _, headers in server.seen} == {"identity"}


def test_a_proxy_of_the_environment_is_used_where_it_is_not_bypassed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    endpoint = server.endpoint()
    endpoint.base_url = "http://elsewhere.test/v1"
    assert endpoint.chat(ASK, max_tokens=5).text == "50"
    assert server.seen[0][0] == "http://elsewhere.test/v1/chat/completions"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", "socks5://me:hidden@127.0.0.1:9")
    assert ask(server) == "50"
    with pytest.raises(EndpointError, match="http_proxy does not name a proxy that can be used") as caught:
        endpoint.chat(ASK, max_tokens=5)
    assert "hidden" not in str(caught.value)


def test_an_answer_without_end_is_not_read_to_its_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screen.endpoint.http.MAX_BYTES", 1 << 20)
    server.script = [Reply(b" " * ((1 << 20) + 1))]
    error = failure(server)
    assert (error.kind, error.message) == ("shape", "the endpoint's answer is longer than 1 MiB")


def test_a_certificate_that_is_refused_is_not_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("self-signed") from ssl.SSLCertVerificationError("self-signed")

    client = httpx2.Client(transport=httpx2.MockTransport(refuse))
    monkeypatch.setattr(Transport, "_client", lambda _self, _url: client)
    assert failure(server).message == f"no connection to {server.url}/chat/completions: self-signed"
    assert server.slept == []


def test_a_refusal_and_a_filter(server: Server) -> None:
    refused = chat("")
    refused["choices"][0]["message"] |= {"content": None, "refusal": "I can't\nhelp."}
    server.script = [Reply(refused), Reply(chat("", finish_reason="content_filter"))]
    server.script += [Reply({"error": {"code": "content_filter", "message": "no"}}, 400)]
    errors = [failure(server) for _ in range(3)]
    assert [error.kind for error in errors] == ["refused", "filtered", "filtered"]
    assert errors[0].message == "the model refused: I can't help."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "`choices`: None"),
        ({"choices": []}, "`choices`: []"),
        ({"choices": [{"message": "hi"}]}, "`choices[0].message`: 'hi'"),
        ({"choices": [{"message": {"content": 5}}]}, "`choices[0].message.content`: 5"),
        (chat("1") | {"choices": [chat("1", {"1": 1})["choices"][0] | {"logprobs": {"content": 7}}]}, "content`: 7"),
        ([], "a JSON list, not an object"),
    ],
)
def test_answers_of_the_wrong_shape(server: Server, body: Any, field: str) -> None:
    server.script = [Reply(body)]
    error = failure(server)
    assert error.kind == "shape"
    assert field in error.message


def test_a_log_probability_that_is_none(server: Server) -> None:
    body = chat("85", {"85": 1.0})
    for bad in ("high", None, 0.5, True):
        body["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = bad
        server.script = [Reply(body)]
        assert failure(server).kind == "shape"


def test_completions_by_token_ids(server: Server) -> None:
    choices = [{"index": i, "text": f"t{i}", "finish_reason": "stop", "token_ids": [i]} for i in (1, 0)]
    choices[1]["finish_reason"] = "length"
    server.script = [Reply({"choices": choices})]
    found = server.endpoint().complete([5, 6], max_tokens=9, temperature=1.0, n=2, seed=1, extra=VLLM_SAMPLING)
    assert [(c.text, c.truncated, c.ids) for c in found] == [("t0", True, (0,)), ("t1", False, (1,))]
    path, body, _ = server.seen[0]
    assert path == "/v1/completions"
    assert (body["prompt"], body["top_p"], body["top_k"], body["return_token_ids"]) == ([5, 6], 1, -1, True)


def test_the_only_model_of_an_endpoint_needs_no_name(server: Server) -> None:
    assert ask(server, model=None) == "50"
    assert server.seen[1][1]["model"] == "only"


@pytest.mark.parametrize("reply", [Reply({}, 404), Reply("x", 500), Reply({"models": []}), Reply([1])])
def test_an_endpoint_that_lists_no_models_is_asked_without_a_name(server: Server, reply: Reply) -> None:
    server.script = [reply, reply]
    endpoint = server.endpoint(model=None)
    assert endpoint.find_model() == "default"
    server.script = []
    assert endpoint.chat(ASK, max_tokens=5).text == "50"
    assert "model" not in server.seen[-1][1]


def test_a_wrong_key_is_not_passed_over(server: Server) -> None:
    server.script = [Reply({"error": "no"}, 401)]
    with pytest.raises(EndpointError, match="401"):
        server.endpoint(model=None).find_model()


def test_one_of_several_models_must_be_named(server: Server) -> None:
    server.script = [Reply({"data": [{"id": "a"}, {"id": "b"}]})]
    with pytest.raises(UsageError) as caught:
        ask(server, model=None)
    assert caught.value.message == f"{server.url} serves 2 models (a, b), so one must be named"


def test_a_model_that_wants_the_newer_word(server: Server) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.script = [Reply({"error": {"message": message}}, 400)]
    endpoint = server.endpoint()
    assert [endpoint.chat(ASK, max_tokens=5).text for _ in range(2)] == ["50", "50"]
    assert [sorted(body) for _, body, _ in server.seen][1:] == [
        ["max_completion_tokens", "messages", "model", "n", "temperature", "top_p"]
    ] * 2


def test_no_more_requests_at_once_than_allowed(server: Server) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    gate = threading.Barrier(3, timeout=5)

    def call(i: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait()
        with lock:
            at_once -= 1
        return i * i

    assert dict(server.endpoint(concurrency=3).each(range(6), call)) == {i: i * i for i in range(6)}
    assert most == 3


def test_what_is_under_way_at_an_error_is_not_lost(server: Server) -> None:
    begun, failed, seen = threading.Event(), threading.Event(), list[int]()

    def call(i: int) -> int:
        if i == 0:
            begun.wait(5)
            failed.set()
            raise ValueError("broken")
        begun.set()
        failed.wait(5)
        time.sleep(0.05)
        return i

    def collect() -> None:
        for i, _ in server.endpoint(concurrency=2).each(range(50), call):
            seen.append(i)

    with pytest.raises(ValueError, match="broken"):
        collect()
    assert seen == [1]


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://a/v1", "http://", "http://a:x/v1", "http://a/v1?k=1"])
def test_an_impossible_url(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint(url, "m")
    assert caught.value.message == f"{url!a} is not the URL of an endpoint"


def test_secrets_in_the_wrong_place_are_refused_unseen() -> None:
    with pytest.raises(UsageError) as in_url:
        Endpoint("http://me:hidden@a/v1", "m")
    with pytest.raises(UsageError) as in_key:
        Endpoint("http://a/v1", "m", key="hidden\nX: y")
    assert "hidden" not in f"{in_url.value}{in_key.value}"


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="no endpoint: neither OPENAI_BASE_URL nor OPENAI_API_KEY is set"):
        Endpoint.from_env()
    monkeypatch.setenv("OPENAI_API_KEY", " k ")
    monkeypatch.setenv("OPENAI_MODEL", "judge")
    made = Endpoint.from_env(timeout=3.0)
    assert (made.base_url, made.model, made.key, made.timeout) == ("https://api.openai.com/v1", "judge", "k", 3.0)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1/")
    assert Endpoint.from_env("other").base_url == "http://localhost:8000/v1"
