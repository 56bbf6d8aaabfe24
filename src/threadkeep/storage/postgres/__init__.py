"""PostgreSQL: any number of equal processes on one database.

asyncpg, with statements prepared once a connection. Works run in transactions of their own; message
creates that arrive together become one statement (`Together`). What a lost connection leaves open
is asked of the server before anything is said: a commit is never guessed.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import asyncpg

from threadkeep.errors import Unavailable
from threadkeep.storage.chunks import ChunkIndex
from threadkeep.storage.database import K, Params, Question, Row, Together, Transaction, Value, Work
from threadkeep.storage.health import BUSY, READ_ONLY, Health
from threadkeep.storage.postgres import commits
from threadkeep.storage.postgres.chunks import PostgresChunks
from threadkeep.storage.postgres.coalescer import Coalescer, Size
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
from threadkeep.storage.turns import Turns

T = TypeVar("T")
log = logging.getLogger(__name__)

__all__ = ["PostgresDatabase", "PostgresOptions"]

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
ATTEMPTS = 5
ROWS = Size(largest=256, worth=32, in_flight=4)
QUESTIONS = Size(largest=32, worth=8, in_flight=4)
"""Reads may wait for the disk, and then side by side."""
WITHOUT_END = 1e8
"""Seconds, some years: asyncpg knows no other way to say it for all that is sent."""
OUR_LOCK = 0x7468726561646B  # "threadk"
SECONDS_TO_RECOVER = 10.0
SECONDS_BETWEEN_ATTEMPTS = 0.2
SECONDS_ALONE, SECONDS_BESIDE = 0.02, 0.002
"""What the statements of a write should take that nobody waits for."""
SECONDS_FOR_A_SCAN = 30.0
"""How long one waits for others to end."""


class PostgresTransaction:
    """Statements on one connection."""

    engine = "postgres"

    def __init__(self, connection: Connection) -> None:
        self._all = connection.all
        self._raw = connection.raw
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
        await self._raw.execute(f"SELECT pg_advisory_xact_lock({OUR_LOCK})")

    async def unhurried(self) -> None:
        self._timeout = WITHOUT_END
        bound = await self._raw.fetchval("SHOW lock_timeout")
        await self._raw.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        if not await self._raw.fetchval(f"SELECT pg_try_advisory_xact_lock({OUR_LOCK})"):
            log.info("event=migration_awaited")
            await self._raw.execute(f"SELECT pg_advisory_xact_lock({OUR_LOCK})", timeout=WITHOUT_END)
        await self._raw.execute(f"SET LOCAL lock_timeout = '{bound}'")

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
    a read gives way to what is repeated there."""

    def __init__(self, connection: Connection, pool: Pool) -> None:
        super().__init__(connection)
        self._pool = pool

    async def all(self, sql: str, params: Params) -> list[Row]:
        for attempt in range(ATTEMPTS):
            try:
                return await self._all(sql, params)
            except CONFLICTS as problem:
                log.info("event=read_conflict attempt=%d problem=%r", attempt + 1, problem)
                if self._raw.is_in_transaction():  # where each statement has one of its own
                    await self._raw.execute("ROLLBACK")
        raise self._pool.noted(Unavailable("the read met others too often", BUSY))


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


class PostgresDatabase:
    """The `Database` on a PostgreSQL server."""

    def __init__(self, options: PostgresOptions) -> None:
        self._pool = Pool(options)
        self._coalescers: dict[str, Coalescer[Any, Any]] = {}
        self._scans = asyncio.Semaphore(max(1, options.connections // 2))
        """The other half of the connections stays free of what may take seconds, such as a search."""
        self._listener = Listener(options)
        self._prepared = options.prepared
        self._health = Health()
        self._turns = Turns(SECONDS_ALONE, SECONDS_BESIDE)

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return Reading(self._pool)

    async def ask(self, question: Question, row: tuple[Value, ...], alone: Work[T]) -> T:
        coalescer = self._coalescers.get(question.many)
        if coalescer is None:
            send = partial(self._answer_each, question)
            coalescer = self._coalescers[question.many] = Coalescer(send, QUESTIONS)
        answer: T | None = await coalescer.add((row, alone))
        return await self._read(alone) if answer is None else answer

    async def _answer_each(
        self, question: Question, asked: list[tuple[tuple[Value, ...], Work[T]]]
    ) -> list[T | None]:
        """The answers that are to be had from one statement; for the rest None."""
        if len(asked) == 1:  # alone a plainer statement costs less
            return [await self._read(asked[0][1])]
        columns = columns_of(question.columns, [row for row, _ in asked])
        try:
            async with self.read() as transaction:
                return [row[0] for row in await transaction.all(question.many, columns)]
        except (asyncpg.PostgresError, ValueError) as problem:
            log.warning("event=read_refused rows=%d problem=%r", len(asked), problem)
            return [None] * len(asked)  # one of them is at fault: by itself each meets what is its own

    async def scan(self, work: Work[T]) -> T:
        try:
            async with asyncio.timeout(SECONDS_FOR_A_SCAN):
                await self._scans.acquire()
        except TimeoutError:
            raise self._pool.noted(Unavailable("too many large reads are under way", BUSY)) from None
        try:
            return await self._read(work)
        finally:
            self._scans.release()

    async def _read(self, work: Work[T]) -> T:
        async with self.read() as transaction:
            return await work(transaction)

    async def write(self, work: Work[T]) -> T:
        with self._turns:
            return await self._written(work)

    async def write_behind(self, work: Work[T]) -> T:
        return await self._turns.behind(partial(self._written, work))

    def seconds_behind(self) -> float:
        return self._turns.seconds

    async def _written(self, work: Work[T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return await self._write_once(work)
            except CONFLICTS as problem:
                log.info("event=write_conflict attempt=%d problem=%r", attempt + 1, problem)
        raise self._pool.noted(Unavailable("the write met others too often", BUSY))

    async def _write_once(self, work: Work[T]) -> T:
        """`work` in a transaction. Whether a commit that was not answered took place is looked up."""
        commit: commits.Commit | None = None
        try:
            async with self._pool.connection() as connection:
                await connection.begin()
                result = await work(PostgresTransaction(connection))
                commit = await connection.next_commit()
                await connection.commit(commit)
            self._health.wrote()
            return result
        except TROUBLE as problem:
            if commit and is_lost(problem):
                asked: Params = {"connection": commit.connection}
                found = await recovered(self._pool, connection.backend, commits.CLOSE, asked)
                if found[0][0] == commit.number:
                    return result
            raise self._failed(problem) from problem

    def _failed(self, problem: BaseException) -> Unavailable:
        """What a write is refused for, remembered and noted."""
        return self._pool.noted(self._health.failed(unavailable(problem)))

    async def together(self, together: Together[K], row: K, alone: Work[None]) -> None:
        coalescer = self._coalescers.get(together.many)
        if coalescer is None:
            send = partial(self._write_each, together)
            coalescer = self._coalescers[together.many] = Coalescer(send, ROWS)
        with self._turns:
            if not await coalescer.add(row):
                await self._written(alone)

    async def _write_each(self, together: Together[K], rows: list[K]) -> list[bool]:
        """Which of the rows were written."""
        try:
            written = await self._write_many(together, rows)
        except (asyncpg.PostgresError, ValueError) as problem:
            log.warning("event=write_refused rows=%d problem=%r", len(rows), problem)
            written = set()  # one of them is at fault: by itself each meets what is its own
        return [row.id in written for row in rows]

    async def _write_many(self, together: Together[K], rows: list[K]) -> set[str]:
        """The ids of the rows that were written."""
        if not self._prepared:
            return await self.write(partial(ids_of, together, rows))
        arrays = together.arrays(rows)
        for _ in range(ATTEMPTS):
            backend = None
            try:
                async with self._pool.connection() as connection:
                    backend = connection.backend
                    written = {row[0] for row in await connection.all(together.many, arrays)}
                self._health.wrote()
                return written
            except CONFLICTS as problem:
                log.info("event=write_conflict rows=%d problem=%r", len(rows), problem)
            except TROUBLE as problem:
                if backend and is_lost(problem):
                    found = await recovered(self._pool, backend, together.which, arrays)
                    if found:
                        return {row[0] for row in found}
                raise self._failed(problem) from problem
        raise self._pool.noted(Unavailable("the write met others too often", BUSY))

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._listener.add(channel, callback)

    async def check(self) -> None:
        self._health.check()
        async with self.read() as transaction:
            if await transaction.one("SHOW transaction_read_only", {}) == ("on",):
                raise Unavailable("the database takes no writes", READ_ONLY)

    async def tidy(self, now: int) -> None:
        await self.write(partial(commits.forget_connections, now=now))

    async def close(self) -> None:
        await self._listener.stop()
        for coalescer in self._coalescers.values():
            await coalescer.drain()
        await self._pool.close()


END_BACKEND = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
"""


def columns_of(names: tuple[str, ...], rows: Sequence[tuple[Value, ...]]) -> Params:
    """Rows as one array a column."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


async def ids_of(together: Together[K], rows: list[K], transaction: Transaction) -> set[str]:
    """The ids of the rows that this transaction could write."""
    return {row[0] for row in await transaction.all(together.many, together.arrays(rows))}


async def recovered(pool: Pool, lost: Backend | None, question: str, params: Params) -> list[Row]:
    """The answer to `question` once the process behind a lost connection is gone.

    Behind a PgBouncer it is not known: there the question itself must wait for what is under way.
    Raises `Unavailable` when the server does not come back in time: then nobody knows.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + SECONDS_TO_RECOVER
    while clock() < deadline:
        try:
            async with asyncio.timeout(deadline - clock()), pool.connection() as connection:
                if lost:
                    await connection.all_numbered(END_BACKEND, [lost.pid, lost.start])
                return await connection.all(question, params)
        except (*TROUBLE, Unavailable) as problem:
            log.info("event=recovering problem=%r", problem)
            await asyncio.sleep(SECONDS_BETWEEN_ATTEMPTS)
    raise pool.noted(Unavailable("the connection was lost in a commit, whose outcome is not known"))
