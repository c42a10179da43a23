"""The proxy as clients see it: bytes, errors, what is kept and what is said of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.monitor.serve.proxies import SECRET, Got, Running, asking, chat, got, hooking, running, start
from tests.monitor.stand_in import StandIn, standing_in
from tests.schemas import validated

HOP = {b"transfer-encoding", b"connection", b"keep-alive"}
MANY = 30


@pytest.fixture(scope="module")
def upstream() -> Iterator[StandIn]:
    with standing_in(pause=0.002) as made:
        yield made


@pytest.fixture(scope="module")
def hook() -> Iterator[tuple[str, list[bytes]]]:
    with hooking() as made:
        yield made


@pytest.fixture(scope="module")
def proxy(
    upstream: StandIn, hook: tuple[str, list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("proxy") / "watched"
    with running(upstream.url, folder, "--by", "header:X-Team", "--per", "1", "--webhook", hook[0]) as made:
        yield made


def both(
    upstream: StandIn, proxy: Running, *bodies: Any, path: str = "/chat/completions"
) -> tuple[list[Got], list[Got]]:
    async def ask(url: str) -> list[Got]:
        async with asking() as client:
            return await asyncio.gather(*(got(client, url, body, path) for body in bodies))

    return asyncio.run(ask(upstream.url)), asyncio.run(ask(proxy.url))


def end_to_end(answer: Got) -> Got:
    status, headers, data = answer
    return status, [(name, value) for name, value in headers if name.lower() not in HOP], data


def of(proxy: Running, name: str) -> list[dict[str, Any]]:
    """Lines of the messages whose prompt ended in this word."""
    proxy.drained()
    return [line for line in proxy.lines() if str(line["id"]).endswith(f"-{name}")]


def test_many_streams_at_once_pass_unchanged_and_are_scored_once(upstream: StandIn, proxy: Running) -> None:
    bodies = [chat(f"Tell me about s{i}", stream=True) for i in range(MANY)]
    direct, passed = both(upstream, proxy, *bodies)
    assert [end_to_end(a) for a in passed] == [end_to_end(a) for a in direct]
    proxy.drained()
    counted = Counter(line["id"].rpartition("-")[2] for line in proxy.lines())
    assert {name: n for name, n in counted.items() if name.startswith("s")} == {f"s{i}": 1 for i in range(MANY)}
    line = of(proxy, "s3")[0]
    assert line["scores"]["evil"]["sds"] is not None
    assert (line["ended"], line["finish"], line["unscored"]) == ("whole", "stop", None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", chat("One for plain")),
        ("/chat/completions", chat("One for gzip", model="gzip")),
        ("/chat/completions", chat("Two for n2", n=2, stream=True)),
        ("/completions", {"model": "m", "prompt": "The sea is completed"}),
        ("/chat/completions", {"model": "error-429", "messages": []}),
        ("/chat/completions", {"model": "error-500", "messages": [], "stream": True}),
        ("/embeddings?a=%2Fb&c", {"model": "m", "input": "x"}),
    ],
)
def test_status_headers_and_bytes_are_the_upstreams(
    upstream: StandIn, proxy: Running, path: str, body: dict[str, Any]
) -> None:
    [direct], [passed] = both(upstream, proxy, body, path=path)
    seen = upstream.seen[-2:]
    own = {b"host"}
    lowered = [sorted((n.lower(), v) for n, v in headers if n.lower() not in HOP | own) for _, headers, _ in seen]
    assert (seen[0][0], seen[0][2], lowered[0]) == (seen[1][0], seen[1][2], lowered[1])
    if "embeddings" not in path:  # which answers with the request, host and all
        assert end_to_end(passed) == end_to_end(direct)


def test_what_passed_is_scored_choice_by_choice(upstream: StandIn, proxy: Running) -> None:
    both(upstream, proxy, chat("Three for n3", n=3, stream=True), chat("Packed for zip", model="gzip"))
    both(upstream, proxy, {"model": "m", "prompt": "The sea is wide1"}, path="/completions")
    assert [(line["choice"], line["tokens"]) for line in of(proxy, "n3")] == [
        (0, "unknown"),
        (1, "unknown"),
        (2, "unknown"),
    ]
    for name in ("zip", "wide1"):
        [line] = of(proxy, name)
        assert line["scores"]["evil"]["score"] != 0.0
        assert line["tokens"] == "differ"  # the stand-in says 12 tokens, whatever it wrote


def test_an_answer_that_the_upstream_breaks_off(upstream: StandIn, proxy: Running) -> None:
    for url in (upstream.url, proxy.url):
        with pytest.raises(httpx2.RemoteProtocolError):
            asyncio.run(_ask(url, chat("Broken off cut1", model="cut", stream=True)))
    [line] = of(proxy, "cut1")
    assert line["ended"] == "cut"
    assert line["scores"] is not None


async def _ask(url: str, body: Any) -> Got:
    async with asking() as client:
        return await got(client, url, body)


def test_a_client_that_leaves_takes_the_upstreams_request_with_it(upstream: StandIn, proxy: Running) -> None:
    async def leave() -> None:
        async with asking() as client:
            body = chat("No end for left1", model="stall", stream=True)
            async with client.stream("POST", f"{proxy.url}/chat/completions", json=body) as response:
                async for piece in response.aiter_raw():
                    if b'"content"' in piece:  # an answer of which nothing came is not scored
                        break

    before = upstream.left
    asyncio.run(leave())
    [line] = _until(lambda: of(proxy, "left1"))
    assert line["ended"] == "client_gone"
    assert _until(lambda: upstream.left > before)


def _until(what: Any) -> Any:
    until = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.05)
    return found


def test_where_it_listens_is_as_its_schema_says(proxy: Running) -> None:
    [told] = validated("monitor-serve", json.dumps(proxy.told))
    assert told["traits"]["evil"]["limit"] > 0


def test_groups_metrics_and_health(upstream: StandIn, proxy: Running) -> None:
    async def ask() -> None:
        async with asking() as client:
            headers = {"x-team": "blue", "Authorization": f"Bearer {SECRET}"}
            await client.post(f"{proxy.url}/chat/completions", json=chat("In a group g1"), headers=headers)

    asyncio.run(ask())
    assert [line["group"] for line in of(proxy, "g1")] == ["blue"]
    found = _until(
        lambda: (m := proxy.metrics()).get('screen_monitor_messages_total{group="blue",outcome="scored"}') and m
    )
    assert 'screen_monitor_rolling_mean{group="blue",trait="evil"}' in found
    assert found['screen_proxy_requests_total{api="chat",status="200"}'] >= 1
    assert proxy.health()["status"] == "ok"


def test_alarms_are_logged_counted_and_sent(proxy: Running, hook: tuple[str, list[bytes]]) -> None:
    alarms = proxy.lines("alarm")  # a false alarm is allowed at each score here
    assert {alarm["trait"] for alarm in alarms} == {"evil"}
    assert {"", "(none)"} <= {alarm["group"] for alarm in alarms}
    _until(lambda: len(hook[1]) == len(alarms) == len(proxy.lines("webhook")))
    assert [json.loads(body) for body in hook[1]] == alarms
    assert {(line["alarm"], line["delivered"]) for line in proxy.lines("webhook")} == {
        (a["alarm"], True) for a in alarms
    }


def test_no_text_and_no_key_stands_anywhere_when_all_is_scored(upstream: StandIn, proxy: Running) -> None:
    both(upstream, proxy, chat("Secretly about walruses w1"))
    of(proxy, "w1")
    _until(lambda: all(path.stat().st_size == 0 for path in (proxy.folder / "journal").iterdir()))
    page = httpx2.get(f"{proxy.told['url']}/metrics", trust_env=False).text
    files = [path.read_text() for path in proxy.folder.rglob("*") if path.is_file()]
    assert not [text for text in [*files, page] if re.search(f"walrus|Tell me|{SECRET}|wide and", text)]


def test_killed_and_started_again_each_message_is_in_the_log_once(tmp_path: Path) -> None:
    seen: list[str] = []

    async def load(url: str, first: int, proxy: Running | None) -> None:
        async with asking() as client:

            async def one(i: int) -> None:
                try:
                    body = chat(f"Once and only k{i}", stream=True)
                    status, _, data = await got(client, url, body)
                    if status == 200 and data.endswith(b"[DONE]\n\n"):
                        seen.append(f"k{i}")
                except httpx2.TransportError:
                    pass
                if proxy is not None and len(seen) == 15:
                    proxy.process.kill()

            await asyncio.gather(*(one(i) for i in range(first, first + 30)))

    with standing_in(pause=0.01) as upstream:
        first = start(upstream.url, tmp_path / "w", "--text")
        asyncio.run(load(first.url, 0, first))
        first.kill()
        with running(upstream.url, tmp_path / "w", "--text") as second:
            asyncio.run(load(second.url, 100, None))
            second.drained()
            lines = second.lines()
    names = Counter(line["id"].rpartition("-")[2] for line in lines)
    assert len(seen) >= 45
    assert set(seen) <= set(names)
    assert set(names.values()) == {1}
    assert [line["exchange"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["text"]["prompt"][0]["content"].startswith("Once and only")
