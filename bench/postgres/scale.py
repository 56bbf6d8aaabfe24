"""The same requests at a hundred thousand messages and at many: two databases on one server, in turn."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import load
from bench.postgres import data
from bench.postgres.rows import creates, lists
from bench.postgres.server import Postgres
from bench.report import Goal, Line
from bench.servers import Server
from bench.workload import LONG_THREAD

SMALL = 100_000
MESSAGES_A_THREAD = 100
THREADS_AT_ONCE = 10_000
"""So many are loaded by one COPY."""
THREADS_ASKED = 1_000
"""So many of the threads are written to and read from, in both databases: what is compared is how much lies
beside them."""
WARM_UP = 1.0
"""Seconds, in which each of the threads has its turn."""
CONNECTIONS = (1, 16)
Serve = Callable[[Postgres, Path, str], Server]
"""Threadkeep for a database, with a folder and a name."""
Prepare = Callable[[Postgres], str]
"""Makes the tables; returns the project's id."""


@dataclass(slots=True)
class Level:
    """A database of so many messages, and how long its answers took: the p50 of each round, in ms."""

    name: str
    postgres: Postgres
    threads: int
    p50: dict[tuple[str, int], list[float]]

    def asked(self) -> list[int]:
        """The threads that requests name, the same in every run."""
        return random.Random(1).sample(range(self.threads), min(self.threads, THREADS_ASKED))


def measure(
    postgres: Postgres, folder: Path, total: int, prepare: Prepare, serve: Serve, rounds: int, seconds: float
) -> tuple[list[Line], list[Goal]]:
    """Load both databases, then measure them in turn."""
    small = filled(postgres, "small", SMALL, prepare, long=0)
    large = filled(postgres, "large", total, prepare, long=LONG_THREAD)
    with ExitStack() as stack:
        generator = stack.enter_context(load.generator())
        servers = [
            (level, stack.enter_context(serve(level.postgres, folder, level.name)))
            for level in (small, large)
        ]
        for number in range(1, rounds + 1):
            print(f"scale: round {number} of {rounds} ...", flush=True)
            for what, make in (("create", creates), ("list", lists)):
                for connections in CONNECTIONS:
                    for level, server in servers:
                        requests = make(level.asked())
                        p50 = sample(generator, server, requests, connections, seconds)
                        level.p50.setdefault((what, connections), []).append(p50)
    return lines(small, large), list(goals(small, large, total))


def filled(postgres: Postgres, name: str, total: int, prepare: Prepare, long: int) -> Level:
    """A new database with so many messages in threads of a hundred, and one long thread beside them."""
    data.sql(postgres.url, f"CREATE DATABASE {name}")
    postgres = replace(postgres, url=data.url_of(postgres.url, name))
    project_id = prepare(postgres)
    threads = total // MESSAGES_A_THREAD
    started = time.monotonic()

    async def work(connection: data.Connection) -> None:
        for first in range(0, threads, THREADS_AT_ONCE):
            some = range(first, min(first + THREADS_AT_ONCE, threads))
            await data.put_threads(connection, project_id, some, MESSAGES_A_THREAD)
            await data.put_messages(connection, some, MESSAGES_A_THREAD, first * MESSAGES_A_THREAD)
        if long:
            one = range(threads, threads + 1)
            await data.put_threads(connection, project_id, one, long)
            await data.put_messages(connection, one, long, threads * MESSAGES_A_THREAD)

    data.ask(postgres.url, work)
    loaded = time.monotonic() - started
    data.sql(postgres.url, "VACUUM ANALYZE", "CHECKPOINT")
    size: int = data.value(postgres.url, "SELECT pg_total_relation_size('messages')")
    messages = threads * MESSAGES_A_THREAD + long
    print(
        f"{messages:,} messages in {threads + bool(long):,} threads were loaded in {loaded:.0f} s "
        f"({messages / loaded:,.0f} a second, every index in place); "
        f"{size / messages:.0f} bytes a message on disk with its indexes, {size / 2**30:.2f} GiB in all",
        flush=True,
    )
    return Level(name, postgres, threads, {})


def sample(
    generator: Executor, server: Server, requests: Sequence[bytes], connections: int, seconds: float
) -> float:
    """The p50 of these requests, in ms."""
    warm_up = load.Job(server.port, requests, connections, WARM_UP)
    generator.submit(load.run, warm_up).result()
    job = load.Job(server.port, requests, connections, seconds)
    return generator.submit(load.run, job).result().percentile(0.5)


def lines(small: Level, large: Level) -> list[Line]:
    """The medians, for programs."""
    return [
        {
            "name": f"{what}, {connections}",
            "small_p50_ms": round(median(values), 3),
            "large_p50_ms": round(median(large.p50[what, connections]), 3),
        }
        for (what, connections), values in small.p50.items()
    ]


def goals(small: Level, large: Level, total: int) -> Iterator[Goal]:
    """How much longer answers take: the median of the ratios within each round."""
    for (what, connections), values in small.p50.items():
        pairs = zip(large.p50[what, connections], values, strict=True)
        times = median(one / two for one, two in pairs)
        asked = f"{what}, {connections} at a time: p50 at {total:,}, of {SMALL:,}"
        yield Goal(asked, times, 1.3, False, "x")
