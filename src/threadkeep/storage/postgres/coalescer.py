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
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
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
        return worth_it and self._in_flight < self._size.in_flight

    def _start(self) -> bool:
        """Send what may be sent; whether there was any."""
        self._starting = False
        before = self._in_flight
        while self._may_start():
            count = min(len(self._waiting), self._size.largest)
            batch = [self._waiting.popleft() for _ in range(count)]
            self._in_flight += 1
            task = self._loop.create_task(self._settle(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._impatient = False
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(SECONDS_OF_PATIENCE, self._lose_patience)
        return self._in_flight > before

    def _lose_patience(self) -> None:
        self._impatient = True
        self._start()

    async def _settle(self, batch: list[Item[T, R]]) -> None:
        answers: Sequence[R] = []
        failure: Exception | None = None
        try:
            answers = await self._send([item.sent for item in batch])
        except Exception as problem:
            failure = problem
        finally:
            self._in_flight -= 1
        if self._start():  # the next one leaves in the turn that this begins, and the database works on it
            await asyncio.sleep(0)  # while those who were answered are told, which takes longer
        for place, item in enumerate(batch):
            if item.future.done():  # its caller has gone away
                continue
            if failure:
                item.future.set_exception(failure)
            else:
                item.future.set_result(answers[place])

    async def drain(self) -> None:
        """Wait until everything handed in is answered."""
        while self._waiting or self._tasks:
            self._start()
            await asyncio.wait(self._tasks)
