"""Reads many streams at once, in a process of its own, and notes how late each token comes.

Nothing is parsed but what must be: tokens are the only long numbers in a stream (see `bench.runs.upstream`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.load import HOST, LoadFailed

TOKEN = re.compile(rb"(?<=[\" ])(\d{12,19}) ")
END = b"0\r\n\r\n"
COMPLETED = b"event: thread.run.completed"
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Streams:
    """Open one stream for each of `requests`, `apart` seconds after each other; read all to their ends."""

    port: int
    requests: Sequence[bytes]
    apart: float = 0.002


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read. Delays are in ms, sorted; times in seconds."""

    tokens: int
    seconds: float
    delays: Sequence[float]
    ends: Sequence[float]
    """From the sending of the last token to the run's completion."""

    def percentile(self, share: float) -> float:
        """The delay that `share` of the tokens stayed within."""
        return percentile(self.delays, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values, the one that `share` of them stay within."""
    return values[min(int(share * len(values)), len(values) - 1)]


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(
        self, request: bytes, done: asyncio.Future[None], delays: list[float], ends: list[float]
    ) -> None:
        self._request, self._done, self._delays, self._ends = request, done, delays, ends
        self._rest = b""
        self._last = 0
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self._last and not self._rest and not data.startswith(b"HTTP/1.1 200"):
            self._fail(data)
            return
        data = self._rest + data
        place = 0
        for match in TOKEN.finditer(data):
            sent = int(match[1])
            place = match.end()
            if sent > self._last:  # the whole text comes again at the end
                self._last = sent
                self._delays.append((now - sent) / MILLION)
        if COMPLETED in data and not self._over:
            self._over = True
            self._ends.append((now - self._last) / MILLION)
        if data.endswith(END):
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
        self._rest = data[max(place, len(data) - 64) :] or b" "

    def connection_lost(self, problem: Exception | None) -> None:
        if not self._done.done():
            self._fail(b"the connection was closed")

    def _fail(self, data: bytes) -> None:
        if not self._done.done():
            self._done.set_exception(LoadFailed(data[-500:].decode("utf-8", "replace")))


async def read(job: Streams) -> Seen:
    """Carry the job out."""
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    ends: list[float] = []
    waiting = []
    started = time.monotonic()
    for request in job.requests:
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        reader = Reader(request, done, delays, ends)
        await loop.create_connection(lambda reader=reader: reader, HOST, job.port)  # type: ignore[misc]
        await asyncio.sleep(job.apart)
    await asyncio.gather(*waiting)
    return Seen(len(delays), time.monotonic() - started, sorted(delays), sorted(ends))


def run(job: Streams) -> Seen:
    """Carry the job out in this process. Raises LoadFailed."""
    return uvloop.run(read(job))
