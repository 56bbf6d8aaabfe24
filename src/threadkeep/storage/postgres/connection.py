"""Connections to PostgreSQL: asyncpg, each with the statements that it has prepared, and a pool of them."""

import asyncio
import itertools
import re
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import asyncpg
from msgspec import Struct

from threadkeep.errors import Unavailable
from threadkeep.storage.database import Params, Row
from threadkeep.storage.health import BUSY, FULL, READ_ONLY, REFUSED, UNREACHABLE, Causes, said
from threadkeep.storage.postgres.commits import PREPARE, Commit
from threadkeep.storage.postgres.hosts import reached

TROUBLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InternalClientError,
    # A disk that fails: what the server cannot read of its files, may not, or finds damaged.
    asyncpg.PostgresSystemError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
    OSError,
    TimeoutError,
)
"""What keeps a healthy statement from being carried out; it may be tried again later."""
LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    OSError,
)
"""Of these, the ones after which nobody knows whether a commit took place..."""
CERTAIN = (asyncpg.QueryCanceledError, ValueError)
"""...but for these: a statement that took too long, and a value that was never sent."""
SPOILS = (
    TimeoutError,
    asyncio.CancelledError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""After these a connection is not used again: its server is silent, still at work, about to end it, or only a
copy now."""
REASONS = (
    ((asyncpg.ReadOnlySQLTransactionError,), READ_ONLY),
    ((asyncpg.DiskFullError,), FULL),
    ((asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.TooManyConnectionsError), BUSY),
    ((asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError, ValueError), REFUSED),
    (LOST, UNREACHABLE),
)
"""What each trouble is called: by the first line that fits."""
TURNED_AWAY = (asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.UndefinedObjectError)
"""What is said instead of a welcome: the database is closed to everybody, or lacks what the URL would set."""
PASSING = re.compile(
    "starting up|shutting down|accepting connections|login_retry|too many|no more connections"
)
"""What a PgBouncer says of what will pass. It gives the same code to all that it says, and passes on."""
SECONDS_FOR_A_CONNECTION = 5.0
SECONDS_OF_SILENCE = 5.0
"""How long after the time that the server itself allows a statement its connection counts as lost."""


class PostgresOptions(Struct, frozen=True):
    """How to connect. Times are milliseconds."""

    url: str
    connections: int = 10
    statement_timeout: int = 30_000
    lock_timeout: int = 10_000
    """For what waits for a lock with patience, in all..."""
    moment: int = 200
    """...and for all else: far longer than a commit takes, and shorter than what others notice."""
    prepared: bool = True
    """False behind a PgBouncer that pools by transaction: each may meet another of its connections."""

    @property
    def session(self) -> dict[str, str]:
        """What holds for all that we have the server do."""
        return {
            "statement_timeout": str(self.statement_timeout),
            "lock_timeout": str(min(self.moment, self.lock_timeout)),
            # Of a process that froze with locks: gone before those lose their patience who wait for them.
            "idle_in_transaction_session_timeout": "8000",
            "jit": "off",
            # Every statement walks an index, whatever its parameters: plan each once a connection,
            # and never by the size that a table had then.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "random_page_cost": "1.1",
            # pgvector walks its index until enough has passed the other conditions.
            "hnsw.iterative_scan": "strict_order",
            "hnsw.ef_search": "100",
        }

    @property
    def arrival(self) -> str:
        """What sets all of the above for good, and tells whose process is at the other end. These are no
        parameters of the connection's start: a PgBouncer takes none that it does not know."""
        kept = ", ".join(f"set_config('{name}', '{value}', FALSE)" for name, value in self.session.items())
        return f"SELECT pid, backend_start, {kept} FROM pg_stat_activity WHERE pid = pg_backend_pid()"

    @property
    def begin(self) -> str:
        """How a transaction is begun; with all of the above where a connection keeps nothing."""
        local = () if self.prepared else self.session.items()
        return "; ".join(["BEGIN", *(f"SET LOCAL {name} = {value}" for name, value in local)])


def is_lost(problem: BaseException) -> bool:
    """Whether a statement under way may have been carried out, or may be yet."""
    return isinstance(problem, LOST) and not isinstance(problem, CERTAIN)


def unavailable(problem: BaseException) -> Unavailable:
    """`problem` as operators are told of it."""
    for kinds, reason in REASONS:
        if isinstance(problem, kinds):
            return Unavailable(said(problem), reason)
    return Unavailable(said(problem))


def not_let_in(problem: BaseException) -> Unavailable:
    """As `unavailable`, of a connection that could not be made."""
    if isinstance(problem, asyncpg.TargetServerAttributeNotMatched):
        return Unavailable("no host is as target_session_attrs wants it", READ_ONLY)
    of_pgbouncer = isinstance(problem, asyncpg.ProtocolViolationError) and not PASSING.search(str(problem))
    if of_pgbouncer or isinstance(problem, TURNED_AWAY):
        return Unavailable(said(problem), REFUSED)
    return unavailable(problem)


def held(value: Any) -> Any:
    """A value without U+0000, the one character that no text on PostgreSQL holds: no id has it."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if not isinstance(value, list) or "\0" not in "".join([one for one in value if isinstance(one, str)]):
        return value
    return [held(one) for one in value]


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

    def __init__(self, raw: Any, options: PostgresOptions, backend: Backend | None) -> None:
        self.raw, self.backend = raw, backend
        self._prepared, self._begin = options.prepared, options.begin
        self.lock_timeout = options.lock_timeout
        self._statements: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self._numbers = itertools.count()
        """Of statements: one that failed halfway may have left its name with the server."""
        self._name, self._commits = secrets.token_hex(8), 0
        self._notes = False
        """Whether `PREPARE` was carried out."""

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result, as a tuple."""
        known = self._statements.get(sql)
        if known is None:
            text, names = numbered(sql)
            if not self._prepared:
                return await self.all_numbered(text, [held(params[name]) for name in names])
            name = f"threadkeep_{next(self._numbers)}"  # without one the server would plan it at every use
            known = self._statements[sql] = (await self.raw.prepare(text, name=name), names)
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

    async def all_by(self, until: float, sql: str, params: Params) -> list[Row]:
        """As `all`, in the open transaction: locks are waited for until this time of the loop's clock."""
        left = max(1, int(1000 * (until - asyncio.get_running_loop().time())))
        await self.raw.execute(f"SET LOCAL lock_timeout = {left}")
        return await self.all(sql, params)

    async def begin(self) -> None:
        """Open a transaction. A PgBouncer without a connection to spare keeps us waiting here."""
        try:
            await self.raw.execute(self._begin, timeout=None if self._prepared else SECONDS_FOR_A_CONNECTION)
        except TimeoutError:
            self.raw.terminate()
            raise

    async def next_commit(self) -> Commit:
        """The commit that is to end the open transaction."""
        if self._prepared and not self._notes:
            await self.raw.execute(PREPARE)
            self._notes = True
        self._commits += 1
        return Commit(self._name, self._commits)

    async def commit(self, commit: Commit) -> None:
        """End the open transaction."""
        await self.raw.execute(commit.text(self._notes))


class Pool:
    """Up to `size` connections, made when first needed, never reset between uses: nothing is left on them."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._idle: list[Connection] = []
        self._causes: Causes | None = None
        """Where causes of trouble are noted, once there was a connection: until then whoever starts tells."""
        self._places = asyncio.Semaphore(options.connections)

    def connection(self) -> "Borrowed":
        """A connection of one's own for a while. Raises `Unavailable` when none is to be had in time."""
        return Borrowed(self)

    async def free(self, connection: Connection, problem: BaseException | None) -> None:
        """Take a connection back, out of any transaction that its user left open."""
        try:
            if isinstance(problem, SPOILS):
                connection.raw.terminate()
                if isinstance(problem, asyncpg.ReadOnlySQLTransactionError):
                    self._close_idle()  # whose sessions began as this one did
            elif problem and not connection.raw.is_closed() and connection.raw.is_in_transaction():
                await self._roll_back(connection)
        finally:
            self._give_back(connection)

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.raw.execute("ROLLBACK", timeout=SECONDS_FOR_A_CONNECTION)
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
            connection = await connect(self._options)
        except BaseException as problem:
            self._places.release()
            if isinstance(problem, (*TROUBLE, asyncpg.PostgresError, ValueError)):
                raise self.noted(not_let_in(problem)) from problem
            raise
        self._causes = self._causes or Causes()
        return connection

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(SECONDS_FOR_A_CONNECTION):
                await self._places.acquire()
        except TimeoutError:
            raise self.noted(Unavailable("every database connection is in use", BUSY)) from None

    def noted(self, problem: Unavailable) -> Unavailable:
        """Leave in the log what a request is refused for."""
        if self._causes:
            self._causes.note(problem)
        return problem

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().raw.terminate()

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
        await self._pool.free(self._connection, problem)


async def connect(options: PostgresOptions) -> Connection:
    """A connection with our limits on it."""
    silence = options.statement_timeout / 1000 + SECONDS_OF_SILENCE
    name = "threadkeep" if options.prepared else None  # else it would stay on what others use too
    raw = await reached(options.url, name, SECONDS_FOR_A_CONNECTION, silence)
    try:
        require_utf8(raw)
        if not options.prepared:
            return Connection(raw, options, None)
        ((pid, start, *_),) = await raw.fetch(options.arrival, timeout=SECONDS_FOR_A_CONNECTION)
    except BaseException:
        raw.terminate()
        raise
    return Connection(raw, options, Backend(pid, start))


def require_utf8(raw: Any) -> None:
    """Another encoding lacks characters that texts have. Raises `Unavailable`."""
    encoding = getattr(raw.get_settings(), "server_encoding", "UTF8")  # what lies between may not tell
    if encoding != "UTF8":
        raise Unavailable(f"its encoding is {encoding}, and must be UTF8", REFUSED)
