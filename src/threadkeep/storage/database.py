"""The one interface to a database. `sqlite` is the room behind it; the domain never knows.

SQL is written once: `:name` parameters, named columns, an `ORDER BY` that ends in a unique
column, no operator that one engine lacks. Rows are tuples in the order of the named columns.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, str | int | None]


class Transaction(Protocol):
    """Statements of one transaction."""

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result."""
        ...

    async def one(self, sql: str, params: Params) -> Row | None:
        """The first row of the result, or None."""
        ...

    async def run(self, sql: str, params: Params) -> None:
        """A statement without a result."""
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""What is to be written. It awaits nothing but its transaction, and may be run again from its start."""


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

    async def close(self) -> None:
        """Commit what is queued, then let go of everything."""
        ...
