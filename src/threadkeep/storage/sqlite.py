"""SQLite: many readers that never wait, one writer with group commit.

Works are collected while a commit is under way and then written together by one thread: one
fsync for many requests, each answered after it. WAL with synchronous=FULL, so that an answered
write survives a kill, and a power cut on disks that keep their promises.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from threadkeep.errors import FAILING, ThreadkeepError, Unavailable
from threadkeep.storage.chunks import ChunkIndex
from threadkeep.storage.chunks_sqlite import SQLiteChunks
from threadkeep.storage.database import K, Params, Question, Row, Together, Transaction, Value, Work
from threadkeep.storage.health import BUSY, FULL, READ_ONLY, UNREACHABLE, Health, said
from threadkeep.storage.migrate import lacking
from threadkeep.storage.turns import Turns

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 5_000
"""How long to wait for another process, such as the `keys` command, to finish its own write."""
CACHE_KIB = 16_384
LARGEST_BATCH = 512
SECONDS_ALONE, SECONDS_BESIDE = 0.005, 0.0015
"""What the statements of a write should take that nobody waits for: no other write goes on meanwhile."""
TROUBLE = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.IOError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
)
"""What is wrong with the database or its disk, not with a statement."""
REASONS: dict[type[Exception], str] = {
    apsw.BusyError: BUSY,
    apsw.CantOpenError: UNREACHABLE,
    apsw.FullError: FULL,
    apsw.IOError: UNREACHABLE,
    apsw.ReadOnlyError: READ_ONLY,
}


def sqlite_vec() -> str:
    """The path of the extension. Its package is found but not imported: it would import NumPy wherever there
    is one, which takes longer than any other part of a start."""
    package = find_spec("sqlite_vec")
    assert package
    assert package.origin
    return str(Path(package.origin).with_name("vec0"))


SQLITE_VEC = sqlite_vec()


def unavailable(problem: Exception) -> Unavailable:
    """`problem` as operators are told of it."""
    return Unavailable(said(problem), REASONS.get(type(problem), FAILING))


def connect(path: Path, *, writable: bool) -> apsw.Connection:
    """A connection with the settings that every one of ours has. Raises `Unavailable`, and what `lacking`
    does."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=flags)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        # Plans do not depend on bound values: else a statement is planned anew at each of its uses,
        # which takes as long as a page itself.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.enable_load_extension(True)
        connection.load_extension(SQLITE_VEC)
        connection.enable_load_extension(False)
        use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if not writable:
            connection.execute("PRAGMA query_only = ON")
    except apsw.Error as problem:
        raise Unavailable(f"The database {path} cannot be opened: {problem}.") from problem
    return connection


def use_wal(connection: apsw.Connection) -> None:
    """Write-ahead logging, which the file remembers: so one that is to be refused is not turned to it.
    Connections that turn a new database to it at once refuse each other without the wait that they have for
    all else, so whoever is refused tries again."""
    latest = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                finish(lacking(SQLiteTransaction(connection)))
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > latest:
                raise
            time.sleep(0.01)


HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"


class SQLiteTransaction:
    """Statements on one connection. Its methods are coroutines that never wait."""

    engine = "sqlite"

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self.chunks: ChunkIndex = SQLiteChunks(self)
        self.woken: set[str] = set()

    async def all(self, sql: str, params: Params) -> list[Row]:
        return cast("list[Row]", self._execute(sql, params).fetchall())

    async def one(self, sql: str, params: Params) -> Row | None:
        return cast("Row | None", self._execute(sql, params).fetchone())

    async def run(self, sql: str, params: Params) -> None:
        self._execute(sql, params)

    async def has_table(self, name: str) -> bool:
        return await self.one(HAS_TABLE, {"name": name}) is not None

    async def define(self, sql: str) -> None:
        self._execute(sql)

    async def alone(self) -> None:
        """Whoever writes is alone already."""

    async def unhurried(self) -> None:
        """Nothing here is given a time."""

    async def wake(self, channel: str) -> None:
        self.woken.add(channel)


class Reading:
    """`async with` around statements that see everything committed before this turn of the loop.

    The reads of one turn share a transaction, since its locks cost as much as a small read. What a
    write answers is seen by whoever is told: it was committed before the callback that tells was
    queued, and so behind the one that ends an older transaction.
    """

    def __init__(self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self._transaction = SQLiteTransaction(connection)
        self._open = False

    async def __aenter__(self) -> Transaction:
        if not self._open:
            self._connection.execute("BEGIN")
            self._open = True
            self._loop.call_soon(self._end)
        return self._transaction

    def _end(self) -> None:
        self._open = False
        leave(self._connection, "COMMIT")

    def close(self) -> None:
        self._end()
        self._connection.close()

    async def __aexit__(self, _: object, problem: BaseException | None, __: object) -> None:
        if isinstance(problem, TROUBLE):
            raise unavailable(problem) from problem


class Item:
    """One queued work, and in the end its outcome."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        self.work, self.future = work, future
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():  # the caller has gone away
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Spoiled(Exception):
    """A work failed after it had written something: its batch must be replayed one by one."""


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing but `SQLiteTransaction`."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("a work waited for something other than its transaction")


class SQLiteDatabase:
    """The `Database` in one file. Open it on the event loop that will use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._writing = connect(path, writable=True)
        self._writer = SQLiteTransaction(self._writing)
        self._reader = Reading(connect(path, writable=False), self._loop)
        self._listeners: list[tuple[str, Callable[[], None]]] = []
        self._collected: list[Item] = []
        self._queue: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._closing = False
        self._health = Health()
        self._turns = Turns(SECONDS_ALONE, SECONDS_BESIDE)
        self._thread = threading.Thread(target=self._write_batches, name="sqlite-writer")
        self._thread.start()

    def read(self) -> Reading:
        return self._reader

    async def scan(self, work: Work[T]) -> T:
        return await asyncio.to_thread(self._scan, work)

    def _scan(self, work: Work[T]) -> T:
        connection = connect(self._path, writable=False)
        try:
            return finish(cast("Coroutine[Any, Any, T]", work(SQLiteTransaction(connection))))
        except TROUBLE as problem:
            raise unavailable(problem) from problem
        finally:
            connection.close()

    async def ask(self, question: Question, row: tuple[Value, ...], alone: Work[T]) -> T:
        async with self._reader as transaction:  # a statement costs less than to gather it with others
            return await alone(transaction)

    async def write(self, work: Work[T]) -> T:
        with self._turns:
            return await self._written(work)

    async def write_behind(self, work: Work[T]) -> T:
        return await self._turns.behind(partial(self._written, work))

    def seconds_behind(self) -> float:
        return self._turns.seconds

    async def _written(self, work: Work[T]) -> T:
        if self._closing:
            raise Unavailable("The database is being closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._collected:
            self._loop.call_soon(self._hand_over)
        self._collected.append(Item(work, future))
        return await future

    async def together(self, together: Together[K], row: K, alone: Work[None]) -> None:
        await self.write(alone)  # works share a commit anyway

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        listener = channel, callback
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def _call(self, woken: set[str]) -> None:
        for channel, callback in list(self._listeners):
            if channel in woken:
                callback()

    def _hand_over(self) -> None:
        """Give the writer all that one turn of the loop has asked for: fewer commits, each for more."""
        batch, self._collected = self._collected, []
        if batch:
            self._queue.put(batch)

    async def check(self) -> None:
        self._health.check()

    async def tidy(self, now: int) -> None:
        """SQLite keeps nothing of the kind."""

    async def close(self) -> None:
        self._closing = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writing.close()

    # ------------------------------------------------------------------ in the writer's thread

    def _write_batches(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._next_batch()
            if batch:
                self._commit(batch)
                self._loop.call_soon_threadsafe(settle, batch)
                if self._writer.woken:
                    woken, self._writer.woken = self._writer.woken, set()
                    self._loop.call_soon_threadsafe(self._call, woken)

    def _next_batch(self) -> tuple[list[Item], bool]:
        """Everything that has come in so far, at least one work; and whether it is the last batch."""
        batch: list[Item] = []
        while not batch or (len(batch) < LARGEST_BATCH and not self._queue.empty()):
            more = self._queue.get()
            if more is None:
                return batch, True
            batch += more
        return batch, False

    def _commit(self, batch: Sequence[Item]) -> None:
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            try:
                self._attempt(batch)
            except Spoiled:
                self._writing.execute("ROLLBACK")
                self._writing.execute("BEGIN IMMEDIATE")
                self._replay(batch)
            self._writing.execute("COMMIT")
        except Exception as problem:  # whatever it was: callers wait, and the thread must live on
            log.error("event=write_failed works=%d problem=%r", len(batch), problem)
            leave(self._writing, "ROLLBACK")
            for item in batch:
                item.result, item.error = None, self._health.failed(unavailable(problem))
        else:
            self._health.wrote()

    def _attempt(self, batch: Sequence[Item]) -> None:
        for item in batch:
            before = self._writing.total_changes()
            self._run(item)
            if item.error is not None and self._writing.total_changes() != before:
                raise Spoiled

    def _replay(self, batch: Sequence[Item]) -> None:
        for item in batch:
            item.result = item.error = None
            self._writing.execute("SAVEPOINT work")
            self._run(item)
            if item.error is not None:
                self._writing.execute("ROLLBACK TO work")
            self._writing.execute("RELEASE work")

    def _run(self, item: Item) -> None:
        try:
            item.result = finish(cast("Coroutine[Any, Any, Any]", item.work(self._writer)))
        except ThreadkeepError as refusal:
            item.error = refusal
        except TROUBLE:
            raise
        except Exception as fault:  # a fault of our own must not take the others' writes with it
            item.error = fault


def leave(connection: apsw.Connection, how: str) -> None:
    """End the transaction that a connection may still be in, whatever state its disk is in."""
    for statement in (how, "ROLLBACK"):
        try:
            if connection.in_transaction:  # an error may have ended it
                connection.execute(statement)
        except apsw.Error as problem:
            log.error("event=leave_failed statement=%s problem=%r", statement, problem)


def settle(batch: Sequence[Item]) -> None:
    """Tell every caller, on the event loop."""
    for item in batch:
        item.settle()
