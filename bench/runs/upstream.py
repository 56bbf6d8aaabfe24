"""A model for the benchmark: streams chat completions at a fixed pace, each token the time of its sending.

The name of the model says what to do: `tokens-rate`, so `90-30` is ninety tokens at thirty a second, and
a rate of 0 means as fast as the reader takes them. A token is the nanoseconds of the system's monotonic
clock, which all processes of a machine share, so that who receives it knows how long it was on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import cast

import uvloop

from bench.load import HEAD_END, HOST

START = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ROLE = '{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}'
TOKEN = '{"index":0,"delta":{"content":"%d "},"finish_reason":null}'
STOP = '{"index":0,"delta":{},"finish_reason":"stop"}'
USAGE = '{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}'
HEAD = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m",'


def chunk(data: str) -> bytes:
    """One event as one HTTP chunk."""
    body = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(body), body)


def choice(text: str) -> bytes:
    return chunk(HEAD + f'"choices":[{text}]}}')


class Stream:
    """One answer under way."""

    def __init__(self, transport: asyncio.Transport, tokens: int, rate: float) -> None:
        self._transport, self._left, self._tokens, self._rate = transport, tokens, tokens, rate
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.time()
        self.paused = False
        transport.write(START + choice(ROLE))
        self.step()

    def step(self) -> None:
        """Send what is due."""
        if self._transport.is_closing():
            return
        if self._rate:
            self._send()
            if self._left:
                self._next += 1 / self._rate
                self._loop.call_at(self._next, self.step)
        else:
            for _ in range(16):
                if self._left and not self.paused:
                    self._send()
            if self._left and not self.paused:
                self._loop.call_soon(self.step)
        if not self._left:
            usage = USAGE % (self._tokens, self._tokens + 10)
            end = choice(STOP) + chunk(HEAD + f'"choices":[],"usage":{usage}}}')
            self._transport.write(end + chunk("[DONE]") + b"0\r\n\r\n")

    def _send(self) -> None:
        self._transport.write(choice(TOKEN % time.monotonic_ns()))
        self._left -= 1


class Upstream(asyncio.Protocol):
    """One connection, kept alive from answer to answer."""

    def __init__(self) -> None:
        self._received = b""
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        if self._stream:
            self._stream.paused = True

    def resume_writing(self) -> None:
        if self._stream and self._stream.paused:
            self._stream.paused = False
            self._stream.step()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(HEAD_END)
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(rest) < length:
            return
        self._received = rest[length:]
        if not length:  # somebody looks whether we are there
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        tokens, _, rate = json.loads(rest[:length])["model"].partition("-")
        self._stream = Stream(self._transport, int(tokens), float(rate))


async def serve(port: int) -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(Upstream, HOST, port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    """Read the port and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.runs.upstream")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
