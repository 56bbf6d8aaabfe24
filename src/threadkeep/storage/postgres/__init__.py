"""PostgreSQL: any number of equal processes on one database.

asyncpg, with statements prepared once a connection. Works run in transactions of their own; message
creates that arrive together become one statement (`Together`). What a lost connection leaves open
is asked of the server before anything is said: a commit is never guessed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import asyncpg

from threadkeep.errors import Unavailable
from threadkeep.storage.database import (
    K,
    Keyed,
    Params,
    Question,
    Row,
    Together,
    Transaction,
    Value,
    Work,
)
from threadkeep.storage.health import BUSY, Health
from threadkeep.storage.postgres import commits
from threadkeep.storage.postgres.coalescer import Coalescer, Size
from threadkeep.storage.postgres.connection import (
    TROUBLE,
    Backend,
    Pool,
    PostgresOptions,
    is_lost,
    unavailable,
)
from threadkeep.storage.postgres.listener import Listener
from threadkeep.storage.postgres.transactions import (
    ATTEMPTS,
    CONFLICTS,
    OUR_LOCK,
    PostgresTransaction,
    Reading,
)
from threadkeep.storage.turns import Turns

T = TypeVar("T")
Written = bool | asyncio.Task[set[str]]
log = logging.getLogger(__name__)

__all__ = ["ATTEMPTS", "OUR_LOCK", "PostgresDatabase", "PostgresOptions"]

ROWS = Size(largest=256, worth=32, in_flight=4)
QUESTIONS = Size(largest=32, worth=8, in_flight=4)
"""Reads may wait for the disk, and then side by side."""
SECONDS_TO_RECOVER = 10.0
SECONDS_BETWEEN_ATTEMPTS = 0.2
SECONDS_ALONE, SECONDS_BESIDE = 0.02, 0.002
"""What the statements of a write should take that nobody waits for."""
SECONDS_FOR_A_SCAN = 30.0
"""How long one waits for others to end."""
SECONDS_OF_CARE = 1.0
"""How long batches pass over what is locked after one of them has met with a lock."""


class PostgresDatabase:
    """The `Database` on a PostgreSQL server."""

    def __init__(self, options: PostgresOptions) -> None:
        self._pool = Pool(options)
        self._coalescers: dict[str, Coalescer[Any, Any]] = {}
        self._scans = asyncio.Semaphore(max(1, options.connections // 2))
        """The other half of the connections stays free of what may take seconds, such as a search."""
        self._line = asyncio.Semaphore(max(1, options.connections // 3))
        """Of those who wait for locks. So is another part free of them, beside such reads."""
        self._seconds_in_line = (options.lock_timeout - options.moment) / 1000
        self._careful_until = 0.0
        self._waiting: set[asyncio.Task[set[str]]] = set()
        """Rows that had to leave their batch, for a lock."""
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
        """What `work` returns. A lock that others hold for longer than a moment it waits for in a line, with
        nothing in its hands until its turn comes."""
        try:
            return await self._attempted(work)
        except asyncpg.LockNotAvailableError as problem:
            log.info("event=lock_awaited problem=%r", problem)
            until = asyncio.get_running_loop().time() + self._seconds_in_line
            try:
                async with asyncio.timeout_at(until):
                    await self._line.acquire()
            except TimeoutError:
                raise self._failed(problem) from problem
        try:
            return await self._attempted(work, until)
        finally:
            self._line.release()

    async def _attempted(self, work: Work[T], until: float | None = None) -> T:
        """What `work` returns. Locks are waited for until this time of the loop's clock; where it is None
        only for a moment: then raises `asyncpg.LockNotAvailableError`."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._write_once(work, until)
            except CONFLICTS as problem:
                log.info("event=write_conflict attempt=%d problem=%r", attempt + 1, problem)
        raise self._pool.noted(Unavailable("the write met others too often", BUSY))

    async def _write_once(self, work: Work[T], until: float | None) -> T:
        """`work` in a transaction. Whether a commit that was not answered took place is looked up."""
        commit: commits.Commit | None = None
        try:
            async with self._pool.connection() as connection:
                await connection.begin()
                transaction = PostgresTransaction(connection, until)
                result = await work(transaction)
                commit = await connection.next_commit()
                await connection.commit(commit)
            self._health.wrote()
            return result
        except TROUBLE as problem:
            is_early = isinstance(problem, asyncpg.LockNotAvailableError) and until is None
            if is_early and not transaction.is_unhurried:
                raise
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
            written = await coalescer.add(row)
            if isinstance(written, asyncio.Task):
                await asyncio.wait([written])  # who gives up takes nothing from the others who wait for it
                written = row.id in written.result()
            if not written:
                await self._written(alone)

    async def _write_each(self, together: Together[K], rows: list[K]) -> list[Written]:
        """Of each row whether it was written, or in which task it will have been."""
        if time.monotonic() < self._careful_until:
            return await self._write_unlocked(together, rows)
        try:
            written = await self._write_many(together.many, together, rows)
        except asyncpg.LockNotAvailableError as problem:
            log.info("event=lock_awaited rows=%d problem=%r", len(rows), problem)
            self._careful_until = time.monotonic() + SECONDS_OF_CARE
            return await self._write_unlocked(together, rows)
        except (asyncpg.PostgresError, ValueError) as problem:
            written = refused(rows, problem)
        return [row.id in written for row in rows]

    async def _write_unlocked(self, together: Together[K], rows: list[K]) -> list[Written]:
        """As `_write_each`: what waits for nobody is written now. The rest waits by itself, those together
        that wait for the same."""
        try:
            written = await self._write_many(together.unlocked, together, rows)
        except asyncpg.LockNotAvailableError:  # of a whole table
            written = set()
        except (asyncpg.PostgresError, ValueError) as problem:
            written = refused(rows, problem)
        locked: dict[str, list[K]] = {}
        for row in rows:
            if row.id not in written:
                locked.setdefault(together.lock(row), []).append(row)
        waiting = {lock: self._waiting_for(together, left) for lock, left in locked.items()}
        return [True if row.id in written else waiting[together.lock(row)] for row in rows]

    def _waiting_for(self, together: Together[K], rows: list[K]) -> asyncio.Task[set[str]]:
        """The ids of those of the rows that could be written, when the lock was to be had."""
        task = asyncio.create_task(self._write_locked(together, rows))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    async def _write_locked(self, together: Together[K], rows: list[K]) -> set[str]:
        try:
            return await self._written(partial(ids_of, together.many, together, rows))
        except (asyncpg.PostgresError, ValueError) as problem:
            return refused(rows, problem)

    async def _write_many(self, statement: str, together: Together[K], rows: list[K]) -> set[str]:
        """The ids of the rows that were written. Raises `asyncpg.LockNotAvailableError`."""
        if not self._prepared:
            return await self._attempted(partial(ids_of, statement, together, rows))
        arrays = together.arrays(rows)
        for _ in range(ATTEMPTS):
            backend = None
            try:
                async with self._pool.connection() as connection:
                    backend = connection.backend
                    written = {row[0] for row in await connection.all(statement, arrays)}
                self._health.wrote()
                return written
            except CONFLICTS as problem:
                log.info("event=write_conflict rows=%d problem=%r", len(rows), problem)
            except asyncpg.LockNotAvailableError:
                raise
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
                raise asyncpg.ReadOnlySQLTransactionError("the database takes no writes")

    async def tidy(self, now: int) -> None:
        await self.write(partial(commits.forget_connections, now=now))

    async def close(self) -> None:
        await self._listener.stop()
        for coalescer in self._coalescers.values():
            await coalescer.drain()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        await self._pool.close()


END_BACKEND = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
"""


def columns_of(names: tuple[str, ...], rows: Sequence[tuple[Value, ...]]) -> Params:
    """Rows as one array a column."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def refused(rows: Sequence[Keyed], problem: Exception) -> set[str]:
    """None was written. One of them is at fault: by itself each meets what is its own."""
    log.warning("event=write_refused rows=%d problem=%r", len(rows), problem)
    return set()


async def ids_of(statement: str, together: Together[K], rows: list[K], transaction: Transaction) -> set[str]:
    """The ids of the rows that this transaction could write."""
    return {row[0] for row in await transaction.all(statement, together.arrays(rows))}


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
