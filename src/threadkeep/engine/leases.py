"""Work under leases: any process may do it, each may die, and nothing is done by two at once for long.

A row says until when it is its owner's. Whoever works it prolongs that time and again; once it is past,
the row is due, and any process takes it. This is the mechanism; what is worked, and which rows say so,
is a `Kind`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

from threadkeep.clock import Clock
from threadkeep.errors import Unavailable

SECONDS_BETWEEN_LOOKS = 1.0
"""Some work becomes due by itself, and a wake-up can be lost."""
BATCH = 20
"""How many are claimed at once."""
SECONDS_TO_LET_GO = 5.0
"""How long work that is to be left has for that."""
log = logging.getLogger(__name__)


class Work(Protocol):
    """One piece of work whose claim is this process's."""

    @property
    def id(self) -> str: ...

    async def run(self) -> None:
        """Do it, to its end or until it is left. Raises nothing."""
        ...

    def leave(self, lost: bool) -> None:
        """Stop at the next chance and write nothing more: the claim is another's (`lost`), or is to be
        given back."""
        ...


W = TypeVar("W", bound=Work)


class Kind(Protocol[W]):
    """What is worked, as its rows tell."""

    async def due(self, rows: int, crowded: bool) -> list[str]:
        """Ids of what is due, the longest first; when `crowded`, only what takes no time to finish."""
        ...

    async def claim(self, id: str, until: int) -> W | None:
        """Take what is due; None where another process was quicker."""
        ...

    async def renew(self, works: Sequence[W], until: int) -> Collection[W]:
        """Prolong claims; those that are lost."""
        ...

    async def release(self, work: W) -> None:
        """Give a claim back, if it still is this process's: the work is due at once."""
        ...


class Leases(Generic[W]):
    """Works what is due in this process, no more than `capacity` at a time, for `seconds` a lease."""

    def __init__(self, kind: Kind[W], clock: Clock, seconds: int, capacity: int) -> None:
        self._kind, self._clock, self._seconds, self._capacity = kind, clock, seconds, capacity
        self._works: dict[W, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._taking = False

    @property
    def works(self) -> Collection[W]:
        """What is being worked."""
        return self._works.keys()

    @property
    def has_room(self) -> bool:
        return self._taking and len(self._works) < self._capacity

    def until(self) -> int:
        """Until when a claim that is made now holds."""
        return int(self._clock()) + self._seconds

    def start(self) -> None:
        self._taking = True
        self._loops = [
            asyncio.create_task(self._claim_on(), name="claims"),
            asyncio.create_task(self._renew_on(), name="heartbeat"),
        ]

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    def take(self, work: W) -> None:
        """Do what this process has claimed."""
        self._works[work] = asyncio.create_task(self._run(work), name=f"work on {work.id}")

    async def _run(self, work: W) -> None:
        try:
            if not self._taking:
                work.leave(lost=False)
            await work.run()
            if not self._taking:
                await attempt(partial(self._kind.release, work))
        finally:
            if len(self._works) == self._capacity:
                self._woken.set()
            del self._works[work]

    # -------------------------------------------------------------- claiming

    async def _claim_on(self) -> None:
        while self._taking:
            self._woken.clear()
            if not await attempt(self._claim_due):
                await set_within(self._woken, SECONDS_BETWEEN_LOOKS)

    async def _claim_due(self) -> bool:
        """Take what is due, as far as there is room; whether there may be more."""
        room = self._capacity - len(self._works)
        rows = min(room, BATCH) if room > 0 else BATCH
        due = await self._kind.due(rows, room <= 0)
        own = {work.id for work in self._works}
        if not own.isdisjoint(due):  # this process was held up for longer than a lease
            await self._renew()
        others = [id for id in due if id not in own]
        random.shuffle(others)  # processes that are woken together begin at different rows
        taken = await asyncio.gather(*(self._claim(id) for id in others), return_exceptions=True)
        for outcome in taken:  # only now: a stop waits for each of them
            if isinstance(outcome, BaseException):
                raise outcome
        return len(due) == rows and any(taken)

    async def _claim(self, id: str) -> bool:
        work = await self._kind.claim(id, self.until())
        if work is not None:
            self.take(work)
        return work is not None

    # -------------------------------------------------------------- holding

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            await attempt(self._renew)

    async def _renew(self) -> bool:
        if works := list(self._works):
            for work in await self._kind.renew(works, self.until()):
                work.leave(lost=True)
        return True

    # -------------------------------------------------------------- stopping

    async def stop(self, grace: float) -> None:
        """Take nothing more; give back what is not finished within `grace` seconds. Asked for again, it also
        gives back what was handed to `take` meanwhile."""
        loops, self._loops = self._loops, []
        self._taking = False
        self._woken.set()
        await asyncio.gather(*loops[:1])  # what is claimed until then is worked, and given back
        await self._finished(grace)
        for work in self._works:
            work.leave(lost=False)
        await self._finished(SECONDS_TO_LET_GO)
        rest = [*loops[1:], *self._works.values()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _finished(self, seconds: float) -> None:
        if self._works:
            await asyncio.wait(list(self._works.values()), timeout=seconds)


T = TypeVar("T")


async def attempt(do: Callable[[], Awaitable[T]]) -> T | None:
    """Do something that is done again later in any case; None where it failed."""
    try:
        return await do()
    except Unavailable as problem:  # requests say so too
        log.debug("event=lease_put_off problem=%r", problem)
    except Exception:
        log.exception("event=lease_failed")
    return None


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Return once an event is set, or after so long. (`wait_for` forgets a cancellation that comes in the
    same turn as the event, before Python 3.12.)"""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
