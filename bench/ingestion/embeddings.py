"""A model for the benchmark: answers `POST /embeddings` with vectors of 384 numbers that were made
beforehand, as fast as it can."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import ClassVar, cast

import uvloop

from bench.load import HEAD_END, HOST

DIMENSIONS = 384
KNOWN = 512
"""Different vectors."""


def vectors() -> list[bytes]:
    """Vectors as JSON, of length one as most models give them."""
    chance = random.Random(1)
    made = []
    for _ in range(KNOWN):
        numbers = [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
        length = sum(one * one for one in numbers) ** 0.5
        made.append(json.dumps([round(one / length, 8) for one in numbers]).encode())
    return made


class Model(asyncio.Protocol):
    """One connection, kept alive from answer to answer."""

    vectors: ClassVar[list[bytes]] = []
    next: ClassVar[int] = 0

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, _ = bytes(self._received[:2000]).partition(HEAD_END)
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        start = len(head) + len(HEAD_END)
        if len(self._received) < start + length:
            return
        body = bytes(self._received[start : start + length])
        self._received.clear()
        self._transport.write(answer(len(json.loads(body)["input"]) if body else 0))


def answer(texts: int) -> bytes:
    parts = []
    for index in range(texts):
        Model.next = (Model.next + 1) % KNOWN
        parts.append(b'{"object":"embedding","index":%d,"embedding":%b}' % (index, Model.vectors[Model.next]))
    body = b'{"object":"list","model":"m","data":[' + b",".join(parts) + b"]}"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def serve(port: int) -> None:
    """Serve until stopped."""
    Model.vectors = vectors()
    server = await asyncio.get_running_loop().create_server(Model, HOST, port)
    await server.serve_forever()


def main() -> None:
    """Read the port and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingestion.embeddings")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
