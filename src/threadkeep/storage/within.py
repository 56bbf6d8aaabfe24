"""A database as it is seen from inside a transaction that is already open."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from threadkeep.storage.database import K, Question, Together, Transaction, Value, Work

T = TypeVar("T")


class Within:
    """A `Database` whose reads and writes all take part in one transaction, which its owner ends.

    What is read sees what was written before it. A write that fails must fail the whole transaction.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        yield self._transaction

    async def scan(self, work: Work[T]) -> T:
        return await work(self._transaction)

    async def ask(self, question: Question, row: tuple[Value, ...], alone: Work[T]) -> T:
        return await alone(self._transaction)

    async def write(self, work: Work[T]) -> T:
        return await work(self._transaction)

    async def write_behind(self, work: Work[T]) -> T:
        return await work(self._transaction)

    def seconds_behind(self) -> float:
        """What takes steps has transactions of its own."""
        raise NotImplementedError

    async def together(self, together: Together[K], row: K, alone: Work[None]) -> None:
        await alone(self._transaction)

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """A transaction is over before anybody could be called."""
        raise NotImplementedError

    async def check(self) -> None:
        """An open transaction is asked for nothing but its statements."""
        raise NotImplementedError

    async def tidy(self, now: int) -> None:
        """What the engine keeps is not this transaction's."""
        raise NotImplementedError

    async def close(self) -> None:
        """The transaction is its owner's to end."""
