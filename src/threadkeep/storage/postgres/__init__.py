"""PostgreSQL: any number of equal processes on one database.

asyncpg, with statements prepared once a connection. Works run in transactions of their own; message
creates that arrive together become one statement (`Together`). What a lost connection leaves open
is asked of the server before anything is said: a commit is never guessed.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import asyncpg

from threadkeep.errors import Unavailable
from threadkeep.storage.database import Params, Row, Together, Transaction, Work
from threadkeep.storage.postgres.coalescer import Coalescer
from threadkeep.storage.postgres.connection import (
    TROUBLE,
    Backend,
    Connection,
    Pool,
    PostgresOptions,
    is_lost,
    unavailable,
)
from threadkeep.storage.postgres.listener import Listener

T = TypeVar("T")
log = logging.getLogger(__name__)

__all__ = ["PostgresDatabase", "PostgresOptions"]

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
ATTEMPTS = 5
OUR_LOCK = 0x7468726561646B  # "threadk"
SECONDS_TO_RECOVER = 10.0
SECONDS_BETWEEN_ATTEMPTS = 0.2


class PostgresTransaction:
    """Statements on one connection."""

    engine = "postgres"

    def __init__(self, connection: Connection) -> None:
        self._all = connection.all
        self._raw = connection.raw

    async def all(self, sql: str, params: Params) -> list[Row]:
        return await self._all(sql, params)

    async def one(self, sql: str, params: Params) -> Row | None:
        rows = await self._all(sql, params)
        return rows[0] if rows else None

    async def run(self, sql: str, params: Params) -> None:
        await self._all(sql, params)

    async def alone(self) -> None:
        await self._raw.execute(f"SELECT pg_advisory_xact_lock({OUR_LOCK})")

    async def wake(self, channel: str) -> None:
        await self._all("SELECT pg_notify(:channel, '')", {"channel": channel})

    async def define(self, sql: str) -> None:
        # Ids and cursors are compared byte by byte, as they were made.
        await self._raw.execute(re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', sql))


class Reading:
    """`async with` around statements that each see the latest commit."""

    def __init__(self, pool: Pool) -> None:
        self._borrowed = pool.connection()

    async def __aenter__(self) -> Transaction:
        return PostgresTransaction(await self._borrowed.__aenter__())

    async def __aexit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        await self._borrowed.__aexit__(kind, problem, trace)
        if isinstance(problem, TROUBLE):
            raise Unavailable(str(problem) or type(problem).__name__) from problem


class PostgresDatabase:
    """The `Database` on a PostgreSQL server."""

    def __init__(self, options: PostgresOptions) -> None:
        self._pool = Pool(options)
        self._coalescers: dict[str, Coalescer] = {}
        self._listener = Listener(options)
        self._prepared = options.prepared

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return Reading(self._pool)

    async def scan(self, work: Work[T]) -> T:
        async with self.read() as transaction:
            return await work(transaction)

    async def write(self, work: Work[T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return await self._write_once(work)
            except CONFLICTS as problem:
                log.info("event=write_conflict attempt=%d problem=%r", attempt + 1, problem)
        raise Unavailable("the write met others too often")

    async def _write_once(self, work: Work[T]) -> T:
        """`work` in a transaction. Whether a commit that was not answered took place is looked up."""
        backend: Backend | None = None
        transaction_id: str | None = None
        try:
            async with self._pool.connection() as connection:
                raw = connection.raw
                await connection.begin()
                result = await work(PostgresTransaction(connection))
                transaction_id = await raw.fetchval(TRANSACTION_ID)
                backend = await connection.behind(transaction_id) if transaction_id else None
                await raw.execute("COMMIT")
                return result
        except TROUBLE as problem:
            if backend and is_lost(problem):
                asked: Params = {"transaction_id": transaction_id, "life": backend.life}
                if await recovered(self._pool, backend, IS_COMMITTED, asked):
                    return result
            raise unavailable(problem) from problem

    async def together(self, together: Together, row: tuple[str, ...], alone: Work[None]) -> None:
        coalescer = self._coalescers.get(together.many)
        if coalescer is None:
            coalescer = self._coalescers[together.many] = Coalescer(together, self._write_many)
        if not await coalescer.add(row):
            await self.write(alone)

    async def _write_many(self, together: Together, rows: list[tuple[str, ...]]) -> set[str]:
        """The keys of the rows that were written."""
        if not self._prepared:
            return await self.write(partial(keys_of, together, rows))
        columns = columns_of(together, rows)
        for _ in range(ATTEMPTS):
            backend = None
            try:
                async with self._pool.connection() as connection:
                    backend = connection.backend
                    return {row[0] for row in await connection.all(together.many, columns)}
            except CONFLICTS as problem:
                log.info("event=write_conflict rows=%d problem=%r", len(rows), problem)
            except TROUBLE as problem:
                if backend and is_lost(problem):
                    found = await recovered(self._pool, backend, together.which, columns)
                    if found:
                        return {row[0] for row in found}
                raise unavailable(problem) from problem
            except (asyncpg.PostgresError, ValueError) as problem:
                log.warning("event=write_refused rows=%d problem=%r", len(rows), problem)
                return set()  # one of them is at fault: by itself each meets what is its own
        raise Unavailable("the write met others too often")

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        self._listener.add(channel, callback)

    async def close(self) -> None:
        await self._listener.stop()
        for coalescer in self._coalescers.values():
            await coalescer.drain()
        await self._pool.close()


TRANSACTION_ID = "SELECT pg_current_xact_id_if_assigned()::text"
# A crash takes back the numbers of transactions that had not reached the disk, and gives them out again:
# after one, a number says nothing about what it once stood for, and asking for it may be an error.
IS_COMMITTED = """
    SELECT 1 FROM pg_stat_bgwriter
    WHERE CASE WHEN CAST(EXTRACT(EPOCH FROM stats_reset) AS TEXT) = :life
    THEN pg_xact_status(CAST(CAST(:transaction_id AS TEXT) AS xid8)) = 'committed' ELSE FALSE END
"""
END_BACKEND = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE pid = $1 AND backend_start = $2
    AND ($3::text IS NULL OR backend_xid = $3::text::xid8::xid)
"""


def columns_of(together: Together, rows: list[tuple[str, ...]]) -> Params:
    """Rows as one array a column."""
    return {name: [row[place] for row in rows] for place, name in enumerate(together.columns)}


async def keys_of(together: Together, rows: list[tuple[str, ...]], transaction: Transaction) -> set[str]:
    """The keys of the rows that this transaction could write."""
    return {row[0] for row in await transaction.all(together.many, columns_of(together, rows))}


async def recovered(pool: Pool, lost: Backend, question: str, params: Params) -> list[Row]:
    """The answer to `question` once nothing sent over a lost connection can take effect any more.

    Raises `Unavailable` when the server does not come back in time: then nobody knows.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + SECONDS_TO_RECOVER
    while clock() < deadline:
        try:
            async with pool.connection() as connection:
                await connection.all_numbered(END_BACKEND, [lost.pid, lost.start, lost.transaction])
                return await connection.all(question, params)
        except (*TROUBLE, Unavailable) as problem:
            log.info("event=recovering problem=%r", problem)
            await asyncio.sleep(SECONDS_BETWEEN_ATTEMPTS)
    raise Unavailable("the connection was lost in a commit, whose outcome is not known")
