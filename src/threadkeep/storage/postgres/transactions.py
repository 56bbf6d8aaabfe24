"""Statements of one transaction, or one after the other, on a connection to PostgreSQL."""

import asyncio
import logging
import re
from functools import partial
from typing import Any

import asyncpg

from threadkeep.errors import Unavailable
from threadkeep.storage.chunks import ChunkIndex
from threadkeep.storage.database import Params, Row, Transaction
from threadkeep.storage.health import BUSY
from threadkeep.storage.postgres.chunks import PostgresChunks
from threadkeep.storage.postgres.connection import TROUBLE, Connection, Pool, unavailable

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
ATTEMPTS = 5
WITHOUT_END = 1e8
"""Seconds, some years: asyncpg knows no other way to say it for all that is sent."""
OUR_LOCK = 0x7468726561646B  # "threadk"
log = logging.getLogger(__name__)


class PostgresTransaction:
    """Statements on one connection."""

    engine = "postgres"

    def __init__(self, connection: Connection, until: float | None = None) -> None:
        """`until` is the time on the loop's clock until which locks are waited for; None for a moment."""
        self._all = connection.all if until is None else partial(connection.all_by, until)
        self._raw = connection.raw
        self._lock_timeout = connection.lock_timeout
        self.is_unhurried = False
        self._timeout: float | None = None
        """Seconds that the connection gives what is defined; None for as many as to all else."""
        self.chunks: ChunkIndex = PostgresChunks(self)

    async def all(self, sql: str, params: Params) -> list[Row]:
        return await self._all(sql, params)

    async def one(self, sql: str, params: Params) -> Row | None:
        rows = await self.all(sql, params)
        return rows[0] if rows else None

    async def run(self, sql: str, params: Params) -> None:
        await self._all(sql, params)

    async def alone(self) -> None:
        await self._all(f"SELECT pg_advisory_xact_lock({OUR_LOCK})", {})

    async def unhurried(self) -> None:
        self._timeout, self.is_unhurried = WITHOUT_END, True
        await self._raw.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        if not await self._raw.fetchval(f"SELECT pg_try_advisory_xact_lock({OUR_LOCK})"):
            log.info("event=migration_awaited")
            await self._raw.execute(f"SELECT pg_advisory_xact_lock({OUR_LOCK})", timeout=WITHOUT_END)
        await self._raw.execute(f"SET LOCAL lock_timeout = {self._lock_timeout}")

    async def wake(self, channel: str) -> None:
        await self._all("SELECT pg_notify(:channel, '')", {"channel": channel})

    async def has_table(self, name: str) -> bool:
        rows = await self._all("SELECT to_regclass(CAST(:name AS TEXT)) IS NOT NULL", {"name": name})
        return bool(rows[0][0])

    async def define(self, sql: str) -> None:
        # Ids and cursors are compared byte by byte, as they were made.
        await self._raw.execute(re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', sql), timeout=self._timeout)


class PostgresReading(PostgresTransaction):
    """Statements that each see the latest commit, and are tried again where they met others: on a standby
    a read gives way to what is repeated there, and anywhere to whoever has a table for itself."""

    def __init__(self, connection: Connection, pool: Pool) -> None:
        super().__init__(connection)
        self._connection, self._pool = connection, pool

    async def all(self, sql: str, params: Params) -> list[Row]:
        read = self._all
        for attempt in range(ATTEMPTS):
            try:
                return await read(sql, params)
            except asyncpg.LockNotAvailableError:
                if read is not self._all:
                    raise
                read = self._patiently
            except CONFLICTS as problem:
                log.info("event=read_conflict attempt=%d problem=%r", attempt + 1, problem)
            if self._raw.is_in_transaction():  # where the statement has one of its own
                await self._raw.execute("ROLLBACK")
        raise self._pool.noted(Unavailable("the read met others too often", BUSY))

    async def _patiently(self, sql: str, params: Params) -> list[Row]:
        until = asyncio.get_running_loop().time() + self._lock_timeout / 1000
        await self._connection.begin()
        rows = await self._connection.all_by(until, sql, params)
        await self._raw.execute("COMMIT")
        return rows


class Reading:
    """`async with` around statements that each see the latest commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._borrowed = pool, pool.connection()

    async def __aenter__(self) -> Transaction:
        return PostgresReading(await self._borrowed.__aenter__(), self._pool)

    async def __aexit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        await self._borrowed.__aexit__(kind, problem, trace)
        if isinstance(problem, TROUBLE):
            raise self._pool.noted(unavailable(problem)) from problem
