"""Deletions that are finished later: planned in the transaction that makes them necessary, so that
no crash forgets them. Each kind's handler is given by `app`.

Every process sweeps. One that takes an item on puts its due time off first, so that no other takes
it too; should that one die, the item is due again. Handlers bear being repeated.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from threadkeep.clock import Clock
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Database, Params, Transaction

THREAD, BLOB, FILE, UPLOAD = "thread", "blob", "file", "upload"
VECTOR_STORE, VECTOR_STORE_FILE = "vector_store", "vector_store_file"
VECTOR_STORE_BATCH = "vector_store_batch"
ROUTINE = "routine"
"""What is done again and again: an item that is never dropped, only put off."""
CHANNEL = "threadkeep_sweeps"
BATCH = 20
SECONDS_BETWEEN = 1.0
SECONDS_TO_RETRY = 60
"""How long something that could not be swept stands aside, so that the others get their turn."""
SECONDS_BETWEEN_ROUTINES = 600
SECONDS_CLAIMED = 60
"""How long an item belongs to the process that took it on; longer than any handler takes."""
log = logging.getLogger(__name__)

Handler = Callable[[str], Awaitable[bool]]
"""Called with an item; True when nothing of it is left, False to be called again."""
Routine = Callable[[], Awaitable[bool]]
"""What is done every ten minutes, by one process of all; False to be called again at once."""

PLAN = """
    INSERT INTO sweeps (kind, item, due_at) VALUES (:kind, :item, :due_at)
    ON CONFLICT (kind, item) DO UPDATE SET due_at = excluded.due_at
"""
CLAIM = """
    UPDATE sweeps SET due_at = :until WHERE kind = :kind AND item = :item AND due_at <= :now
    RETURNING due_at
"""
DROP = "DELETE FROM sweeps WHERE kind = :kind AND item = :item"
BEGIN = "INSERT INTO sweeps (kind, item, due_at) VALUES (:kind, :item, :due_at) ON CONFLICT DO NOTHING"
# A later release may plan what this one cannot do.
DUE = """
    SELECT kind, item FROM sweeps WHERE due_at <= :now AND kind IN ({kinds})
    ORDER BY due_at, kind, item LIMIT :rows
"""


async def plan(transaction: Transaction, kind: str, item: str, due_at: int) -> None:
    """Have `item` swept at `due_at`, seconds since 1970."""
    await transaction.run(PLAN, {"kind": kind, "item": item, "due_at": due_at})


async def plan_now(transaction: Transaction, kind: str, item: str, now: int) -> None:
    """Have `item` swept as soon as this transaction is committed."""
    await plan(transaction, kind, item, now)
    await transaction.wake(CHANNEL)


async def drop(transaction: Transaction, kind: str, item: str) -> None:
    """Have `item` not swept after all."""
    await transaction.run(DROP, {"kind": kind, "item": item})


class Sweeper:
    """Carries out what is due, a little at a time, while the server runs."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        handlers: Mapping[str, Handler],
        routines: Mapping[str, Routine] | None = None,
    ) -> None:
        self._database, self._clock = database, clock
        self._routines = routines or {}
        self._handlers = {**handlers, ROUTINE: self._do_routine}
        self._due = DUE.format(kinds=", ".join(f"'{kind}'" for kind in self._handlers))
        self._begun = False
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    def start(self) -> None:
        self._database.listen(CHANNEL, self._woken.set)
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                more = await self.sweep()
            except Unavailable as problem:  # requests say so too; it is tried again
                log.debug("event=sweep_put_off problem=%r", problem)
                more = False
            except Exception:
                log.exception("event=sweep_failed")
                more = False
            if more:
                await asyncio.sleep(0)
            else:
                # Some become due by themselves, and a wake-up can be lost. (Not `wait_for`: before
                # Python 3.12 it forgets a cancellation that comes in the same turn as the event.)
                with suppress(TimeoutError):
                    async with asyncio.timeout(SECONDS_BETWEEN):
                        await self._woken.wait()

    async def sweep(self) -> bool:
        """Carry out what is due, once; whether there may be more."""
        if not self._begun:
            await self._begin()
        params: Params = {"now": int(self._clock()), "rows": BATCH}
        async with self._database.read() as transaction:
            due = await transaction.all(self._due, params)
        random.shuffle(due)  # processes that are woken together begin at different items
        finished = [await self._sweep_one(kind, item) for kind, item in due]
        return len(due) == BATCH or not all(finished)

    async def _begin(self) -> None:
        """See to it that every routine has its row, which the first process makes."""
        now = int(self._clock())

        async def work(transaction: Transaction) -> None:
            for name in self._routines:
                await transaction.run(BEGIN, {"kind": ROUTINE, "item": name, "due_at": now})

        if self._routines:
            await self._database.write(work)
        self._begun = True

    async def _do_routine(self, name: str) -> bool:
        routine = self._routines.get(name)
        return routine is None or await routine()

    async def _sweep_one(self, kind: str, item: str) -> bool:
        """Whether nothing is left to do for this process."""
        if not await self._claim(kind, item):
            return True
        try:
            if not await self._handlers[kind](item):
                await self._put_off(kind, item, 0)
                return False
        except Unavailable:
            raise
        except Exception:
            log.exception("event=sweep_failed kind=%s item=%s", kind, item)
            await self._put_off(kind, item, SECONDS_TO_RETRY)
            return True

        if kind == ROUTINE:
            await self._put_off(kind, item, SECONDS_BETWEEN_ROUTINES)
            return True

        async def work(transaction: Transaction) -> None:
            await drop(transaction, kind, item)

        await self._database.write(work)
        return True

    async def _claim(self, kind: str, item: str) -> bool:
        now = int(self._clock())
        params: Params = {"kind": kind, "item": item, "now": now, "until": now + SECONDS_CLAIMED}

        async def work(transaction: Transaction) -> bool:
            return await transaction.one(CLAIM, params) is not None

        return await self._database.write(work)

    async def _put_off(self, kind: str, item: str, seconds: int) -> None:
        due_at = int(self._clock()) + seconds

        async def work(transaction: Transaction) -> None:
            await plan(transaction, kind, item, due_at)

        await self._database.write(work)
