"""Connections to PostgreSQL: asyncpg, each with the statements that it has prepared, and a pool of them."""

import asyncio
import re
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
"""Of these, the ones after which nobody knows whether a commit took place..."""
CERTAIN = (asyncpg.QueryCanceledError, ValueError)
"""...but for these: a statement that took too long, and a value that was never sent."""
SECONDS_FOR_A_CONNECTION = 5.0


class PostgresOptions(Struct, frozen=True):
    """How to connect. Times are milliseconds."""

    url: str
    connections: int = 10
    statement_timeout: int = 30_000
    lock_timeout: int = 10_000
    prepared: bool = True
    """False behind a PgBouncer that pools by transaction: each may meet another of its connections."""

    @property
    def session(self) -> dict[str, str]:
        """What holds for all that we have the server do."""
        return {
            "statement_timeout": str(self.statement_timeout),
            "lock_timeout": str(self.lock_timeout),
            "idle_in_transaction_session_timeout": "60000",
            "jit": "off",
            # Every statement walks an index, whatever its parameters: plan each once a connection,
            # and never by the size that a table had then.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "random_page_cost": "1.1",
        }

    @property
    def begin(self) -> str:
        """How a transaction is begun; with all of the above where a connection keeps nothing."""
        local = () if self.prepared else self.session.items()
        return "; ".join(["BEGIN", *(f"SET LOCAL {name} = {value}" for name, value in local)])


def is_lost(problem: BaseException) -> bool:
    """Whether a statement under way may have been carried out, or may be yet."""
    return isinstance(problem, LOST) and not isinstance(problem, CERTAIN)


def unavailable(problem: BaseException) -> Unavailable:
    return Unavailable(str(problem) or type(problem).__name__)


def held(value: Any) -> Any:
    """A value without U+0000, the one character that no text on PostgreSQL holds: no id has it."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return [held(one) for one in value] if isinstance(value, list) else value


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
    life: str | None
    """Of the whole server: when its statistics began, which every crash makes it begin anew."""
    transaction: str | None = None
    """Given where the process is ours for this transaction only."""


class Connection:
    """One connection and the statements that it has prepared."""

    def __init__(self, raw: Any, options: PostgresOptions, backend: Backend | None) -> None:
        self.raw, self.backend = raw, backend
        self._prepared, self._begin = options.prepared, options.begin
        self._statements: dict[str, tuple[Any, tuple[str, ...]]] = {}

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result, as a tuple."""
        known = self._statements.get(sql)
        if known is None:
            text, names = numbered(sql)
            if not self._prepared:
                return await self.all_numbered(text, [held(params[name]) for name in names])
            known = self._statements[sql] = (await self.raw.prepare(text), names)
        statement, names = known
        return cast("list[Row]", await statement.fetch(*[held(params[name]) for name in names]))

    async def all_numbered(self, text: str, values: list[Any]) -> list[Row]:
        """As `all`, for `$1` and so on. Even so a statement takes two exchanges, kept in one transaction."""
        alone = not self.raw.is_in_transaction()
        if alone:
            await self.begin()
        rows = cast("list[Row]", await self.raw.fetch(text, *values))
        if alone:
            await self.raw.execute("COMMIT")
        return rows

    async def begin(self) -> None:
        """Open a transaction. A PgBouncer without a connection to spare keeps us waiting here."""
        try:
            await self.raw.execute(self._begin, timeout=None if self._prepared else SECONDS_FOR_A_CONNECTION)
        except TimeoutError:
            self.raw.terminate()
            raise

    async def behind(self, transaction: str) -> Backend:
        """The process that carries out this transaction, which is open."""
        if self.backend:
            return self.backend
        ((pid, start, life),) = await self.raw.fetch(WHO)
        return Backend(pid, start, life, transaction)


class Pool:
    """Up to `size` connections, made when first needed, never reset between uses: nothing is left on them."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(options.connections)

    def connection(self) -> "Borrowed":
        """A connection of one's own for a while. Raises `Unavailable` when none is to be had in time."""
        return Borrowed(self)

    async def free(self, connection: Connection, failed: bool) -> None:
        """Take a connection back, out of any transaction that its user left open."""
        try:
            if failed and not connection.raw.is_closed() and connection.raw.is_in_transaction():
                await self._roll_back(connection)
        finally:
            self._give_back(connection)

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.raw.execute("ROLLBACK")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.raw.terminate()

    async def take(self) -> Connection:
        """A connection that nobody else uses; `free` gives it back."""
        if self._places.locked():
            await self._wait()
        else:  # no need for a timer
            await self._places.acquire()
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

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(SECONDS_FOR_A_CONNECTION):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable("every database connection is in use") from None

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


class Borrowed:
    """`async with` around one use of a pool's connection."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        await self._pool.free(self._connection, failed=problem is not None)


WHO = """
    SELECT pid, backend_start, CAST(EXTRACT(EPOCH FROM stats_reset) AS TEXT)
    FROM pg_stat_activity, pg_stat_bgwriter WHERE pid = pg_backend_pid()
"""


async def connect(options: PostgresOptions) -> Connection:
    """A connection with our limits on it."""
    settings = {"application_name": "threadkeep", **options.session}
    raw = await asyncpg.connect(
        options.url,
        timeout=SECONDS_FOR_A_CONNECTION,
        server_settings=settings if options.prepared else None,
        statement_cache_size=0,
    )
    if not options.prepared:
        return Connection(raw, options, None)
    try:
        ((pid, start, life),) = await raw.fetch(WHO)
    except BaseException:  # also where whoever wants it is cancelled meanwhile
        raw.terminate()
        raise
    return Connection(raw, options, Backend(pid, start, life))
