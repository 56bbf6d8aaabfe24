"""The one interface to a database. `sqlite` is the room behind it; the domain never knows.

SQL is written once: `:name` parameters, named columns, an `ORDER BY` that ends in a unique
column, no operator that one engine lacks. Rows are tuples in the order of the named columns.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, "str | int | list[str] | None"]


class Transaction(Protocol):
    """Statements of one transaction."""

    engine: str
    """`sqlite` or `postgres`: which migrations ask, to pick what one of them alone can run."""

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result."""
        ...

    async def one(self, sql: str, params: Params) -> Row | None:
        """The first row of the result, or None."""
        ...

    async def run(self, sql: str, params: Params) -> None:
        """A statement without a result."""
        ...

    async def define(self, sql: str) -> None:
        """A statement of a migration."""
        ...

    async def alone(self) -> None:
        """Keep every other transaction that asks for the same waiting until this one ends."""
        ...

    async def wake(self, channel: str) -> None:
        """Once this transaction is committed, have whoever listens on `channel` called, in every process."""
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""What is to be written. It awaits nothing but its transaction, and may be run again from its start."""


class Together(Struct, frozen=True):
    """A kind of row of which an engine that takes arrays can write many with one statement.

    `many` takes one array for each of `columns` and returns the key of every row that it wrote; a row
    that breaks a rule is passed over. `which` takes the same and returns the keys that are there.
    """

    many: str
    which: str
    columns: tuple[str, ...]
    key: int
    """The place of the key among the columns."""


class Database(Protocol):
    """A place for rows."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Statements that see everything committed so far and never wait for a writer."""
        ...

    async def scan(self, work: Work[T]) -> T:
        """A read that may touch many rows: it must not hold up the event loop."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; return once it is durable.

        Works that arrive together may share one commit, but each fails alone: what it raises
        reaches its own caller and undoes only its own statements. Raises `Unavailable` when the
        database cannot be written; nothing of the work is stored then.
        """
        ...

    async def together(self, together: Together, row: tuple[str, ...], alone: Work[None]) -> None:
        """Write one row, in one statement with those that arrive beside it where the engine can.

        `alone` writes the same row by itself, and raises what is wrong with it.
        """
        ...

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Have `callback` called, on the event loop, after a transaction that woke `channel`.

        A call may come too often, and in trouble not at all: what must happen is also looked for
        now and then.
        """
        ...

    async def close(self) -> None:
        """Commit what is queued, then let go of everything."""
        ...
