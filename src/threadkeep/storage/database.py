"""The one interface to a database. `sqlite` is the room behind it; the domain never knows.

SQL is written once: `:name` parameters, named columns, an `ORDER BY` that ends in a unique
column, no operator that one engine lacks. Rows are tuples in the order of the named columns.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from threadkeep.storage.chunks import ChunkIndex

T = TypeVar("T")
K = TypeVar("K", bound="Keyed")
Row = tuple[Any, ...]
Value = str | int | float | bytes | None
Params = Mapping[str, Value | list[Value]]


class Transaction(Protocol):
    """Statements of one transaction."""

    engine: str
    """`sqlite` or `postgres`: which migrations ask, to pick what one of them alone can run."""
    chunks: ChunkIndex
    """The chunks of files and their index, of which each engine has its own kind."""

    async def all(self, sql: str, params: Params) -> list[Row]:
        """Every row of the result."""
        ...

    async def one(self, sql: str, params: Params) -> Row | None:
        """The first row of the result, or None."""
        ...

    async def run(self, sql: str, params: Params) -> None:
        """A statement without a result."""
        ...

    async def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""
        ...

    async def define(self, sql: str) -> None:
        """A statement of a migration."""
        ...

    async def alone(self) -> None:
        """Keep every other transaction that asks for the same waiting until this one ends."""
        ...

    async def unhurried(self) -> None:
        """Be `alone`, however long that is to be waited for, and `define` things however long they take. What
        others have locked is still not waited for long: meanwhile nobody else gets it either."""
        ...

    async def wake(self, channel: str) -> None:
        """Once this transaction is committed, have whoever listens on `channel` called, in every process."""
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""What is to be written. It awaits nothing but its transaction, and may be run again from its start."""


class Keyed(Protocol):
    """A row to be written, which has an id."""

    @property
    def id(self) -> str: ...


class Together(Struct, Generic[K], frozen=True):
    """A kind of row of which an engine that takes arrays can write many with one statement.

    `many` takes what `arrays` makes of the rows and returns the id of every row that it wrote; a row
    that breaks a rule is passed over. `unlocked` takes the same and also passes over what it would have to
    wait for: rows of which `lock` says the same wait for the same. `which` takes the same and returns the
    ids that are there.
    """

    many: str
    unlocked: str
    which: str
    arrays: Callable[[Sequence[K]], Params]
    lock: Callable[[K], str]


class Question(Struct, frozen=True):
    """A kind of small read of which an engine that takes arrays can answer many with one statement.

    `many` takes one array for each of `columns` and returns a row for each place, in order, with one
    value: the answer, or NULL where the question is to be asked alone.
    """

    many: str
    columns: tuple[str, ...]


class Database(Protocol):
    """A place for rows."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Statements that see everything committed so far and never wait for a writer."""
        ...

    async def scan(self, work: Work[T]) -> T:
        """A read that may touch many rows: it must not hold up the event loop."""
        ...

    async def ask(self, question: Question, row: tuple[Value, ...], alone: Work[T]) -> T:
        """What `alone` reads: in one statement with the questions asked beside it, where the engine can.

        Each fails alone, with what `alone` raises, and sees everything committed before it was asked.
        """
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; return once it is durable.

        Works that arrive together may share one commit, but each fails alone: what it raises
        reaches its own caller and undoes only its own statements. Raises `Unavailable` when the
        database cannot be written; nothing of the work is stored then.
        """
        ...

    async def write_behind(self, work: Work[T]) -> T:
        """As `write`, for what nobody waits for: it takes turns with what somebody does (`storage.turns`)."""
        ...

    def seconds_behind(self) -> float:
        """How long the statements of the next `write_behind` should take, for others not to feel it."""
        ...

    async def together(self, together: Together[K], row: K, alone: Work[None]) -> None:
        """Write one row, in one statement with those that arrive beside it where the engine can.

        `alone` writes the same row by itself, and raises what is wrong with it.
        """
        ...

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, on the event loop, after a transaction that woke `channel`, until what this
        returns is called.

        A call may come too often, and in trouble not at all: what must happen is also looked for
        now and then.
        """
        ...

    async def check(self) -> None:
        """Raises `Unavailable`, with the reason, where it is known that requests would not be served."""
        ...

    async def tidy(self, now: int) -> None:
        """Remove what the engine has kept for itself and needs no longer at `now`, seconds since 1970."""
        ...

    async def close(self) -> None:
        """Commit what is queued, then let go of everything."""
        ...
