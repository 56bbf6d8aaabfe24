"""What arrives together, sent together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")
R = TypeVar("R")


SECONDS_OF_PATIENCE = 0.005


class Size(Struct, frozen=True):
    """How large batches may become, and how many are under way at a time.

    The larger a batch, the less each of it costs. So while one is under way the next one waits for it,
    but no longer than until `worth` have come together, which are worth a statement of their own, or
    until patience ends: the one under way may be waiting for a lock that is none of the others' business.
    """

    largest: int
    worth: int
    in_flight: int


class Item(Generic[T, R]):
    """One thing that waits to be sent with others."""

    __slots__ = ("future", "sent")

    def __init__(self, sent: T, future: "asyncio.Future[R]") -> None:
        self.sent, self.future = sent, future


class Coalescer(Generic[T, R]):
    """Things of one kind, by as few statements as the traffic allows. No timer: a lone one goes at once.

    `send` gives an answer for each of a batch, in its order.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[Sequence[R]]], size: Size) -> None:
        self._send, self._size = send, size
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Item[T, R]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._starting = False
        self._impatient = False
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, sent: T) -> R:
        """The answer. Raises what sending its batch raised."""
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append(Item(sent, future))
        if not self._starting and self._may_start():
            self._starting = True
            self._loop.call_soon(self._start)  # with all that comes in this turn of the loop
        return await future

    def _may_start(self) -> bool:
        if not self._waiting or not self._in_flight:
            return bool(self._waiting)
        worth_it = self._impatient or len(self._waiting) >= self._size.worth
        return worth_it and len(self._in_flight) < self._size.in_flight

    def _start(self) -> None:
        self._starting = False
        while self._may_start():
            count = min(len(self._waiting), self._size.largest)
            batch = [self._waiting.popleft() for _ in range(count)]
            task = self._loop.create_task(self._settle(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._done)
            self._impatient = False
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(SECONDS_OF_PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._impatient = True
        self._start()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._start()

    async def _settle(self, batch: list[Item[T, R]]) -> None:
        try:
            answers = await self._send([item.sent for item in batch])
        except Exception as problem:
            for item in batch:
                if not item.future.done():  # else its caller has gone away
                    item.future.set_exception(problem)
            return
        for item, answer in zip(batch, answers, strict=True):
            if not item.future.done():
                item.future.set_result(answer)

    async def drain(self) -> None:
        """Wait until everything handed in is answered."""
        while self._waiting or self._in_flight:
            self._start()
            await asyncio.wait(self._in_flight)
