"""Rows that arrive together, written together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from threadkeep.storage.database import Together

IN_FLIGHT = 2
"""Statements under way at a time: one at work, one on its way."""
LARGEST_BATCH = 256


class Item:
    """One row that waits to be written with others."""

    __slots__ = ("future", "row")

    def __init__(self, row: tuple[str, ...], future: "asyncio.Future[bool]") -> None:
        self.row, self.future = row, future


class Coalescer:
    """Rows of one kind, by as few statements as the traffic allows. No timer: a lone row goes at once."""

    def __init__(
        self, together: Together, write: Callable[[Together, list[tuple[str, ...]]], Awaitable[set[str]]]
    ):
        self._together, self._write = together, write
        self._waiting: deque[Item] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()

    async def add(self, row: tuple[str, ...]) -> bool:
        """Whether the row was written; if not, the caller finds out by itself why."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._waiting and len(self._in_flight) < IN_FLIGHT:
            asyncio.get_running_loop().call_soon(self._start)
        self._waiting.append(Item(row, future))
        return await future

    def _start(self) -> None:
        if self._waiting and len(self._in_flight) < IN_FLIGHT:
            count = min(len(self._waiting), LARGEST_BATCH)
            batch = [self._waiting.popleft() for _ in range(count)]
            task = asyncio.create_task(self._send(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._start()

    async def _send(self, batch: list[Item]) -> None:
        try:
            written = await self._write(self._together, [item.row for item in batch])
        except Exception as problem:
            for item in batch:
                if not item.future.done():
                    item.future.set_exception(problem)
            return
        for item in batch:
            if not item.future.done():
                item.future.set_result(item.row[self._together.key] in written)

    async def drain(self) -> None:
        """Wait until everything handed in is written."""
        while self._waiting or self._in_flight:
            self._start()
            await asyncio.wait(self._in_flight)
