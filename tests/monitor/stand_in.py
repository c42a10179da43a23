"""A stand-in for an OpenAI-compatible server: answers are made of the prompt, byte for byte the same each time.

    python -m tests.monitor.stand_in        # prints its URL, serves until it is killed

The model's name says how it behaves: "error-429", "cut" (breaks off), "gzip", "stall" (never ends), or any other.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WORDS = ("the", "a", "sea", "is", "wide", "and", "bread", "takes", "time", "so", "rest", "well", "walk", "my", "friend")


def words(prompt: str, choice: int = 0, count: int = 12) -> list[str]:
    seed = zlib.crc32(f"{choice} {prompt}".encode())
    return [WORDS[(seed >> (i % 24)) % len(WORDS)] + " " for i in range(count)]


@dataclass
class StandIn:
    """pause: seconds between two pieces of a stream; pieces: of an answer. seen: (request line, headers, body)."""

    pause: float = 0.0
    pieces: int = 12
    url: str = ""
    seen: list[tuple[str, list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)
    left: int = 0  # clients that went away in the middle of an answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                line, headers, body = await _request(reader)
                self.seen.append((line, headers, body))
                if not await self._answer(line, headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, headers: list[tuple[bytes, bytes]], body: bytes, writer: Any) -> bool:
        method, path, _ = line.split(" ")
        if path.startswith("/v1/models"):
            return await _plain(writer, b'{"object": "list", "data": [{"id":"only"}]}', b"X-Odd-CASE: kept\r\n")
        if "completions" not in path:
            head = b"".join(name + b": " + value + b"\n" for name, value in headers)
            return await _plain(
                writer, f"{method} {path}\n".encode() + head + b"\n" + body, b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            )
        asked = json.loads(body)
        if asked["model"].startswith("error-"):
            status = asked["model"][6:]
            error = b'{"error": {"message": "slow down",  "type": "rate_limit"}}\n'
            return await _plain(writer, error, b"Retry-After: 7\r\n", f"{status} Whatever")
        if asked.get("stream"):
            return await self._stream(asked, "chat" in path, writer)
        data = json.dumps(whole(asked, "chat" in path, self.pieces), indent=1).encode()
        if asked["model"] == "gzip":
            return await _plain(writer, gzip.compress(data, mtime=0), b"Content-Encoding: gzip\r\n")
        return await _plain(writer, data, b"x-request-id: r-1\r\n")

    async def _stream(self, asked: dict[str, Any], chat: bool, writer: Any) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        made: Iterable[bytes] = events(asked, chat, self.pieces)  # each is made when it is sent
        if asked["model"] == "cut":
            made = itertools.islice(made, self.pieces // 2)
        try:
            for event in made:
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
                await asyncio.sleep(self.pause)
            while asked["model"] == "stall":
                writer.write(b"c\r\n: waiting\r\n\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            self.left += 1
            raise
        if asked["model"] == "cut":
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def prompt_of(asked: dict[str, Any]) -> str:
    return str(asked["prompt"] if "prompt" in asked else asked["messages"][-1]["content"])


def name_of(asked: dict[str, Any]) -> str:
    """The id of the answer: tells which request it answers."""
    return f"cmpl-{zlib.crc32(prompt_of(asked).encode()):08x}-{prompt_of(asked).split()[-1]}"


def whole(asked: dict[str, Any], chat: bool, pieces: int) -> dict[str, Any]:
    choices = []
    for i in range(asked.get("n", 1)):
        text = "".join(words(prompt_of(asked), i, pieces))
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choices.append({"index": i, **said, "finish_reason": "stop"})
    usage = {"prompt_tokens": 9, "completion_tokens": pieces}
    return {"id": name_of(asked), "model": asked["model"], "choices": choices, "usage": usage}


def events(asked: dict[str, Any], chat: bool, pieces: int) -> Iterator[bytes]:
    """As servers stream: a role, words, reasons to end, usage, the end. Line ends of both kinds, a comment."""
    base = {"id": name_of(asked), "object": "chat.completion.chunk", "model": asked["model"]}
    yield b": hello\r\n\r\n"
    for i in range(pieces):
        for choice in range(asked.get("n", 1)):
            word = words(prompt_of(asked), choice, pieces)[i]
            said: dict[str, Any] = {"delta": {"content": word}} if chat else {"text": word}
            made = {**base, "sent": time.monotonic(), "choices": [{"index": choice, **said, "finish_reason": None}]}
            if "timed" not in asked:
                del made["sent"]
            yield b"data: " + json.dumps(made).encode() + b"\n\n"
    for choice in range(asked.get("n", 1)):
        end = {"index": choice, **({"delta": {}} if chat else {"text": ""}), "finish_reason": "stop"}
        yield b"data:" + json.dumps({**base, "choices": [end]}).encode() + b"\r\n\r\n"
    yield b"data: [DONE]\n\n"


async def _request(reader: asyncio.StreamReader) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    pairs = [line.partition(b":") for line in head[1:]]
    headers = [(name, value.strip()) for name, _, value in pairs]
    lowered = {name.lower(): value for name, value in headers}
    if lowered.get(b"transfer-encoding") == b"chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    else:
        body = await reader.readexactly(int(lowered.get(b"content-length", 0)))
    return head[0].decode(), headers, body


async def _plain(writer: asyncio.StreamWriter, body: bytes, more: bytes = b"", status: str = "200 OK") -> bool:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
    writer.write(head + more + b"\r\n" + body)
    await writer.drain()
    return True


async def _served(stand_in: StandIn) -> AsyncIterator[str]:
    server = await asyncio.start_server(stand_in.handle, "127.0.0.1", 0, limit=1 << 24, backlog=1024)
    async with server:
        stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield stand_in.url


@contextmanager
def standing_in(**settings: Any) -> Iterator[StandIn]:
    """In a thread."""
    stand_in, loop = StandIn(**settings), asyncio.new_event_loop()
    begun, ending = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async for _ in _served(stand_in):
            begun.set()
            await ending.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    begun.wait(10)
    try:
        yield stand_in
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


async def _main(pause: float, pieces: int) -> None:
    async for url in _served(StandIn(pause, pieces)):
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1]), int(sys.argv[2])))
