"""The engine of this process: which runs it works, and what it is told meanwhile.

Whoever makes, moves or cancels a run wakes `runs.claims.CHANNEL`. The engine then looks for runs that are
due, for those of its own that are to be cancelled, and for what pollers wait for; it also looks once a
second, since a wake-up can be lost, and when the next of its runs expires.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Sequence
from contextlib import suppress

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.context import Context
from threadkeep.engine.base import Watch
from threadkeep.engine.course import Course
from threadkeep.engine.leases import SECONDS_BETWEEN_LOOKS, Leases, attempt, set_within
from threadkeep.engine.record import Changed
from threadkeep.engine.watch import Feed
from threadkeep.runs import claims, progress
from threadkeep.runs.model import Claim
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction

SECONDS_OF_GRACE = 5.0
"""How long runs that are under way at a stop have to finish, before another process gets them."""
log = logging.getLogger(__name__)


class Runs:
    """Runs as work under leases (`leases.Kind`)."""

    def __init__(self, context: Context, owner: str, changed: Changed) -> None:
        self._context, self._owner, self._changed = context, owner, changed

    async def due(self, rows: int, crowded: bool) -> list[str]:
        now = self._context.now()
        long_ago = now - self._context.settings.run_expires_after
        async with self._context.database.read() as transaction:
            if crowded:
                return await claims.due_to_end(transaction, now, long_ago, rows)
            return await claims.due(transaction, now, rows)

    async def claim(self, id: str, until: int) -> Course | None:
        worked = await progress.claim(self._context, id, self._owner, until)
        if worked is None:
            return None
        log.info("event=run_taken run=%s status=%s attempt=%d", id, worked.run.status, worked.claim.attempt)
        return Course(self._context, worked.claim, self._changed, worked=worked)

    async def renew(self, works: Sequence[Course], until: int) -> Collection[Course]:
        async def work(transaction: Transaction) -> set[Claim]:
            return await claims.renew(transaction, [one.claim for one in works], until)

        lost = await self._context.database.write(work)
        return [one for one in works if one.claim in lost]

    async def release(self, work: Course) -> None:
        await progress.release(self._context, work.claim)


class Waiter(Struct, eq=False):
    """Somebody who waits for a run's status to be another than `seen`."""

    seen: str
    called: asyncio.Future[None]

    def hear(self, status: str | None) -> None:
        if status != self.seen and not self.called.done():
            self.called.set_result(None)


class Engine:
    """The `Runner` of a process. It works nothing before `start` and after `stop`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._name = os.urandom(8).hex()
        self._context: Context | None = None
        self._leases: Leases[Course] | None = None
        self._woken = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._waiters: dict[str, set[Waiter]] = {}
        """By the ids of their runs."""
        self._some_abandoned = False
        """Whether rows of runs that are worked here may be gone."""

    # -------------------------------------------------------------- from start to stop

    def start(self, context: Context) -> None:
        """Begin to work runs, with those that others have left."""
        self._context = context
        runs = Runs(context, self._name, self._changed)
        self._leases = Leases(runs, self._clock, self._settings.run_lease, self._settings.max_active_runs)
        self._leases.start()
        self._looking = asyncio.create_task(self._look_on(), name="engine")
        context.database.listen(claims.CHANNEL, self._wake)
        context.database.listen(claims.ABANDONED, self._wake_for_abandoned)

    def drain(self) -> None:
        """Take nothing more, and be done soon with what is under way."""
        if self._leases is not None and self._draining is None:
            self._draining = asyncio.create_task(self._leases.stop(SECONDS_OF_GRACE), name="drain")
            for run_id in self._waiters:
                self._tell_waiters(run_id, None)

    async def stop(self) -> None:
        """Return once nothing is worked any more; what was not finished is anybody's."""
        self.drain()
        if self._leases is not None and self._draining is not None:
            await self._draining
            await self._leases.stop(0.0)  # a request under way may have handed in a run since
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    # -------------------------------------------------------------- what requests ask of it

    def owner(self) -> str | None:
        if self._leases is None or self._draining is not None or not self._leases.has_room:
            return None
        return self._name

    def lease_until(self) -> int:
        return int(self._clock()) + self._settings.run_lease

    def watch(self) -> Watch:
        return Feed()

    def adopt(self, claim: Claim, watch: Watch | None = None) -> None:
        assert self._leases is not None
        assert self._context is not None
        self._leases.take(Course(self._context, claim, self._changed, watch=watch))

    async def change(self, run_id: str, seen: str, seconds: float) -> bool:
        if self._draining is not None:
            return False
        waiter = Waiter(seen, asyncio.get_running_loop().create_future())
        waiters = self._waiters.setdefault(run_id, set())
        waiters.add(waiter)
        self._woken.set()  # it may have changed since it was seen
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter.called
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[run_id]
        return self._draining is None

    # -------------------------------------------------------------- what happens meanwhile

    def _wake(self) -> None:
        self._woken.set()
        assert self._leases is not None
        self._leases.wake()

    def _wake_for_abandoned(self) -> None:
        self._some_abandoned = True
        self._woken.set()

    def _changed(self, run_id: str, status: str) -> None:
        """One of our own runs has moved."""
        self._tell_waiters(run_id, status)

    def _tell_waiters(self, run_id: str, status: str | None) -> None:
        """None where nobody knows a status, and whoever waits is to look."""
        for waiter in self._waiters.get(run_id, ()):
            waiter.hear(status)

    async def _look_on(self) -> None:
        while True:
            self._woken.clear()
            self._expire()
            await attempt(self._look)
            await set_within(self._woken, self._seconds_to_next_look())

    def _courses(self) -> Collection[Course]:
        return self._leases.works if self._leases is not None else ()

    def _expire(self) -> None:
        now = self._clock()
        for course in self._courses():
            if course.expires_at is not None and course.expires_at <= now:
                course.expire()

    def _seconds_to_next_look(self) -> float:
        times = [course.expires_at for course in self._courses() if course.expires_at is not None]
        left = min(times) - self._clock() if times else SECONDS_BETWEEN_LOOKS
        return min(max(left, 0.0), SECONDS_BETWEEN_LOOKS)

    async def _look(self) -> None:
        """What the database says of runs that are worked or waited for here."""
        assert self._context is not None
        if not self._courses() and not self._waiters:
            return
        waited_for = list(self._waiters)
        checked = list(self._courses()) if self._some_abandoned else []
        self._some_abandoned = False
        ids = sorted({*waited_for, *(course.id for course in checked)})
        try:
            async with self._context.database.read() as transaction:
                cancelling = await claims.cancelling(transaction) if self._courses() else set()
                found = await claims.standing(transaction, ids)
        except Exception:
            self._some_abandoned |= bool(checked)  # for the next look
            raise
        for course in self._courses():
            if course.id in cancelling:
                course.cancel()
        for course in checked:
            if course.id not in found:
                course.leave(lost=True)
        for run_id in waited_for:
            self._tell_waiters(run_id, found[run_id].status if run_id in found else None)
