"""The statements of a search without the server: taken down once, then sent again by a bare driver."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg

from bench.search.data import MODEL, vector_of
from threadkeep.search import base
from threadkeep.storage.database import Database, Transaction
from threadkeep.storage.postgres.connection import PostgresOptions, held, numbered
from threadkeep.storage.sqlite import connect

Statements = Sequence[tuple[str, Any]]
"""What one search asks, in order."""


class Taken:
    """A transaction that takes down what it is asked for."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.engine = transaction.engine
        self.statements: list[tuple[str, Any]] = []
        self.chunks = type(transaction.chunks)(self)  # type: ignore[call-arg] # as each transaction makes its own

    async def all(self, sql: str, params: Any) -> list[Any]:
        self.statements.append((sql, dict(params)))
        return await self._transaction.all(sql, params)

    async def one(self, sql: str, params: Any) -> Any:
        self.statements.append((sql, dict(params)))
        return await self._transaction.one(sql, params)

    async def has_table(self, name: str) -> bool:
        return await self._transaction.has_table(name)


async def statements_of(database: Database, store_id: str, question: str, near: bool) -> Statements:
    """Those of one search, by words alone or by what they mean too."""
    taken: list[Taken] = []

    async def scan(work: Callable[[Any], Any]) -> Any:
        async with database.read() as transaction:
            taken.append(Taken(transaction))
            return await work(taken[-1])

    context: Any = SimpleNamespace(
        database=SimpleNamespace(scan=scan), embedder=SimpleNamespace(model=MODEL, dimensions=None)
    )
    vectors = [vector_of(question)] if near else None
    await base.search(context, [store_id], [question], vectors, 10)
    return taken[0].statements


def times_on_sqlite(path: Path, searches: Sequence[Statements], clients: int, seconds: float) -> list[float]:
    """Milliseconds of each search, sorted; each client has a connection of its own, in a thread."""
    turns, found = itertools.count(), list[float]()

    def work() -> None:
        connection = connect(path, writable=False)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            for sql, params in searches[next(turns) % len(searches)]:
                connection.execute(sql, params).fetchall()
            found.append((time.perf_counter() - began) * 1000)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def times_on_postgres(url: str, searches: Sequence[Statements], clients: int, seconds: float) -> list[float]:
    """The same through asyncpg, with the server's settings for a connection."""
    plain = [[as_numbered(sql, params) for sql, params in statements] for statements in searches]
    turns, found = itertools.count(), list[float]()

    async def work() -> None:
        async with connected(url) as connection:
            end = time.perf_counter() + seconds
            while (began := time.perf_counter()) < end:
                for text, values in plain[next(turns) % len(plain)]:
                    await connection.fetch(text, *values)
                found.append((time.perf_counter() - began) * 1000)

    async def everybody() -> None:
        await asyncio.gather(*(work() for _ in range(clients)))

    asyncio.run(everybody())
    return sorted(found)


def as_numbered(sql: str, params: Any) -> tuple[str, list[Any]]:
    text, names = numbered(sql)
    return text, [held(params[name]) for name in names]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        url, server_settings=PostgresOptions(url, 1).session, max_cacheable_statement_size=0
    )
    try:
        yield connection
    finally:
        await connection.close()
