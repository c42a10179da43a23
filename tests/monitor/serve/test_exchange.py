"""What is put together of bytes that passed: whatever the pieces, whatever is wrong with them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.errors import UsageError
from screen.monitor.serve.exchange import MOST_BYTES, Answer, Exchange, Taken, read
from screen.monitor.serve.groups import checked_by, group_of, key_digest, shown
from screen.monitor.serve.scorer.tokens import compared
from screen.monitor.serve.sse import DoneWatch, events
from screen.monitor.serve.upstream import Upstream, onward
from tests.monitor import stand_in

ASKED = {"model": "m", "messages": [{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And?"}]}


def taken(response: bytes | None, request: Any = ASKED, **more: Any) -> Taken:
    fields = {"kind": "chat", "encoding": "", "streamed": False, "ended": "whole", "group": None, "time": 1.0, **more}
    return Taken(request=json.dumps(request).encode(), response=response, **fields)


def streamed(*choices: dict[str, Any], **more: Any) -> Exchange:
    data = b"".join(b"data: " + json.dumps({"choices": [c]}).encode() + b"\n\n" for c in choices)
    return read(taken(data + b"data: [DONE]\n\n", streamed=True, **more))


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), max_size=40), st.integers(1, 3))
def test_a_stream_is_the_same_in_whatever_pieces_it_came(cuts: list[int], n: int) -> None:
    asked = {**ASKED, "n": n}
    data = b"".join(stand_in.events(asked, True, 6))
    watch, done_at, at = DoneWatch(), -1, 0
    for size in [*cuts, len(data)]:
        if watch(data[at : at + size]) and done_at < 0:
            done_at = min(at + size, len(data))
        at += size
    assert done_at >= len(data) - 2  # not before [DONE] is there, not after its line
    whole = read(taken(json.dumps(stand_in.whole(asked, True, 6)).encode(), asked))
    assert [a.text for a in read(taken(data, asked, streamed=True)).answers] == [a.text for a in whole.answers]


def test_lines_end_in_any_way_and_a_comment_is_none() -> None:
    assert list(events(b": x\r\n\r\ndata: a\rdata:b\r\rdata: \n\nevent: e\ndata: cut off\n")) == [b"a\nb", b""]


def test_a_word_done_in_a_text_ends_nothing() -> None:
    assert not DoneWatch()(b'data: {"content": "say data: [DONE]"}\n\n')


def test_tool_calls_reasoning_and_ids_are_joined() -> None:
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}]
    more = [{"index": 0, "function": {"arguments": '":1}'}}]
    deltas = [{"reasoning_content": "Hm"}, {"content": "Yes", "tool_calls": calls}, {"tool_calls": more}]
    choices = [{"index": 0, "delta": delta, "token_ids": [i]} for i, delta in enumerate(deltas)]
    [answer] = streamed(*choices).answers
    function = {"name": "f", "arguments": '{"a":1}'}
    assert answer.message() == {
        "role": "assistant",
        "content": "Yes",
        "reasoning_content": "Hm",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    assert answer.ids == [0, 1, 2]


def test_only_the_answer_is_to_be_scored() -> None:
    exchange = streamed({"index": 0, "delta": {"content": "So."}})
    assert [m.get("weight") for m in exchange.conversation(exchange.answers[0])["messages"]] == [0, None, None]  # type: ignore[attr-defined]
    assert Exchange.from_json(json.loads(json.dumps(exchange.to_json()))) == exchange


def test_completions_of_several_prompts() -> None:
    asked = {"model": "m", "prompt": ["One", "Two"], "n": 2, "echo": True}
    choices = [{"index": i, "text": f"{'One' if i < 2 else 'Two'} and {i}"} for i in range(4)]
    exchange = read(taken(json.dumps({"choices": choices}).encode(), asked, kind="completion"))
    rows = [exchange.conversation(answer) for answer in exchange.answers]
    assert rows[1:3] == [{"prompt": "One", "completion": " and 1"}, {"prompt": "Two", "completion": " and 2"}]


@pytest.mark.parametrize(
    ("response", "more", "code"),
    [
        (b"<html>", {}, "bad_json"),
        (b"[1]", {}, "bad_json"),
        (b"{}", {}, "no_answer"),
        (b'{"choices": 7}', {}, "wrong_shape"),
        (b'{"choices": [7]}', {}, "wrong_shape"),
        (b'{"choices": [{"message": {"tool_calls": [{"index": 99999999}]}}]}', {}, "wrong_shape"),
        (b'{"choices": [{"message": {"content": "x"}}]}', {"request": {"messages": "hi"}}, "wrong_shape"),
        (b'{"choices": [{"text": "x"}]}', {"request": {"prompt": [1, 2]}, "kind": "completion"}, "not_text"),
        (None, {}, "too_large"),
        (b"x", {"encoding": "br"}, "content_encoding"),
        (b"not gzip at all", {"encoding": "gzip"}, "content_encoding"),
        (gzip.compress(b" " * (MOST_BYTES + 1)), {"encoding": "gzip"}, "too_large"),
    ],
)
def test_what_cannot_be_read_is_said(response: bytes | None, more: dict[str, Any], code: str) -> None:
    exchange = read(taken(response, **more))
    assert exchange.unread is not None
    assert exchange.unread[0] == code


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_are_an_error(data: bytes, stream: bool) -> None:
    assert read(taken(data, streamed=stream)).kind == "chat"


@pytest.mark.parametrize(
    ("finish", "count", "ids", "said"),
    [("stop", 3, None, "same count"), ("stop", 4, None, "same count"), ("length", 4, None, "differ"),
     ("stop", 5, None, "differ"), ("stop", None, None, "unknown"), ("stop", 9, [1, 2, 3, 0], "same"),
     ("stop", 3, [1, 2, 4], "differ")],
)  # fmt: skip
def test_same_tokens_are_proven_or_said(finish: str, count: int | None, ids: list[int] | None, said: str) -> None:
    answer = Answer(0, "text", finish=finish, ids=ids)
    exchange = Exchange("chat", "g", 0.0, False, "whole", answers=(answer,), completion_tokens=count)
    assert compared(exchange, answer, [1, 2, 3], frozenset({0})) == said
    thought = Answer(0, "text", reasoning="hm", finish=finish, ids=ids)
    assert compared(exchange, thought, [1, 2, 3], frozenset({0})) == "unknown"


def test_groups_hold_no_secret() -> None:
    headers = [(b"authorization", b"Bearer sk-1"), (b"x-team", b"a\x1b" + b"b" * 100)]
    assert key_digest(headers) == key_digest([(b"Authorization", b"Bearer sk-1")]) != key_digest([])
    assert "sk-1" not in str(group_of("key", headers))
    group = group_of("header:X-Team", headers)
    assert group is not None
    assert (len(group), "\x1b" in group) == (64, False)
    assert shown("") == "(none)"
    for by in ("header:Authorization", "header:x-api-key", "header:Cookie", "header:", "header:a b", "day"):
        with pytest.raises(UsageError):
            checked_by(by)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://a", "http://", "http://a:x", "http://a/v1?k=1", "http://u:p@a"]
)
def test_what_is_no_upstream(url: str) -> None:
    with pytest.raises(UsageError, match="--upstream"):
        Upstream.of(url)


def test_paths_and_headers_go_on_as_they_are() -> None:
    for url in ("http://a/openai/v1", "http://a/openai/v1/", "http://a/openai"):
        assert Upstream.of(url).target(b"/v1/x%2Fy", b"q=%20") == ("http://a/openai", b"/openai/v1/x%2Fy?q=%20")
    headers = [
        (b"Host", b"p"),
        (b"Connection", b"close, X-Own"),
        (b"X-Own", b"1"),
        (b"A", b"1"),
        (b"a", b"2"),
        (b"TE", b""),
    ]
    assert onward(headers, request=True) == [(b"A", b"1"), (b"a", b"2")]
    assert onward(headers, request=False)[0] == (b"Host", b"p")
