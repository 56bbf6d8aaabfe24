"""Connections to PostgreSQL: asyncpg, each with the statements that it has prepared, and a pool of them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import asyncpg
from msgspec import Struct

from threadkeep.errors import Unavailable
from threadkeep.storage.database import Params, Row

TROUBLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    OSError,
    TimeoutError,
)
"""What keeps a healthy statement from being carried out; it may be tried again later."""
LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError, OSError)
"""Of these, the ones after which nobody knows whether a commit took place."""
SECONDS_FOR_A_CONNECTION = 5.0


class PostgresOptions(Struct, frozen=True):
    """How to connect. Times are milliseconds."""

    url: str
    connections: int = 10
    statement_timeout: int = 30_000
    lock_timeout: int = 10_000
    prepared: bool = True
    """False behind a PgBouncer that pools by transaction."""


def unavailable(problem: BaseException) -> Unavailable:
    return Unavailable(str(problem) or type(problem).__name__)


@lru_cache(maxsize=512)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """`:name` parameters as `$1`, and their names in that order. `::type` is left alone."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"(?<!:):([a-z_][a-z0-9_]*)", number, sql), tuple(names)


class Backend(Struct, frozen=True):
    """The server's process behind a connection: its number, and when it began, since numbers come again."""

    pid: int
    start: datetime


class Connection:
    """One connection and the statements that it has prepared."""

    def __init__(self, raw: Any, prepared: bool, backend: "Backend") -> None:
        self.raw, self._prepared, self.backend = raw, prepared, backend
        self._statements: dict[str, tuple[Any, tuple[str, ...]]] = {}

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result, as a tuple."""
        known = self._statements.get(sql)
        if known is None:
            text, names = numbered(sql)
            if not self._prepared:
                return cast("list[Row]", await self.raw.fetch(text, *[params[name] for name in names]))
            known = self._statements[sql] = (await self.raw.prepare(text), names)
        statement, names = known
        return cast("list[Row]", await statement.fetch(*[params[name] for name in names]))


class Pool:
    """Up to `size` connections, made when first needed, never reset between uses: nothing is left on them."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(options.connections)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of one's own for a while. Raises `Unavailable` when none is to be had in time."""
        connection = await self._take()
        try:
            yield connection
        except BaseException:
            if connection.raw.is_in_transaction() and not connection.raw.is_closed():
                await self._roll_back(connection)
            raise
        finally:
            self._give_back(connection)

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.raw.execute("ROLLBACK")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.raw.terminate()

    async def _take(self) -> Connection:
        try:
            async with asyncio.timeout(SECONDS_FOR_A_CONNECTION):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable("every database connection is in use") from None
        while self._idle:
            connection = self._idle.pop()
            if not connection.raw.is_closed():
                return connection
        try:
            return await connect(self._options)
        except BaseException as problem:
            self._places.release()
            if isinstance(problem, TROUBLE):
                raise unavailable(problem) from problem
            raise

    def _give_back(self, connection: Connection) -> None:
        self._places.release()
        if not connection.raw.is_closed():
            if connection.raw.is_in_transaction():
                connection.raw.terminate()
            else:
                self._idle.append(connection)

    async def close(self) -> None:
        for connection in self._idle:
            try:
                await connection.raw.close(timeout=2)
            except TROUBLE:
                connection.raw.terminate()


WHO = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


async def connect(options: PostgresOptions) -> Connection:
    """A connection with our limits on it."""
    settings = {
        "application_name": "threadkeep",
        "statement_timeout": str(options.statement_timeout),
        "lock_timeout": str(options.lock_timeout),
        "idle_in_transaction_session_timeout": "60000",
        "jit": "off",
    }
    raw = await asyncpg.connect(
        options.url,
        timeout=SECONDS_FOR_A_CONNECTION,
        server_settings=settings if options.prepared else None,
        statement_cache_size=0,
    )
    ((pid, start),) = await raw.fetch(WHO)
    return Connection(raw, options.prepared, Backend(pid, start))
