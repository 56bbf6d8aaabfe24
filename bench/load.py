"""A closed-loop load generator: HTTP/1.1 keep-alive over loopback, in a process of its own.

Every connection sends a request, waits for the whole answer and sends the next one. Requests are bytes
prepared beforehand and answers are read only as far as their status and length, so that the generator
costs a fraction of what the servers it measures cost. An answer outside 2xx fails the run.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import cast

import uvloop

HOST = "127.0.0.1"
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class LoadFailed(RuntimeError):
    """Some answer was not 2xx, could not be read, or never came."""


@dataclass(frozen=True, slots=True)
class Job:
    """Send `requests` in turn over `connections` for `seconds`, or until `count` were sent.

    With `kinds` above 1, request i is of kind i % kinds and latencies are told apart by kind, so that two
    kinds can be compared under exactly the same conditions.
    """

    port: int
    requests: Sequence[bytes]
    connections: int = 48
    seconds: float = 2.0
    count: float = math.inf
    kinds: int = 1

    def __post_init__(self) -> None:
        if not self.requests or len(self.requests) % self.kinds:
            raise ValueError("the requests must be a whole number of rounds of every kind")


@dataclass(frozen=True, slots=True)
class Result:
    """What a job saw: answers, the seconds they took, and sorted latencies (ms) by kind."""

    answers: int
    seconds: float
    latencies: Sequence[Sequence[float]]

    @property
    def rps(self) -> float:
        """Answers a second over the whole run."""
        return self.answers / self.seconds

    def percentile(self, share: float, kind: int = 0) -> float:
        """The latency in ms that `share` (0 to 1) of the answers of a kind stayed within."""
        values = self.latencies[kind]
        return values[min(int(share * len(values)), len(values) - 1)]


def request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """One whole HTTP/1.1 request, with the headers an SDK needs and no more."""
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {key}"]
    head.append("OpenAI-Beta: assistants=v2")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + HEAD_END + body


def run(job: Job) -> Result:
    """Carry the job out in this process. Raises LoadFailed."""
    return uvloop.run(_run(job))


def generator() -> ProcessPoolExecutor:
    """One lasting process to submit `run` to, so that its start is part of no measurement."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


@dataclass(slots=True)
class _Run:
    """The state that the connections of one job share."""

    job: Job
    done: asyncio.Event = field(default_factory=asyncio.Event)
    turns: itertools.count[int] = field(default_factory=itertools.count)
    deadline: float = 0.0
    open: int = 0
    refused: int = 0
    first_refusal: bytes = b""
    lost: list[str] = field(default_factory=list)
    latencies: list[list[float]] = field(default_factory=list)

    def next(self, now: float) -> tuple[int, bytes] | None:
        """The kind and the bytes of the next request, or None when the job is over."""
        if now >= self.deadline or self.lost:
            return None
        turn = next(self.turns)
        if turn >= self.job.count:
            return None
        return turn % self.job.kinds, self.job.requests[turn % len(self.job.requests)]

    def finished(self) -> None:
        """A connection has nothing left to do."""
        self.open -= 1
        if not self.open:
            self.done.set()


class _Connection(asyncio.Protocol):
    """One closed loop: write, read one answer, note the time, write again."""

    def __init__(self, shared: _Run) -> None:
        self.shared = shared
        self.waiting = False
        self.kind = 0
        self.sent = 0.0
        self.partial = b""
        self.write: Callable[[bytes], None] = lambda data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports do not inherit from the classes that asyncio declares.
        self.write = cast(asyncio.WriteTransport, transport).write

    def start(self) -> None:
        """Send the next request, or retire."""
        now = time.perf_counter()
        following = self.shared.next(now)
        self.waiting = following is not None
        if following is None:
            self.shared.finished()
            return
        self.kind, data = following
        self.sent = now
        self.write(data)

    def data_received(self, data: bytes) -> None:
        if self.partial:
            data = self.partial + data
        head_end = data.find(HEAD_END)
        if head_end < 0 or len(data) < head_end + len(HEAD_END) + _body_length(data, head_end):
            self.partial = data
            return
        self.partial = b""
        self.shared.latencies[self.kind].append(time.perf_counter() - self.sent)
        if data[9:10] != b"2":
            self.shared.refused += 1
            self.shared.first_refusal = self.shared.first_refusal or data
        self.start()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting:
            self.waiting = False
            self.shared.lost.append(repr(exc))
            self.shared.finished()


def _body_length(data: bytes, head_end: int) -> int:
    """The Content-Length of an answer whose head ends at `head_end`."""
    start = data.find(LENGTH, 0, head_end)
    if start < 0:
        start = data[:head_end].lower().find(LENGTH)
    if start < 0:
        raise LoadFailed(f"an answer without a length: {data[:300]!r}")
    return int(data[start + len(LENGTH) : data.find(b"\r", start)])


async def _run(job: Job) -> Result:
    shared = _Run(job, open=job.connections, latencies=[[] for _ in range(job.kinds)])
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(shared), HOST, job.port)
        for _ in range(job.connections)
    ]
    started = time.perf_counter()
    shared.deadline = started + job.seconds
    for _, connection in made:
        connection.start()
    try:
        await asyncio.wait_for(shared.done.wait(), job.seconds + 30)
    except TimeoutError:
        shared.lost.append("an answer did not come within 30 s of the end")
    elapsed = time.perf_counter() - started
    for transport, _ in made:
        transport.abort()
    return _result(shared, elapsed)


def _result(shared: _Run, elapsed: float) -> Result:
    answers = sum(map(len, shared.latencies))
    if shared.refused:
        text = shared.first_refusal.decode("utf-8", "replace")
        raise LoadFailed(f"{shared.refused} of {answers} answers were not 2xx; the first was:\n{text}")
    if shared.lost:
        raise LoadFailed(f"{len(shared.lost)} requests were not answered: {shared.lost[0]}")
    if not all(shared.latencies):
        raise LoadFailed("no answer at all in the time given")
    return Result(answers, elapsed, [sorted(1000 * value for value in kind) for kind in shared.latencies])
